//! What every [`SharedLog`] does, as a suite that runs against one.
//!
//! ```
//! use ziggurat_shared_log::MemoryLog;
//! use ziggurat_testkit::shared_log;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! shared_log::check(MemoryLog::new, async |log: &MemoryLog| log.lose()).await;
//! # }
//! ```

use ziggurat_shared_log::{Cursor, Exchanged, Offer, SharedLog};

/// How many entries are read at a time where it does not matter.
const MANY: usize = 1_000;

/// Runs the suite. `make` makes an empty log that keeps about so many entries, and `lose` makes it
/// lose all it knows.
///
/// # Panics
///
/// If the log does not do what it has to.
pub async fn check<L: SharedLog>(make: impl Fn(usize) -> L, lose: impl AsyncFn(&L)) {
    what_one_appends_the_others_read_once_and_in_order(&make(MANY)).await;
    nobody_reads_what_they_appended(&make(MANY)).await;
    who_is_behind_appends_nothing(&make(MANY)).await;
    it_is_bounded_and_the_oldest_go_first(&make(100)).await;
    entries_grow_older(&make(MANY)).await;
    all_agree_on_the_first_salt(&make(MANY)).await;
    any_text_is_an_entry(&make(MANY)).await;
    a_log_that_lost_all_it_knew_says_so_to_each(&make(MANY), lose).await;
}

async fn what_one_appends_the_others_read_once_and_in_order<L: SharedLog>(log: &L) {
    let [mut a, mut b, mut c] = [Reader::new(log), Reader::new(log), Reader::new(log)];
    assert!(a.tell(&["1", "2"]).await.is_empty(), "it begins empty");
    assert_eq!(b.tell(&["3"]).await, ["1", "2"]);
    assert_eq!(c.tell(&[]).await, ["1", "2", "3"]);
    assert_eq!(a.tell(&["4"]).await, ["3"]);
    assert_eq!(b.tell(&[]).await, ["4"]);
    assert_eq!(c.tell(&[]).await, ["4"]);
    for reader in [&mut a, &mut b, &mut c] {
        assert!(reader.tell(&[]).await.is_empty(), "all has been read");
    }
}

async fn nobody_reads_what_they_appended<L: SharedLog>(log: &L) {
    let mut one = Reader::new(log);
    for round in 0..3 {
        let read = one.tell(&["mine"]).await;
        assert!(read.is_empty(), "in round {round}: {read:?}");
    }
}

async fn who_is_behind_appends_nothing<L: SharedLog>(log: &L) {
    Reader::new(log).tell(&["1", "2", "3"]).await;
    let mut behind = Reader::new(log);
    behind.most = 2;
    let first = behind.exchange(&["mine"]).await;
    assert_eq!((texts(&first), first.has_more), (vec!["1", "2"], true));
    let second = behind.exchange(&["mine"]).await;
    assert_eq!((texts(&second), second.has_more), (vec!["3"], false));
    assert!(behind.tell(&[]).await.is_empty());
    let all = Reader::new(log).tell(&[]).await;
    assert_eq!(all, ["1", "2", "3", "mine"]);
}

async fn it_is_bounded_and_the_oldest_go_first<L: SharedLog>(log: &L) {
    let (mut writer, mut late) = (Reader::new(log), Reader::new(log));
    late.tell(&[]).await;
    let numbers: Vec<_> = (0..2_000).map(|it| format!("{it:04}")).collect();
    for some in numbers.chunks(50) {
        let some: Vec<_> = some.iter().map(|it| &**it).collect();
        writer.tell(&some).await;
    }
    for mut reader in [Reader::new(log), late] {
        let kept = reader.tell(&[]).await;
        assert!((100..400).contains(&kept.len()), "{} are kept", kept.len());
        assert_eq!(kept, numbers[numbers.len() - kept.len()..]);
    }
}

async fn entries_grow_older<L: SharedLog>(log: &L) {
    Reader::new(log).tell(&["1"]).await;
    let first = Reader::new(log).exchange(&[]).await.entries[0].age;
    let second = Reader::new(log).exchange(&[]).await.entries[0].age;
    assert!(first <= second, "{first:?} is not before {second:?}");
}

async fn all_agree_on_the_first_salt<L: SharedLog>(log: &L) {
    for salt in [u64::MAX, 1, 2] {
        let offer = Offer::new(Cursor::default(), MANY).salt(salt);
        let exchanged = log.exchange(offer).await.expect("is there");
        assert_eq!(exchanged.salt, u64::MAX);
    }
}

async fn any_text_is_an_entry<L: SharedLog>(log: &L) {
    let texts = ["", "\"{}\" \n\r\0 äöü 🦀", &"x".repeat(4_096)];
    Reader::new(log).tell(&texts).await;
    assert_eq!(Reader::new(log).tell(&[]).await, texts);
}

async fn a_log_that_lost_all_it_knew_says_so_to_each<L: SharedLog>(
    log: &L,
    lose: impl AsyncFn(&L),
) {
    let [mut a, mut b] = [Reader::new(log), Reader::new(log)];
    let mut exchanged = a.exchange(&["1"]).await;
    assert!(exchanged.is_new, "at the first look");
    exchanged = a.exchange(&["2"]).await;
    assert!(!exchanged.is_new);
    b.tell(&[]).await;
    lose(log).await;
    exchanged = a.exchange(&["3"]).await;
    assert!(exchanged.is_new && exchanged.entries.is_empty());
    exchanged = b.exchange(&[]).await;
    assert!(exchanged.is_new);
    assert_eq!(texts(&exchanged), ["3"]);
    assert!(!b.exchange(&[]).await.is_new, "it says so once");
}

/// One who reads a log.
struct Reader<'a, L> {
    log: &'a L,
    since: Cursor,
    most: usize,
}

impl<'a, L: SharedLog> Reader<'a, L> {
    fn new(log: &'a L) -> Self {
        Self {
            log,
            since: Cursor::default(),
            most: MANY,
        }
    }

    async fn exchange(&mut self, entries: &[&str]) -> Exchanged {
        let entries = entries.iter().map(|it| (*it).to_owned()).collect();
        let offer = Offer::new(self.since.clone(), self.most).entries(entries);
        let exchanged = self.log.exchange(offer).await.expect("the log is there");
        self.since = exchanged.cursor.clone();
        exchanged
    }

    async fn tell(&mut self, entries: &[&str]) -> Vec<String> {
        let exchanged = self.exchange(entries).await;
        assert!(!exchanged.has_more, "that was all");
        texts(&exchanged).into_iter().map(str::to_owned).collect()
    }
}

fn texts(exchanged: &Exchanged) -> Vec<&str> {
    exchanged.entries.iter().map(|it| &*it.entry).collect()
}

//! Instances that share a list of words.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::{Either, Pending, Ready, pending, ready};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use ziggurat_shared_log::{Exchanged, MemoryLog, Offer, Outbox, SharedLog, Shares, share};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_one_says_all_others_know_within_a_second() {
    let log = MemoryLog::new(100);
    let all = [Heard::new(), Heard::new(), Heard::new()];
    let drivers = async {
        let [a, b, c] = all.each_ref().map(|it| share(it, log.clone()));
        tokio::join!(a, b, c)
    };
    let story = async {
        sleep(SECOND).await;
        all[0].hear("hello");
        sleep(SECOND).await;
        assert_eq!(all.each_ref().map(Heard::words), [["hello"]; 3]);
    };
    tokio::select! { biased; _ = drivers => {}, () = story => {} }
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_learns_what_was_said_before() {
    let log = MemoryLog::new(10_000);
    let (first, second) = (Heard::new(), Heard::new());
    let words: Vec<_> = (0..5_000).map(|it| it.to_string()).collect();
    let telling = share(&first, log.clone());
    let story = async {
        sleep(SECOND).await;
        for word in &words {
            first.hear(word);
        }
        sleep(SECOND).await;
    };
    tokio::select! { biased; () = telling => {}, () = story => {} }
    timeout(SECOND, share(&second, log)).await.unwrap_err();
    assert_eq!(second.words(), words);
}

#[tokio::test(start_paused = true)]
async fn while_the_log_is_gone_or_hangs_nothing_is_lost_and_then_all_goes_over() {
    for state in [GONE, SILENT] {
        let log = Faulty::new();
        let (one, other) = (Heard::new(), Heard::new());
        let drivers = async { tokio::join!(share(&one, log.clone()), share(&other, log.clone())) };
        let story = async {
            sleep(SECOND).await;
            log.state.store(state, Relaxed);
            one.hear("one");
            other.hear("two");
            sleep(60 * SECOND).await;
            assert_eq!(
                (one.words(), other.words()),
                (text(&["one"]), text(&["two"]))
            );
            log.state.store(THERE, Relaxed);
            // One exchange may be under way that will never be answered.
            sleep(if state == SILENT { 6 * SECOND } else { SECOND }).await;
            let both = (text(&["one", "two"]), text(&["two", "one"]));
            assert_eq!((one.words(), other.words()), both);
        };
        tokio::select! { biased; _ = drivers => {}, () = story => {} }
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_lost_all_it_knew_is_told_again() {
    let log = MemoryLog::new(100);
    let (one, late) = (Heard::new(), Heard::new());
    let driver = share(&one, log.clone());
    let story = async {
        one.hear("hello");
        sleep(SECOND).await;
        log.lose();
        sleep(SECOND).await;
        timeout(SECOND, share(&late, log.clone()))
            .await
            .unwrap_err();
        assert_eq!(late.words(), ["hello"]);
    };
    tokio::select! { biased; () = driver => {}, () = story => {} }
}

#[tokio::test(start_paused = true)]
async fn all_take_the_salt_of_the_first() {
    let log = MemoryLog::new(100);
    let all = [Heard::new(), Heard::new()];
    for (heard, salt) in all.iter().zip([7, 8]) {
        heard.salt.store(salt, Relaxed);
        timeout(SECOND, share(heard, log.clone()))
            .await
            .unwrap_err();
    }
    assert_eq!(all.map(|it| it.salt.load(Relaxed)), [7, 7]);
}

#[tokio::test(start_paused = true)]
async fn there_are_about_four_exchanges_a_second_however_much_is_said() {
    let log = Faulty::new();
    let heard = Heard::new();
    let driver = share(&heard, log.clone());
    let story = async {
        for word in 0..10_000 {
            heard.hear(&word.to_string());
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! { biased; () = driver => {}, () = story => {} }
    let exchanges = log.exchanges.load(Relaxed);
    assert!((30..60).contains(&exchanges), "{exchanges} in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn when_nobody_tells_any_more_nothing_is_kept_to_be_told() {
    let heard = Heard::new();
    let driver = share(&heard, MemoryLog::new(9));
    timeout(SECOND, driver).await.unwrap_err();
    heard.hear("hello");
    assert!(heard.outbox.is_empty());
}

/// Words, in the order in which they were heard.
#[derive(Debug)]
struct Heard {
    words: Mutex<Vec<String>>,
    outbox: Outbox<String, String>,
    salt: AtomicU64,
}

impl Heard {
    fn new() -> Self {
        Self {
            words: Mutex::default(),
            outbox: Outbox::new(10_000),
            salt: AtomicU64::new(0),
        }
    }

    fn hear(&self, word: &str) {
        self.words.lock().push(word.to_owned());
        self.outbox.put(word.to_owned(), word.to_owned());
    }

    fn words(&self) -> Vec<String> {
        self.words.lock().clone()
    }
}

impl Shares for &Heard {
    type Key = String;
    type News = String;

    fn outbox(&self) -> &Outbox<String, String> {
        &self.outbox
    }

    fn write(&self, word: &String) -> Option<String> {
        Some(word.clone())
    }

    fn read(&self, entry: &str, _age: Duration) {
        self.words.lock().push(entry.to_owned());
    }

    fn tell_again(&self) {
        for word in &*self.words.lock() {
            self.outbox.put(word.clone(), word.clone());
        }
    }

    fn salt(&self) -> u64 {
        self.salt.load(Relaxed)
    }

    fn agree_on(&self, salt: u64) {
        self.salt.store(salt, Relaxed);
    }
}

const THERE: u8 = 0;
const GONE: u8 = 1;
const SILENT: u8 = 2;

/// A log that may be out of reach.
#[derive(Clone)]
struct Faulty {
    log: MemoryLog,
    state: Arc<AtomicU8>,
    exchanges: Arc<AtomicU32>,
}

impl Faulty {
    fn new() -> Self {
        Self {
            log: MemoryLog::new(10_000),
            state: Arc::default(),
            exchanges: Arc::default(),
        }
    }
}

impl SharedLog for Faulty {
    type Exchange = Either<Ready<Option<Exchanged>>, Pending<Option<Exchanged>>>;

    fn exchange(&self, offer: Offer) -> Self::Exchange {
        self.exchanges.fetch_add(1, Relaxed);
        match self.state.load(Relaxed) {
            THERE => {
                let now = self.log.exchange(offer);
                Either::Left(ready(now.into_inner()))
            }
            GONE => Either::Left(ready(None)),
            _ => Either::Right(pending()),
        }
    }
}

fn text(words: &[&str]) -> Vec<String> {
    words.iter().map(|it| (*it).to_owned()).collect()
}

//! Several instances that share a store.

use std::{
    future::{Future, ready},
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Routed, Usage};
use ziggurat_settle::SettleLayer;
use ziggurat_usage::{MemoryUsageStore, Minute, Row, Subject, UsageBook, UsageStore, UsageSync};

/// Asks a deployment of the group once, as an instance with that book.
async fn ask(book: &UsageBook, succeeds: bool) {
    let deployment = Arc::new(Deployment::new("a", "gpt", "gpt-4o"));
    let leaf = service_fn(move |_: Routed<LlmRequest>| async move {
        match succeeds {
            true => Ok(LlmResponse::complete("{}", Some(Usage::new(10, 2)))),
            false => Err(Error::new(ErrorKind::Overloaded, "busy")),
        }
    });
    let service = SettleLayer::new(book.clone()).layer(leaf);
    let answer = service
        .oneshot(Routed::new(LlmRequest::chat("gpt", "hi"), deployment))
        .await;
    assert_eq!(answer.is_ok(), succeeds);
}

/// What all instances did lately.
async fn together(store: &MemoryUsageStore, now: SystemTime) -> (u64, u64) {
    let now = Minute::of(now);
    // The clock of the machine goes on during the test.
    let range = now.minus(5)..=Minute::new(now.number() + 5);
    let rows = Row::merge(store.fetch(range, None).await.expect("cannot fail"));
    let of_group = rows
        .iter()
        .filter(|row| *row.subject() == Subject::Group("gpt".into()));
    let tallies = of_group.map(Row::tally);
    tallies.fold((0, 0), |(ok, bad), it| {
        (ok + it.successes(), bad + it.failures())
    })
}

#[tokio::test]
async fn what_two_instances_did_adds_up_and_nothing_counts_twice() {
    let store = MemoryUsageStore::new();
    let books = [UsageBook::new(), UsageBook::new()];
    let mut instances = instances(&books, &store);
    for round in 1..=3 {
        ask(&books[0], true).await;
        ask(&books[1], true).await;
        ask(&books[1], false).await;
        for each in &mut instances {
            // Twice: a write that is repeated changes nothing.
            for _ in 0..2 {
                each.sync(SystemTime::now()).await.expect("cannot fail");
            }
        }
        let known = together(&store, SystemTime::now()).await;
        assert_eq!(known, (2 * round, round));
    }
}

fn instances<S: UsageStore + Clone>(books: &[UsageBook], store: &S) -> Vec<UsageSync<S>> {
    let names = ["one", "two", "three"];
    let named = books.iter().zip(names);
    named
        .map(|(book, name)| UsageSync::new(book.clone(), store.clone(), name))
        .collect()
}

/// What a book knows of all instances, and of its own.
fn known(book: &UsageBook) -> [u64; 2] {
    let Some(page) = book.group("gpt") else {
        return [0, 0];
    };
    let later = SystemTime::now() + Duration::from_secs(60);
    let of_all = page.of_all().last(later, 30).successes();
    let history = page.of_all().history(later, 30);
    let sum: u64 = history.iter().map(|(_, it)| it.successes()).sum();
    assert_eq!(sum, of_all);
    [of_all, page.last(later, 30).successes()]
}

#[tokio::test]
async fn a_book_answers_for_all_instances_from_its_own_memory() {
    let store = MemoryUsageStore::new();
    let books = [UsageBook::new(), UsageBook::new(), UsageBook::new()];
    let mut instances = instances(&books, &store);
    assert_eq!(books[0].others_read_at(), None);
    for asked in 1..=3 {
        ask(&books[0], true).await;
        for _ in 0..2 {
            ask(&books[1], true).await;
        }
        for _ in 0..2 {
            for each in &mut instances {
                each.sync(SystemTime::now()).await.expect("cannot fail");
            }
        }
        assert_eq!(known(&books[0]), [3 * asked, asked]);
        assert_eq!(known(&books[1]), [3 * asked, 2 * asked]);
        // It has never been asked for that group.
        assert_eq!(known(&books[2]), [3 * asked, 0]);
    }
    assert!(books[0].others_read_at().is_some());
    // What is its own is known at once.
    ask(&books[0], true).await;
    assert_eq!(known(&books[0]), [10, 4]);
    let id = "a".into();
    let page = books[2].deployment(&id).expect("is known of the others");
    let later = SystemTime::now() + Duration::from_secs(60);
    assert_eq!(page.of_all().last(later, 30).successes(), 9);
}

#[tokio::test]
async fn a_store_that_has_lost_what_it_knew_gets_it_again() {
    let store = MemoryUsageStore::new();
    let books = [UsageBook::new(), UsageBook::new(), UsageBook::new()];
    let mut all = instances(&books, &store);
    let start = SystemTime::now();
    ask(&books[0], true).await;
    ask(&books[1], true).await;
    for each in &mut all[..2] {
        each.sync(start).await.expect("cannot fail");
    }
    store.lose();
    // Long after that minute has ended.
    let later = start + Duration::from_secs(20 * 60);
    for _ in 0..2 {
        all[2].sync(later).await.expect("cannot fail");
        assert_eq!(together(&store, start).await, (0, 0));
    }
    for _ in 0..2 {
        for each in &mut all {
            each.sync(later).await.expect("cannot fail");
        }
    }
    assert_eq!(together(&store, start).await, (2, 0));
    // The one that came when the store was empty knows it too.
    let page = books[2].group("gpt").expect("is known of the others");
    assert_eq!(page.of_all().last(later, 30).successes(), 2);
}

/// A store that can be lost.
#[derive(Clone, Default)]
struct Fickle {
    inner: MemoryUsageStore,
    is_lost: Arc<AtomicBool>,
}

impl UsageStore for Fickle {
    type Error = Error;

    async fn push(&self, instance: &str, rows: Vec<Row>) -> Result<bool, Error> {
        if self.is_lost.load(Relaxed) {
            return Err(Error::new(ErrorKind::Connect, "the store is gone"));
        }
        let Ok(is_known) = self.inner.push(instance, rows).await;
        Ok(is_known)
    }

    fn fetch(
        &self,
        _: RangeInclusive<Minute>,
        _: Option<&str>,
    ) -> impl Future<Output = Result<Vec<Row>, Error>> + Send {
        ready(Ok(Vec::new()))
    }
}

#[tokio::test]
async fn what_could_not_be_written_is_written_when_the_store_is_back() {
    let store = Fickle::default();
    let book = UsageBook::new();
    let mut instance = UsageSync::new(book.clone(), store.clone(), "one");
    let now = SystemTime::now();
    instance.sync(now).await.expect("it works");
    store.is_lost.store(true, Relaxed);
    ask(&book, true).await;
    for minutes in [0, 1, 5] {
        let later = now + Duration::from_secs(60 * minutes);
        assert!(instance.sync(later).await.is_err());
    }
    store.is_lost.store(false, Relaxed);
    assert_eq!(together(&store.inner, now).await, (0, 0));
    let later = now + Duration::from_secs(600);
    instance.sync(later).await.expect("it works again");
    assert_eq!(together(&store.inner, now).await, (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_done_last_is_written_at_the_end() {
    let (store, book) = (MemoryUsageStore::new(), UsageBook::new());
    let instance = UsageSync::new(book.clone(), store.clone(), "one");
    let hour = Duration::from_secs(3_600);
    let end = async {
        // It has synced once, and does not again for an hour.
        tokio::time::sleep(Duration::from_secs(1)).await;
        ask(&book, true).await;
        assert_eq!(together(&store, SystemTime::now()).await, (0, 0));
    };
    instance.run_until(hour, end).await;
    assert_eq!(together(&store, SystemTime::now()).await, (1, 0));
}

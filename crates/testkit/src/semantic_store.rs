//! What every [`SemanticStore`] does, as a suite that runs against one.
//!
//! ```
//! use ziggurat_cache::MemorySemanticStore;
//! use ziggurat_testkit::semantic_store;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let make = async || {
//!     let store = MemorySemanticStore::new(64 << 20, 10_000);
//!     [store.clone(), store]
//! };
//! semantic_store::check(make, async |store: &MemorySemanticStore| store.clear()).await;
//! # }
//! ```

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use ziggurat_cache::{CacheKey, Entry, Near, SemanticStore, Threshold, Vector};

/// How long what is kept may take to be found.
const PATIENCE: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(600);

/// Runs the suite. `make` makes an empty store, as two instances have it, and `lose` makes it lose
/// all it knows.
///
/// # Panics
///
/// If the store does not do what it has to.
pub async fn check<S: SemanticStore>(make: impl AsyncFn() -> [S; 2], lose: impl AsyncFn(&S)) {
    the_nearest_is_found_by_both_if_it_is_near_enough(&make().await).await;
    nothing_is_found_from_another_partition(&make().await).await;
    what_is_too_old_is_not_found(&make().await).await;
    what_was_kept_for_a_short_time_goes(&make().await).await;
    of_a_partition_the_last_thousand_are_found(&make().await).await;
    long_vectors_and_answers_are_found_too(&make().await).await;
    vectors_of_another_length_are_not_near(&make().await).await;
    what_was_lost_is_not_found_and_what_comes_then_is(&make().await, lose).await;
}

async fn the_nearest_is_found_by_both_if_it_is_near_enough<S: SemanticStore>(
    [one, other]: &[S; 2],
) {
    put(one, 1, [1.0, 0.0], "east");
    put(other, 1, [1.0, 0.3], "east by north");
    for store in [one, other] {
        is_found(store, 1, [5.0, 0.1], "east").await;
        is_found(store, 1, [5.0, 1.4], "east by north").await;
        let near = find(store, 1, vector([1.0, 0.0]), None).await;
        let near = near.expect("is there");
        assert!((near.similarity - 1.0).abs() < 1e-5, "{}", near.similarity);
        assert!(near.age < PATIENCE);
        let far = find(store, 1, vector([-1.0, 0.0]), None).await;
        assert!(far.is_none(), "{far:?}");
    }
}

async fn nothing_is_found_from_another_partition<S: SemanticStore>([one, other]: &[S; 2]) {
    put(one, 1, [1.0, 0.0], "mine");
    put(other, 2, [0.0, 1.0], "yours");
    for store in [one, other] {
        is_found(store, 1, [1.0, 0.0], "mine").await;
        is_found(store, 2, [0.0, 1.0], "yours").await;
        for (partition, at) in [(2, [1.0, 0.0]), (1, [0.0, 1.0]), (3, [1.0, 0.0])] {
            let found = find(store, partition, vector(at), None).await;
            assert!(found.is_none(), "{found:?}");
        }
    }
}

async fn what_is_too_old_is_not_found<S: SemanticStore>([one, other]: &[S; 2]) {
    put(one, 1, [1.0, 0.0], "old");
    is_found(other, 1, [1.0, 0.0], "old").await;
    sleep(Duration::from_millis(20)).await;
    let young = find(
        other,
        1,
        vector([1.0, 0.0]),
        Some(Duration::from_millis(10)),
    )
    .await;
    assert!(young.is_none(), "{young:?}");
    let old = find(other, 1, vector([1.0, 0.0]), Some(PATIENCE)).await;
    assert!(old.is_some_and(|it| it.age > Duration::from_millis(10)));
}

async fn what_was_kept_for_a_short_time_goes<S: SemanticStore>([one, other]: &[S; 2]) {
    let short = Duration::from_millis(500);
    let entry = Arc::new(Entry::whole("short"));
    one.put(key(1), vector([0.0, 1.0]), entry, short);
    put(one, 1, [1.0, 0.0], "long");
    is_found(other, 1, [1.0, 0.0], "long").await;
    let start = Instant::now();
    while find(other, 1, vector([0.0, 1.0]), None).await.is_some() {
        assert!(start.elapsed() < PATIENCE, "it stays");
        sleep(Duration::from_millis(10)).await;
    }
    is_found(other, 1, [1.0, 0.0], "long").await;
    one.put(
        key(1),
        vector([0.0, 1.0]),
        Arc::new(Entry::whole("none")),
        Duration::ZERO,
    );
    put(one, 1, [-1.0, 0.0], "after");
    is_found(other, 1, [-1.0, 0.0], "after").await;
    assert!(find(other, 1, vector([0.0, 1.0]), None).await.is_none());
}

async fn of_a_partition_the_last_thousand_are_found<S: SemanticStore>([one, other]: &[S; 2]) {
    put(one, 2, [0.0, 1.0], "other");
    put(one, 1, [0.0, 1.0], "first");
    is_found(other, 1, [0.0, 1.0], "first").await;
    for batch in 0..4 {
        for n in 0..250 {
            put(one, 1, [1.0, 0.0], &format!("{batch}-{n}"));
        }
        // So that no more wait than a queue may hold.
        put(one, 1, [-1.0, batch as f32], &batch.to_string());
        is_found(one, 1, [-1.0, batch as f32], &batch.to_string()).await;
    }
    assert!(find(other, 1, vector([0.0, 1.0]), None).await.is_none());
    is_found(other, 1, [-1.0, 3.0], "3").await;
    is_found(other, 2, [0.0, 1.0], "other").await;
}

async fn long_vectors_and_answers_are_found_too<S: SemanticStore>([one, other]: &[S; 2]) {
    const LENGTH: usize = 3_072;
    let at = |place: usize| {
        let mut numbers = vec![0.0; LENGTH];
        numbers[place] = 1.0;
        Vector::new(numbers).expect("is one")
    };
    let long = "x".repeat(200_000);
    for n in 0..100 {
        let answer = match n {
            50 => long.clone(),
            _ => n.to_string(),
        };
        one.put(key(1), at(n), Arc::new(Entry::whole(answer)), LONG);
    }
    for n in [0, 50, 99] {
        let expected = if n == 50 { long.clone() } else { n.to_string() };
        until_found(&format!("number {n}"), async || {
            let found = find(other, 1, at(n), None).await?;
            (text(&found) == expected).then_some(())
        })
        .await;
    }
    assert!(find(other, 1, at(LENGTH - 1), None).await.is_none());
}

async fn vectors_of_another_length_are_not_near<S: SemanticStore>([one, other]: &[S; 2]) {
    put(one, 1, [1.0, 0.0], "two numbers");
    is_found(other, 1, [1.0, 0.0], "two numbers").await;
    let three = Vector::new(vec![1.0, 0.0, 0.0]).expect("is one");
    assert!(find(other, 1, three, None).await.is_none());
}

async fn what_was_lost_is_not_found_and_what_comes_then_is<S: SemanticStore>(
    [one, other]: &[S; 2],
    lose: impl AsyncFn(&S),
) {
    put(one, 1, [1.0, 0.0], "before");
    for store in [one, other] {
        is_found(store, 1, [1.0, 0.0], "before").await;
    }
    lose(one).await;
    for store in [one, other] {
        assert!(find(store, 1, vector([1.0, 0.0]), None).await.is_none());
    }
    put(one, 1, [0.0, 1.0], "after");
    for store in [one, other] {
        is_found(store, 1, [0.0, 1.0], "after").await;
        assert!(find(store, 1, vector([1.0, 0.0]), None).await.is_none());
    }
}

fn key(n: u8) -> CacheKey {
    CacheKey::from_bytes([n; 32])
}

fn vector(numbers: [f32; 2]) -> Vector {
    Vector::new(numbers.to_vec()).expect("is one")
}

fn put<S: SemanticStore>(store: &S, partition: u8, at: [f32; 2], answer: &str) {
    let entry = Arc::new(Entry::whole(answer.to_owned()));
    store.put(key(partition), vector(at), entry, LONG);
}

async fn find<S: SemanticStore>(
    store: &S,
    partition: u8,
    at: Vector,
    max_age: Option<Duration>,
) -> Option<Near> {
    let threshold = Threshold::new(0.95).expect("is one");
    store
        .nearest(&key(partition), &at, threshold, max_age)
        .await
}

fn text(near: &Near) -> &str {
    let bytes = near.entry.bytes().expect("is whole");
    std::str::from_utf8(bytes).expect("is a text")
}

async fn is_found<S: SemanticStore>(store: &S, partition: u8, at: [f32; 2], answer: &str) {
    until_found(answer, async || {
        let found = find(store, partition, vector(at), None).await?;
        (text(&found) == answer).then_some(())
    })
    .await;
}

async fn until_found(what: &str, look: impl AsyncFn() -> Option<()>) {
    let start = Instant::now();
    while look().await.is_none() {
        assert!(start.elapsed() < PATIENCE, "is not found: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

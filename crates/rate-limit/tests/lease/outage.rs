//! When the store does not answer.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use ziggurat_core::{Reason, Usage};
use ziggurat_rate_limit::{Actual, Leasing, Limits, Outage, Rate, Settle};

use crate::support::{Instance, MILLI, SECOND, Store, Way, instance, instances};

const USED: Actual = Actual::Complete {
    usage: Usage::new(0, 1),
    money: None,
};

/// How many of so many pass, one after the other, and how long the slowest took.
async fn pass(instance: &Instance, limits: &Limits, number: usize) -> (usize, Duration) {
    let mut passed = 0;
    let mut slowest = Duration::ZERO;
    for _ in 0..number {
        let start = Instant::now();
        if let Ok(mut permit) = instance.ask(limits, 1).await {
            permit.settle(USED);
            passed += 1;
        }
        slowest = slowest.max(start.elapsed());
    }
    (passed, slowest)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_waited_for_once_and_afterwards_the_counts_are_right() {
    let store = Store::new();
    let instances = instances(&store, 4);
    let limits = Limits::none().with_requests(Rate::per_minute(100));
    for instance in &instances {
        assert_eq!(pass(instance, &limits, 5).await.0, 5);
    }
    sleep(2 * SECOND).await;
    store.set(Way::Hangs);
    sleep(SECOND).await;
    for instance in &instances {
        // A share is 25, of which 5 are used.
        let (passed, slowest) = pass(instance, &limits, 10).await;
        assert_eq!(passed, 10);
        assert!(slowest <= 5 * MILLI, "{slowest:?}");
        let (passed, slowest) = pass(instance, &limits, 100).await;
        assert_eq!((passed, slowest), (10, Duration::ZERO), "nobody waits");
    }
    store.set(Way::Serves(MILLI));
    sleep(3 * SECOND).await;
    assert_eq!(store.counts(&limits), [(100, 0)]);
    assert!(instances.iter().all(|it| it.limiter.is_up()));
    let passed = join_all(instances.iter().map(|it| it.ask(&limits, 1))).await;
    assert!(passed.iter().all(Result::is_err), "all is used");
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_while_the_store_hangs_is_given_back_when_it_answers() {
    let store = Store::new();
    let instance = instance(&store, Leasing::new());
    let limits = Limits::none().with_tokens(Rate::per_minute(100));
    let permit = instance.ask(&limits, 40).await.expect("there is room");
    sleep(SECOND).await;
    assert_eq!(store.counts(&limits)[0].0, 40, "the store has heard of it");
    store.set(Way::Hangs);
    // With that, nothing is used any more as this instance knows it, and it has told so in vain.
    drop(permit);
    sleep(5 * SECOND).await;
    store.set(Way::Serves(MILLI));
    sleep(5 * SECOND).await;
    assert_eq!(store.counts(&limits), [(0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_takes_no_time() {
    let store = Store::new();
    store.set(Way::Fails);
    let instances = instances(&store, 1);
    let limits = Limits::none().with_requests(Rate::per_minute(10));
    let (passed, slowest) = pass(&instances[0], &limits, 20).await;
    assert_eq!((passed, slowest), (10, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn without_the_store_all_pass_or_none_if_that_is_wanted() {
    let store = Store::new();
    store.set(Way::Hangs);
    let limits = Limits::none().with_requests(Rate::per_minute(10));
    let open = instance(&store, Leasing::new().outage(Outage::Open));
    assert_eq!(pass(&open, &limits, 50).await.0, 50);
    let closed = instance(&store, Leasing::new().outage(Outage::Closed));
    let refused = closed.ask(&limits, 1).await.expect_err("none passes");
    assert_eq!(refused.rejection().reason(), Reason::Unchecked);
    let told = refused.rejection().status_and_code();
    assert_eq!((told.0.as_u16(), told.1), (503, "limit_store_unavailable"));
    assert!(
        refused
            .to_string()
            .contains("the store that instances share is gone")
    );
    assert_eq!(refused.rejection().ends_at(), Some(Instant::now() + SECOND));
    store.set(Way::Serves(MILLI));
    sleep(3 * SECOND).await;
    assert_eq!(store.counts(&limits), [(50, 0)]);
    assert!(closed.ask(&limits, 1).await.is_err(), "too much is used");
}

#[tokio::test(start_paused = true)]
async fn what_a_store_has_forgotten_it_is_told_again() {
    let store = Store::new();
    let instances = instances(&store, 3);
    let limits = Limits::none()
        .with_requests(Rate::per_minute(100))
        .with_in_flight(5);
    let mut running = Vec::new();
    for instance in &instances {
        assert_eq!(pass(instance, &limits, 10).await.0, 10);
        running.push(instance.ask(&limits, 1).await.expect("there is room"));
    }
    sleep(SECOND).await;
    assert_eq!(store.counts(&limits), [(33, 0), (0, 3)]);
    store.inner.forget();
    sleep(3 * SECOND).await;
    assert_eq!(store.counts(&limits), [(33, 0), (0, 3)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_charges_nothing_twice() {
    let store = Store::new();
    let instances = instances(&store, 2);
    let limits = Limits::none().with_requests(Rate::per_minute(1_000));
    let mut passed = 0;
    for round in 0..40 {
        store.set(if round % 2 == 0 {
            Way::Serves(MILLI)
        } else {
            Way::Loses
        });
        for instance in &instances {
            passed += pass(instance, &limits, 5).await.0;
        }
        sleep(150 * MILLI).await;
    }
    store.set(Way::Serves(MILLI));
    sleep(3 * SECOND).await;
    assert_eq!(passed, 400);
    assert_eq!(store.counts(&limits), [(400, 0)]);
}

#[tokio::test(start_paused = true)]
async fn who_was_taken_for_dead_and_comes_back_is_counted_as_it_says() {
    let store = Store::new();
    let instances = instances(&store, 2);
    let limits = Limits::none()
        .with_requests(Rate::per_minute(100))
        .with_in_flight(2);
    let held = instances[0].ask(&limits, 1).await.expect("there is room");
    assert_eq!(pass(&instances[0], &limits, 10).await.0, 10);
    store.set(Way::Hangs);
    sleep(20 * SECOND).await;
    assert_eq!(store.counts(&limits)[1].1, 0, "its lease has expired");
    store.set(Way::Serves(MILLI));
    sleep(3 * SECOND).await;
    assert_eq!(store.counts(&limits), [(11, 0), (0, 1)]);
    drop(held);
    sleep(SECOND).await;
    assert_eq!(store.counts(&limits), [(10, 0), (0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_store_knows_the_others_from_the_start() {
    let store = Store::new();
    store.set(Way::Hangs);
    let instances = instances(&store, 4);
    let joined = timeout(20 * SECOND, instances[0].limiter.joined()).await;
    assert!(joined.is_err(), "nothing was heard yet");
    store.set(Way::Serves(MILLI));
    for instance in &instances {
        let joined = timeout(2 * SECOND, instance.limiter.joined()).await;
        assert!(joined.is_ok(), "the store answers");
    }
    sleep(2 * SECOND).await;
    store.set(Way::Fails);
    // A second time there is nothing to wait for.
    instances[0].limiter.joined().await;
    let limits = Limits::none().with_requests(Rate::per_minute(100));
    assert_eq!(pass(&instances[0], &limits, 100).await.0, 25, "its share");
}

//! What is forgotten because somebody asks for it.

use tokio::time::{Instant, sleep};
use ziggurat_core::Usage;
use ziggurat_rate_limit::{Actual, Limit, Limits, Measure, Period, Rate, Settle, Window};

use crate::support::{Instance, MILLI, SECOND, Store, Way, instances, key};

fn used(tokens: u64) -> Actual {
    Actual::Complete {
        usage: Usage::new(0, tokens),
        money: None,
    }
}

/// A hundred tokens in each kind of window that is longer than a test.
fn all() -> [Limits; 4] {
    let rate = Rate::new(100, 3_600 * SECOND).expect("a valid period");
    let fixed = |period| Limit::new(Measure::Tokens, 100, Window::Fixed(period));
    [
        rate.of(Measure::Tokens),
        rate.smooth().of(Measure::Tokens),
        fixed(Period::Rolling(3_600 * SECOND)),
        fixed(Period::Forever),
    ]
    .map(|limit| Limits::none().with(limit))
}

/// How many of so many tokens are let pass, by ten.
async fn pass(instance: &Instance, limits: &Limits, tokens: u64) -> u64 {
    let mut passed = 0;
    for _ in 0..tokens / 10 {
        if let Ok(mut permit) = instance.ask(limits, 10).await {
            permit.settle(used(10));
            passed += 10;
        }
        sleep(20 * MILLI).await;
    }
    // What is leased and not used goes back.
    sleep(SECOND).await;
    passed
}

#[tokio::test(start_paused = true)]
async fn what_one_instance_resets_all_may_use_again() {
    for limits in all() {
        let store = Store::new();
        let instances = instances(&store, 2);
        assert_eq!(pass(&instances[0], &limits, 50).await, 50);
        assert_eq!(pass(&instances[1], &limits, 100).await, 50);
        assert_eq!(store.counts(&limits), [(100, 0)], "{limits:?}");
        instances[0]
            .limiter
            .clear(|_, limit| limit.measure() == Measure::Money);
        sleep(SECOND).await;
        assert_eq!(store.counts(&limits), [(100, 0)], "that is another limit");

        instances[0].limiter.clear(|of, _| *of == key());
        sleep(SECOND).await;
        assert_eq!(store.counts(&limits), [(0, 0)], "{limits:?}");
        assert_eq!(pass(&instances[1], &limits, 70).await, 70, "{limits:?}");
        assert_eq!(pass(&instances[0], &limits, 70).await, 30, "{limits:?}");
        // Each knows what it used since.
        let own = instances.iter().map(|it| {
            let now = Instant::now();
            it.limiter.used(&key(), Measure::Tokens, now)
        });
        assert_eq!(own.collect::<Vec<_>>(), [30, 70], "{limits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_before_gives_nothing_back_and_charges_what_it_uses_beyond() {
    for limits in all() {
        let store = Store::new();
        let instances = instances(&store, 2);
        let mut less = instances[1].ask(&limits, 30).await.expect("there is room");
        let mut more = instances[1].ask(&limits, 30).await.expect("there is room");
        sleep(SECOND).await;
        drop(instances[0].ask(&limits, 1).await);
        instances[0].limiter.clear(|_, _| true);
        sleep(SECOND).await;
        assert_eq!(pass(&instances[0], &limits, 40).await, 40);
        less.settle(used(10));
        more.settle(used(35));
        sleep(SECOND).await;
        assert_eq!(store.counts(&limits), [(45, 0)], "{limits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_waits_for_the_store_and_what_runs_stays_counted() {
    let store = Store::new();
    let instances = instances(&store, 1);
    let limits = Limits::none()
        .with_requests(Rate::per_minute(3))
        .with_in_flight(3);
    let mut running = Vec::new();
    for _ in 0..3 {
        running.push(instances[0].ask(&limits, 1).await.expect("there is room"));
    }
    sleep(SECOND).await;
    for way in [Way::Loses, Way::Fails, Way::Hangs] {
        store.set(way);
        instances[0].limiter.clear(|_, _| true);
        sleep(SECOND).await;
    }
    store.set(Way::Serves(MILLI));
    sleep(3 * SECOND).await;
    assert_eq!(store.counts(&limits), [(0, 0), (0, 3)]);
    assert!(
        instances[0].ask(&limits, 1).await.is_err(),
        "all places are taken"
    );
    drop(running);
    sleep(SECOND).await;
    assert_eq!(store.counts(&limits), [(0, 0), (0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_that_finds_an_empty_store_forgets_what_was_used_here_too() {
    for limits in all() {
        let store = Store::new();
        let instances = instances(&store, 2);
        for instance in &instances {
            assert_eq!(pass(instance, &limits, 50).await, 50);
        }
        store.set(Way::Fails);
        for instance in &instances {
            instance.limiter.clear(|_, _| true);
        }
        sleep(SECOND).await;
        store.inner.forget();
        store.set(Way::Serves(MILLI));
        sleep(3 * SECOND).await;
        assert_eq!(store.counts(&limits), [(0, 0)], "{limits:?}");
        let own = instances.iter().map(|it| {
            let now = Instant::now();
            it.limiter.used(&key(), Measure::Tokens, now)
        });
        assert_eq!(own.collect::<Vec<_>>(), [0, 0], "{limits:?}");
        assert_eq!(pass(&instances[1], &limits, 100).await, 100, "{limits:?}");
    }
}

//! How many calls a request can cause.

use futures_util::future::join_all;
use tokio::{task::JoinSet, time::sleep};
use ziggurat::ErrorKind;

use crate::stack::{
    leaf::{Leaf, Step},
    support::{gpt, router, secs, send},
};

#[tokio::test(start_paused = true)]
async fn two_retries_at_a_single_deployment_that_always_fails_are_three_calls() {
    let leaf = Leaf::default();
    leaf.always("a", Step::fail(ErrorKind::Internal));
    let router = router(
        &leaf,
        &[("gpt", &["a"])],
        "router_settings: {num_retries: 2}",
    );
    let sent = send(&router, gpt()).await;
    assert_eq!(sent.kind(), Some(ErrorKind::Internal));
    assert_eq!((leaf.count(), sent.attempts()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn retries_are_counted_and_not_multiplied_by_the_number_of_deployments() {
    let leaf = Leaf::default();
    let ids = ["a", "b", "c", "d", "e"];
    for id in ids {
        leaf.always(id, Step::fail(ErrorKind::Overloaded));
    }
    let router = router(
        &leaf,
        &[("gpt", &ids)],
        "router_settings: {num_retries: 2, disable_cooldowns: true}",
    );
    for request in 1..=4 {
        assert!(!send(&router, gpt()).await.is_ok());
        assert_eq!(leaf.count(), 3 * request);
    }
}

/// Offers a thousand requests in each of so many seconds.
async fn flood(router: &ziggurat::Router, seconds: usize) {
    let mut running = JoinSet::new();
    for _ in 0..seconds * 100 {
        for _ in 0..10 {
            running.spawn(send(router, gpt()));
        }
        sleep(secs(1) / 100).await;
        while running.try_join_next().is_some() {}
    }
    running.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_at_a_thousand_requests_a_second_costs_a_fifth_more_calls_and_the_minimum() {
    const SECONDS: usize = 8;
    const OFFERED: usize = SECONDS * 1_000;
    // Back-offs may reach into the ten seconds after the last request.
    const MINIMUM: usize = 10 * (SECONDS + 20);
    for (ids, retries) in [(&["a"][..], 2), (&["a", "b", "c"], 3)] {
        let leaf = Leaf::default();
        for id in ids {
            leaf.always(id, Step::fail(ErrorKind::Unavailable).after(20));
        }
        let settings = format!("router_settings: {{num_retries: {retries}}}");
        let router = router(&leaf, &[("gpt", ids)], &settings);
        flood(&router, SECONDS).await;
        let calls = leaf.count();
        assert!(calls >= OFFERED, "each request is tried: {calls}");
        assert!(
            calls <= OFFERED * 12 / 10 + MINIMUM,
            "{ids:?}: {calls} calls for {OFFERED} requests"
        );
        assert_eq!((router.in_flight(), leaf.live()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_a_request_are_bounded_over_all_retries_and_fallbacks() {
    let leaf = Leaf::default();
    let groups = [
        ("gpt", &["a", "b"][..]),
        ("claude", &["c", "d"]),
        ("llama", &["e", "f"]),
    ];
    for id in ["a", "b", "c", "d", "e", "f"] {
        leaf.always(id, Step::fail(ErrorKind::Internal));
    }
    let settings = "router_settings: {num_retries: 5, fallbacks: [{gpt: [claude, llama]}]}";
    // Those of a group, and one for each fallback.
    for (own, most) in [("", 8), ("\nziggurat_settings: {max_attempts: 2}", 2)] {
        leaf.forget();
        let router = router(&leaf, &groups, &format!("{settings}{own}"));
        let sent = send(&router, gpt()).await;
        assert_eq!((leaf.count(), sent.attempts()), (most, most), "{own}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_concurrent_requests_to_a_healthy_group_are_a_hundred_calls() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(300));
    leaf.always("b", Step::ok().after(700));
    let router = router(&leaf, &[("gpt", &["a", "b"])], "");
    let all = join_all((0..100).map(|_| send(&router, gpt()))).await;
    assert!(all.iter().all(|sent| sent.is_ok() && sent.attempts() == 1));
    assert_eq!(leaf.count(), 100);
}

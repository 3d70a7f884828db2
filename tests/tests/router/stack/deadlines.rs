//! Time is bounded.

use futures_util::future::join_all;
use serde_json::json;
use tower::ServiceExt as _;
use ziggurat::{Clock, ErrorKind};

use crate::stack::{
    leaf::{Leaf, Step},
    support::{gpt, request, router, secs, send, streamed},
};

const FIVE: [&str; 5] = ["a", "b", "c", "d", "e"];

#[tokio::test(start_paused = true)]
async fn the_answer_comes_by_the_deadline_even_when_every_attempt_hangs() {
    for (timeout, retries) in [(3, 9), (6_000, 9), (1, 2), (10, 9), (9, 9)] {
        for id in ["a", "all"] {
            let leaf = Leaf::default();
            let members = if id == "a" { &FIVE[..1] } else { &FIVE };
            for id in FIVE {
                leaf.always(id, Step::hang());
            }
            let router = router(
                &leaf,
                &[("gpt", members)],
                &format!(
                    "router_settings: {{num_retries: {retries}, timeout: {timeout}}}\nziggurat_settings: {{deadline: 10}}"
                ),
            );
            for request in [gpt, streamed] {
                leaf.forget();
                let sent = send(&router, request()).await;
                assert!(
                    matches!(sent.kind(), Some(ErrorKind::Timeout(_))),
                    "{:?}",
                    sent.result
                );
                assert!(
                    sent.took <= secs(10) + secs(1) / 100,
                    "{:?}: {}",
                    sent.took,
                    sent.trail
                );
                assert!(leaf.calls().iter().all(|call| call.into < secs(10)));
                assert_eq!((router.in_flight(), leaf.live()), (0, 0));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_after_the_deadline_whatever_goes_wrong() {
    let faults = [
        Step::hang(),
        Step::fail(ErrorKind::Internal).after(2_700),
        Step::fail(ErrorKind::Internal),
        Step::throttled(3),
        Step::throttled(3).after(900),
        Step::fail(ErrorKind::Connect).after(4_999),
    ];
    for fault in &faults {
        for members in [&FIVE[..1], &FIVE[..2], &FIVE] {
            let leaf = Leaf::default();
            for id in FIVE {
                leaf.always(id, fault.clone());
            }
            let router = router(
                &leaf,
                &[("gpt", members), ("claude", &["f"])],
                "router_settings: {num_retries: 20, timeout: 2, fallbacks: [{gpt: [claude]}]}\nziggurat_settings: {deadline: 10, max_attempts: 40}",
            );
            leaf.always("f", fault.clone());
            let all = join_all((0..8).map(|_| send(&router, gpt()))).await;
            for sent in all {
                assert!(!sent.is_ok());
                assert!(
                    sent.took <= secs(10) + secs(1) / 100,
                    "{fault:?}: {:?}",
                    sent.took
                );
            }
            let late: Vec<_> = leaf
                .calls()
                .into_iter()
                .filter(|call| call.into >= secs(10))
                .collect();
            assert!(late.is_empty(), "{fault:?}: {late:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_the_time_in_the_queue() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(4_000));
    let router = router(
        &leaf,
        &[("gpt", &["a"])],
        "ziggurat_settings: {deadline: 10, queue: {capacity: 1}}",
    );
    let all = join_all((0..6).map(|_| send(&router, gpt()))).await;
    // Turns come at 0, 4 and 8 s; the third has two seconds left of its ten.
    let ok = all.iter().filter(|sent| sent.is_ok()).count();
    assert_eq!(ok, 2);
    for sent in &all {
        assert!(sent.took <= secs(10) + secs(1) / 100, "{:?}", sent.took);
        if !sent.is_ok() {
            assert_eq!(sent.kind(), Some(ErrorKind::Timeout(Clock::Total)));
        }
    }
    assert_eq!(leaf.count(), 3, "those that ran out of time were not sent");
    assert_eq!((router.in_flight(), leaf.live()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_begun_is_not_cut_by_the_deadline() {
    let leaf = Leaf::default();
    leaf.always("a", Step::stream(30));
    let router = router(
        &leaf,
        &[("gpt", &["a"])],
        "ziggurat_settings: {deadline: 10}",
    );
    let sent = send(&router, streamed()).await;
    let read = crate::stack::support::read(sent.result.expect("answers")).await;
    assert_eq!(read, (30, None));
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_short_timeout_rests_no_deployment() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(2_000));
    leaf.always("b", Step::ok().after(2_000));
    let router = router(&leaf, &[("gpt", &["a", "b"])], "");
    for _ in 0..10 {
        assert!(
            !send(&router, request("gpt", json!({"timeout": 1})))
                .await
                .is_ok()
        );
    }
    for id in ["a", "b"] {
        let state = router.cooldown().state(&id.into());
        assert_eq!(state, ziggurat::cooldown::State::Closed);
    }
}

/// Clones share a ledger, so without a fresh one the second would be too late.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_again_has_its_whole_time_again() {
    let leaf = Leaf::default();
    let router = router(
        &leaf,
        &[("gpt", &["a"])],
        "ziggurat_settings: {deadline: 10, max_attempts: 1}",
    );
    let template = gpt();
    for _ in 0..3 {
        let answer = router.clone().oneshot(template.clone()).await;
        assert!(answer.is_ok(), "{answer:?}");
        tokio::time::advance(secs(12)).await;
    }
    assert_eq!(leaf.count(), 3);
}

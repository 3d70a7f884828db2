//! What a provider's 429 costs.

use futures_util::future::join_all;
use tokio::time::Instant;
use ziggurat::ErrorKind;

use crate::stack::{
    leaf::{Leaf, Step},
    support::{gpt, router, secs, send},
};

#[tokio::test(start_paused = true)]
async fn a_single_deployment_is_left_alone_for_as_long_as_each_retry_after_asks() {
    let leaf = Leaf::default();
    leaf.script("a", [1, 4, 8].map(Step::throttled));
    let router = router(
        &leaf,
        &[("gpt", &["a"])],
        "router_settings: {num_retries: 3}",
    );
    let sent = send(&router, gpt()).await;
    assert!(sent.is_ok(), "{:?}", sent.result);
    let calls = leaf.calls();
    let gaps: Vec<_> = calls
        .windows(2)
        .map(|two| (two[1].at - two[0].at).as_secs())
        .collect();
    assert_eq!(gaps.len(), 3);
    for (gap, asked) in gaps.iter().zip([1, 4, 8]) {
        assert!(gap >= &asked && gap <= &(asked + 4), "{gaps:?}");
    }
}

/// Both targets of a group say 429 for the first second.
fn throttled_at_first(leaf: &Leaf) {
    let back = Instant::now() + secs(1);
    for id in ["a", "b"] {
        leaf.behave(id, move || {
            if Instant::now() < back {
                Step::throttled(1).after(5)
            } else {
                Step::ok().after(50)
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_throttled_for_a_second_costs_no_client_error_within_ten() {
    for retries in ["", "num_retries: 3"] {
        let leaf = Leaf::default();
        throttled_at_first(&leaf);
        let settings =
            format!("router_settings: {{{retries}}}\nziggurat_settings: {{deadline: 10}}");
        let router = router(&leaf, &[("gpt", &["a", "b"])], &settings);
        let all = join_all((0..20).map(|_| send(&router, gpt()))).await;
        for sent in &all {
            assert!(sent.is_ok(), "{retries}: {:?}: {}", sent.result, sent.trail);
            assert!(sent.took < secs(10), "{}", sent.trail);
        }
        assert_eq!((router.in_flight(), leaf.live()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_the_whole_group_rests_waits_for_it_and_is_answered() {
    let leaf = Leaf::default();
    throttled_at_first(&leaf);
    let router = router(
        &leaf,
        &[("gpt", &["a", "b"])],
        "ziggurat_settings: {deadline: 10}",
    );
    let early = send(&router, gpt());
    let late = async {
        tokio::time::sleep(secs(1) / 2).await;
        let all = join_all((0..20).map(|_| send(&router, gpt()))).await;
        all.into_iter().all(|sent| sent.is_ok())
    };
    let (early, late) = tokio::join!(early, late);
    assert!(early.is_ok() && late);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_passes_the_deadline_fails_at_once_with_the_providers_own_word() {
    let leaf = Leaf::default();
    leaf.always("a", Step::throttled(30));
    let router = router(
        &leaf,
        &[("gpt", &["a"])],
        "ziggurat_settings: {deadline: 10}",
    );
    let sent = send(&router, gpt()).await;
    assert_eq!(sent.kind(), Some(ErrorKind::RateLimited));
    let error = sent.result.expect_err("fails");
    assert_eq!(
        (error.status().as_u16(), error.retry_after()),
        (429, Some(secs(30)))
    );
    assert!(sent.took < secs(1) && leaf.count() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_group_with_a_fallback_is_left_at_once() {
    let leaf = Leaf::default();
    leaf.always("a", Step::throttled(5));
    let router = router(
        &leaf,
        &[("gpt", &["a"]), ("claude", &["c"])],
        "router_settings: {num_retries: 3, fallbacks: [{gpt: [claude]}]}",
    );
    for _ in 0..10 {
        let sent = send(&router, gpt()).await;
        assert!(sent.is_ok() && sent.took < secs(1), "{}", sent.trail);
    }
    assert_eq!(leaf.count_of("a"), 1, "then it rests");
}

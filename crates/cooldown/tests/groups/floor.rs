//! Who rests when few are left.

use std::{sync::Barrier, time::Duration};

use tokio::time::advance;
use ziggurat_cooldown::{CooldownLayer, CooldownPolicy, State};
use ziggurat_core::{Deployment, Error, ErrorKind, HasLedger, LlmRequest, Scope, Snapshot};

use crate::{Test, gpt};

#[tokio::test(start_paused = true)]
async fn the_last_of_a_group_does_not_rest() {
    let test = Test::new([gpt("a"), gpt("b"), Deployment::new("c", "claude", "m")]);
    for _ in 0..9 {
        test.fails("a", ErrorKind::RateLimited);
        test.fails("b", ErrorKind::RateLimited);
        test.fails("c", ErrorKind::Authentication);
    }
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_a_group_rests_if_the_request_can_go_to_another_group() {
    let test = Test::new([gpt("a")]);
    test.fails_with(1, "a", ErrorKind::RateLimited);
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_a_group_rests_when_another_is_back() {
    let test = Test::new([gpt("a"), gpt("b")]);
    test.fails("a", ErrorKind::RateLimited);
    advance(Duration::from_secs(5)).await;
    test.fails("b", ErrorKind::RateLimited);
    assert!(test.resting().is_empty(), "a has not been probed");
    test.answers("a");
    test.fails("b", ErrorKind::RateLimited);
    assert_eq!(test.resting(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_serves_on_if_nobody_else_does() {
    let test = Test::new([gpt("a"), gpt("b")]);
    test.fails("a", ErrorKind::RateLimited);
    advance(Duration::from_secs(5)).await;
    test.fails_with(1, "b", ErrorKind::RateLimited);
    test.fails("a", ErrorKind::Internal);
    assert_eq!(test.layer.state(&"a".into()), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_never_rests_serves() {
    let steady = gpt("a").with_cooldown_time(Duration::ZERO);
    let test = Test::new([steady, gpt("b")]);
    test.fails("a", ErrorKind::RateLimited);
    test.fails("b", ErrorKind::RateLimited);
    assert_eq!(test.resting(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn wildcard_groups_have_a_floor_too() {
    let wildcard = |id| Deployment::new(id, "openai/*", "*");
    let test = Test::new([wildcard("a"), wildcard("b"), Deployment::new("c", "*", "*")]);
    for id in ["a", "b", "c"] {
        test.fails(id, ErrorKind::RateLimited);
    }
    assert_eq!(test.resting(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_reload_may_take_away_what_fails() {
    let test = Test::new([gpt("a"), gpt("b")]);
    let gone = test.find("a");
    test.deployments.swap(Snapshot::new([gpt("b")]));
    let error = test.sends(0, gone, Err(ErrorKind::RateLimited));
    assert!(error.is_err());
    test.fails("b", ErrorKind::RateLimited);
    assert!(test.resting().is_empty(), "b is the last");
}

#[tokio::test(start_paused = true)]
async fn without_the_list_everybody_rests() {
    let mut test = Test::new([gpt("a")]);
    test.layer = CooldownLayer::new(CooldownPolicy::new());
    test.fails("a", ErrorKind::RateLimited);
    assert_eq!(test.resting(), ["a"]);
}

#[test]
fn two_that_fail_at_the_same_time_do_not_both_rest() {
    for _ in 0..500 {
        let test = Test::new([gpt("a"), gpt("b")]);
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            for id in ["a", "b"] {
                let (test, barrier) = (&test, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    test.fails(id, ErrorKind::RateLimited);
                });
            }
        });
        assert_eq!(test.resting().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_has_failed_is_no_probe_while_another_serves_that_it_has_not_tried() {
    let test = Test::new([gpt("a"), gpt("b"), gpt("c")]);
    test.fails("a", ErrorKind::RateLimited);
    advance(Duration::from_secs(5)).await;
    for (tried, is_probe) in [(&["c", "a"][..], false), (&["b", "c", "a"], true)] {
        let request = LlmRequest::chat("gpt", "hi");
        let ledger = request.ledger().expect("has one");
        for id in tried {
            let attempt = ledger.attempt(&test.find(id));
            drop(attempt.expect("some are left"));
        }
        let answer = test.dispatch(request, test.find("a"), Ok(())).await;
        let refusal = answer.err().and_then(|error| error.rejection().cloned());
        assert_eq!(refusal.is_none(), is_probe, "{tried:?}");
        if let Some(refusal) = refusal {
            assert_eq!(refusal.scope(), Scope::Attempt);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_of_a_group_serve_as_the_policy_says() {
    for (min, resting) in [
        (0, &["a", "b", "c", "d"][..]),
        (1, &["a", "b", "c"]),
        (2, &["a", "b"]),
        (3, &["a"]),
        (4, &[]),
    ] {
        let policy = CooldownPolicy::new().min_serving(min);
        let test = Test::with(policy, ["a", "b", "c", "d"].map(gpt));
        for id in ["a", "b", "c", "d"] {
            test.fails(id, ErrorKind::NotFound);
        }
        assert_eq!(test.resting(), resting, "{min}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_rests_already_may_rest_longer_whoever_serves() {
    let test = Test::new([gpt("a")]);
    let throttled = Error::new(ErrorKind::RateLimited, "slow down");
    let other = test.begins(0, test.find("a"), Err(throttled));
    test.fails_with(1, "a", ErrorKind::RateLimited);
    let before = test.until("a").expect("the request could go elsewhere");
    advance(Duration::from_secs(3)).await;
    other.await.expect_err("fails");
    assert_eq!(test.until("a"), Some(before + Duration::from_secs(3)));
}

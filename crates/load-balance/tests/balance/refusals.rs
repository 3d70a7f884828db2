//! What becomes of refusals from below.

use std::time::Duration;

use tokio::time::{Instant, advance, sleep};
use tower::ServiceExt;
use ziggurat_core::{
    Deployments, Error, ErrorKind, HasLedger, LlmResponse, Reason, Rejection, Scope, Snapshot,
};
use ziggurat_load_balance::{LoadBalanceLayer, SimpleShuffle};

use crate::support::{Asked, balanced, balanced_with, in_order, member, refusal, refused, request};

#[tokio::test(start_paused = true)]
async fn a_refusing_deployment_is_left_alone_for_a_while_and_the_next_one_serves() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    let stack = balanced(&layer, &asked, |id| match id {
        "a" => Err(refusal(Scope::Deployment)),
        _ => Ok("fine"),
    });
    for (later, expected) in [(0, &["a", "b"][..]), (249, &["b"]), (1, &["a", "b"])] {
        advance(Duration::from_millis(later)).await;
        stack.clone().oneshot(request()).await.expect("b serves");
        assert_eq!(asked.take(), expected, "{later} ms later");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_ends_soon_is_not_remembered_for_longer() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    let stack = balanced(&layer, &asked, |id| match id {
        "a" => {
            let rejection = Rejection::new(Reason::Busy, Scope::Deployment);
            Err(refused(
                rejection.retry_at(Instant::now() + Duration::from_millis(10)),
            ))
        }
        _ => Ok("fine"),
    });
    for (later, expected) in [(0, &["a", "b"][..]), (9, &["b"]), (1, &["a", "b"])] {
        advance(Duration::from_millis(later)).await;
        stack.clone().oneshot(request()).await.expect("b serves");
        assert_eq!(asked.take(), expected, "{later} ms later");
    }
}

#[tokio::test(start_paused = true)]
async fn what_concerns_one_request_is_not_remembered_for_the_next() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    let stack = balanced(&layer, &asked, |id| match id {
        "a" => Err(refusal(Scope::Attempt)),
        _ => Ok("fine"),
    });
    for _ in 0..2 {
        stack.clone().oneshot(request()).await.expect("b serves");
        assert_eq!(asked.take(), ["a", "b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_deployment_can_help_goes_up_at_once() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    let stack = balanced(&layer, &asked, |_| Err(refusal(Scope::Request)));
    for _ in 0..2 {
        let request = request();
        let error = stack.clone().oneshot(request.clone()).await;
        let error = error.expect_err("it is refused");
        assert_eq!(error.message(), "refused");
        assert_eq!(asked.take(), ["a"]);
        let ledger = request.ledger().expect("it has one");
        assert_eq!((ledger.attempts(), ledger.attempts_left()), (0, 6));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_an_attempt_and_goes_up_with_the_deployments_name() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    let stack = balanced(&layer, &asked, |_| {
        Err(Error::new(ErrorKind::Overloaded, "overloaded"))
    });
    let request = request();
    let error = stack.oneshot(request.clone()).await.expect_err("it fails");
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert_eq!(error.deployment().map(|id| id.as_str()), Some("a"));
    assert_eq!(asked.take(), ["a"]);
    let ledger = request.ledger().expect("it has one");
    assert_eq!(ledger.trail().to_string(), "a=overloaded/0ms");
}

#[tokio::test(start_paused = true)]
async fn refusals_cost_no_attempts() {
    let asked = Asked::default();
    let ids: Vec<_> = (0..100).map(|i| format!("d{i}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let layer = LoadBalanceLayer::new(in_order(&ids), SimpleShuffle);
    let stack = balanced(&layer, &asked, |id| match id {
        "d99" => Ok("fine"),
        _ => Err(refusal(Scope::Attempt)),
    });
    let request = request();
    stack
        .oneshot(request.clone())
        .await
        .expect("the last serves");
    assert_eq!(asked.take().len(), 100);
    let ledger = request.ledger().expect("it has one");
    assert_eq!((ledger.attempts(), ledger.attempts_left()), (1, 5));
}

#[tokio::test(start_paused = true)]
async fn when_all_are_known_to_refuse_the_one_that_is_free_first_is_asked_once() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b", "c"]), SimpleShuffle);
    let stack = balanced(&layer, &asked, |id| {
        let (reason, after) = match id {
            "a" => (Reason::RateLimited, 200),
            "b" => (Reason::Cooldown, 100),
            _ => (Reason::RateLimited, 9_000),
        };
        let at = Instant::now() + Duration::from_millis(after);
        Err(refused(
            Rejection::new(reason, Scope::Deployment).retry_at(at),
        ))
    });
    let error = stack
        .clone()
        .oneshot(request())
        .await
        .expect_err("all refuse");
    assert_eq!(asked.take(), ["a", "b", "c"]);
    assert_eq!(error.retry_after(), Some(Duration::from_millis(100)));

    advance(Duration::from_millis(50)).await;
    let error = stack
        .clone()
        .oneshot(request())
        .await
        .expect_err("all refuse");
    assert_eq!(asked.take(), ["b"]);
    let rejection = error.rejection().expect("it is a refusal");
    assert_eq!(rejection.reason(), Reason::NoCandidate);
    assert_eq!(rejection.scope(), Scope::Attempt);
    assert_eq!(error.retry_after(), Some(Duration::from_millis(100)));
    assert_eq!(error.status(), 429, "some are only limited");
    for id in ["a (rate_limited", "b (cooldown", "c (rate_limited"] {
        assert!(error.message().contains(id), "{error} tells {id}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_was_tried_before_and_now_refuses_is_asked_once() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    let request = request();
    let failing = balanced(&layer, &asked, |_| {
        Err(Error::new(ErrorKind::Internal, "broken"))
    });
    failing.oneshot(request.clone()).await.expect_err("a fails");
    let refusing = balanced(&layer, &asked, |_| Err(refusal(Scope::Deployment)));
    let error = refusing.oneshot(request).await.expect_err("both refuse");
    assert_eq!(asked.take(), ["a", "b", "a"]);
    assert!(
        error
            .message()
            .ends_with("b (rate_limited), a (rate_limited)"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_remembered_refusal_is_its_own_and_not_that_of_the_memory() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    let rest = Instant::now() + Duration::from_secs(60);
    let stack = balanced(&layer, &asked, move |_| {
        let rejection = Rejection::new(Reason::Cooldown, Scope::Deployment).retry_at(rest);
        Err(refused(rejection.because_of(ErrorKind::RateLimited)))
    });
    for _ in 0..2 {
        let error = stack
            .clone()
            .oneshot(request())
            .await
            .expect_err("all rest");
        let rejection = error.rejection().expect("it is a refusal");
        assert_eq!(rejection.reason(), Reason::Cooldown);
        assert_eq!(rejection.ends_at(), Some(rest));
        assert_eq!(
            (error.status().as_u16(), error.code()),
            (429, "no_deployments_available")
        );
    }
    assert_eq!(asked.take(), ["a", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_list_of_deployments_forgets_refusals() {
    let asked = Asked::default();
    let deployments = in_order(&["a", "b"]);
    let layer = LoadBalanceLayer::new(deployments.clone(), SimpleShuffle);
    let stack = balanced(&layer, &asked, |id| match id {
        "a" => Err(refusal(Scope::Deployment)),
        _ => Ok("fine"),
    });
    stack.clone().oneshot(request()).await.expect("b serves");
    deployments.swap(Snapshot::new([
        member("a").with_order(0),
        member("b").with_order(1),
    ]));
    stack.clone().oneshot(request()).await.expect("b serves");
    assert_eq!(asked.take(), ["a", "b", "a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn only_a_few_that_take_their_time_to_refuse_are_asked() {
    let asked = Asked::default();
    let ids: Vec<_> = (0..10).map(|i| i.to_string()).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let layer = LoadBalanceLayer::new(in_order(&ids), SimpleShuffle).max_async_probes(3);
    let stack = balanced_with(&layer, &asked, async |sent| {
        // Every other one answers at once, and is not counted.
        if sent
            .deployment()
            .order()
            .is_some_and(|order| order % 2 == 1)
        {
            sleep(Duration::from_millis(1)).await;
        }
        Err::<LlmResponse, _>(refusal(Scope::Deployment))
    });
    let error = stack.oneshot(request()).await.expect_err("all refuse");
    assert_eq!(asked.take(), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(
        error.rejection().map(Rejection::reason),
        Some(Reason::RateLimited)
    );
}

#[tokio::test(start_paused = true)]
async fn a_spent_ledger_ends_the_search_before_anything_is_asked() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a"]), SimpleShuffle);
    let stack = balanced(&layer, &asked, |_| Ok("fine"));
    let request = request();
    request.ledger().expect("it has one").set_attempts(0);
    let error = stack.oneshot(request).await.expect_err("nothing is left");
    assert_eq!(
        error.rejection().map(Rejection::reason),
        Some(Reason::Attempts)
    );
    assert!(asked.take().is_empty());
    assert_eq!(layer.in_flight(&"a".into()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_no_group_serves_is_the_requests_fault() {
    let layer = LoadBalanceLayer::new(Deployments::from_iter([member("a")]), SimpleShuffle);
    let stack = balanced(&layer, &Asked::default(), |_| Ok("fine"));
    let request = ziggurat_core::LlmRequest::chat("gptt", "hello");
    let error = stack.oneshot(request).await.expect_err("there is none");
    assert_eq!(
        (error.status().as_u16(), error.code()),
        (404, "model_not_found")
    );
    assert_eq!(error.kind(), ErrorKind::BadRequest);
    assert!(error.message().contains("`gpt`"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn who_would_only_fail_again_is_not_tried_again() {
    use ziggurat_core::Clock;
    for (kind, is_tried) in [
        (ErrorKind::Timeout(Clock::FirstToken), false),
        (ErrorKind::Authentication, false),
        (ErrorKind::Internal, true),
        (ErrorKind::RateLimited, true),
    ] {
        let asked = Asked::default();
        let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
        let request = request();
        let failing = balanced(&layer, &asked, move |_| Err(Error::new(kind, "no")));
        let refusing = balanced(&layer, &asked, |_| Err(refusal(Scope::Attempt)));
        for _ in 0..2 {
            let failed = failing.clone().oneshot(request.clone()).await;
            assert_eq!(failed.expect_err("fails").kind(), kind);
        }
        assert_eq!(asked.take(), ["a", "b"]);
        let error = refusing.oneshot(request.clone()).await.expect_err("none");
        assert_eq!(asked.take().is_empty(), !is_tried, "{kind}");
        let why = error.rejection().expect("is a refusal");
        if !is_tried {
            assert_eq!(why, &Rejection::new(Reason::NoCandidate, Scope::Attempt));
            let explanation = layer.explain(&request).expect("there is a group");
            assert!(explanation.members().iter().all(|it| it.was_tried()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_would_only_fail_again_is_not_probed_when_it_refuses_all() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a"]), SimpleShuffle);
    let dead = request();
    let failing = balanced(&layer, &asked, |_| {
        Err(Error::new(ErrorKind::Authentication, "revoked"))
    });
    failing.oneshot(dead.clone()).await.expect_err("fails");
    let resting = balanced(&layer, &asked, |_| Err(refusal(Scope::Deployment)));
    resting.oneshot(request()).await.expect_err("refuses");
    asked.take();
    let serving = balanced(&layer, &asked, |_| Ok("fine"));
    serving.clone().oneshot(dead).await.expect_err("is closed");
    serving.oneshot(request()).await.expect("is probed");
    assert_eq!(asked.take(), ["a"], "for the other request");
}

#[tokio::test(start_paused = true)]
async fn where_an_attempt_still_runs_no_second_one_is_sent() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    let request = request();
    let hanging = balanced_with(&layer, &asked, |_| std::future::pending());
    let mut first = tokio_test::task::spawn(hanging.clone().oneshot(request.clone()));
    let mut second = tokio_test::task::spawn(hanging.clone().oneshot(request.clone()));
    tokio_test::assert_pending!(first.poll());
    tokio_test::assert_pending!(second.poll());
    let third = hanging.clone().oneshot(request.clone()).await;
    let error = third.expect_err("both run");
    let why = error.rejection().map(Rejection::reason);
    assert_eq!(why, Some(Reason::NoCandidate));
    assert_eq!(asked.take(), ["a", "b"]);
    drop(first);
    let again = balanced(&layer, &asked, |_| Ok("fine"));
    again.oneshot(request).await.expect("a may be tried again");
    assert_eq!(asked.take(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_begins_to_run_while_others_refuse_is_left_to_its_attempt() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    let request = request();
    let slow = balanced_with(&layer, &asked, |_| async {
        sleep(Duration::from_secs(1)).await;
        Err(refusal(Scope::Attempt))
    });
    let mut first = tokio_test::task::spawn(slow.oneshot(request.clone()));
    tokio_test::assert_pending!(first.poll());
    let hanging = balanced_with(&layer, &asked, |_| std::future::pending());
    let mut second = tokio_test::task::spawn(hanging.oneshot(request));
    tokio_test::assert_pending!(second.poll());
    advance(Duration::from_secs(1)).await;
    let error = first.await.expect_err("b is taken");
    assert_eq!(asked.take(), ["a", "b"]);
    assert!(error.message().ends_with("a (rate_limited)"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_layers_above_are_told_whether_the_group_has_tiers() {
    let one = Deployments::from_iter([member("a"), member("b")]);
    for (deployments, expected) in [(in_order(&["a", "b"]), true), (one, false)] {
        let layer = LoadBalanceLayer::new(deployments, SimpleShuffle);
        let stack = balanced(&layer, &Asked::default(), |_| Ok("fine"));
        let request = request();
        stack.oneshot(request.clone()).await.expect("serves");
        let ledger = request.ledger().expect("it has one");
        assert_eq!(ledger.has_tiers(), expected);
    }
}

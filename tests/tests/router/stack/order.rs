//! The position of a layer says what it does.

use std::num::NonZeroUsize;

use futures_util::future::join_all;
use serde_json::json;
use tower::{Service, ServiceBuilder, ServiceExt as _};
use ziggurat::{
    Clock, Deployment, Deployments, Error, ErrorKind, LlmRequest, LlmResponse, Reason, Rejection,
    load_balance::{LoadBalanceLayer, SimpleShuffle},
    priority_queue::PriorityQueueLayer,
    rate_limit::{Charges, LimitKey, Limits, MemoryLimiter, Rate, RateLimitLayer},
    retry::RetryLayer,
    timeout::DeadlineLayer,
};

use crate::stack::{
    leaf::{Leaf, Step},
    support::{gpt, ledger, request, router, secs, send},
};

/// Two deployments of which the first one is asked first, three requests a minute each.
fn balancer() -> LoadBalanceLayer<SimpleShuffle> {
    let deployment = |id: &str, order| {
        Deployment::new(id, "gpt", "m")
            .with_order(order)
            .with_rpm(3)
    };
    let deployments = Deployments::from_iter([deployment("a", 1), deployment("b", 2)]);
    LoadBalanceLayer::new(deployments, SimpleShuffle)
}

/// Sends requests one after the other until one fails.
async fn until_refused<S>(stack: S) -> (usize, Error)
where
    S: Service<LlmRequest, Response = LlmResponse, Error = Error> + Clone,
{
    for passed in 0..100 {
        if let Err(error) = stack.clone().oneshot(gpt()).await {
            return (passed, error);
        }
    }
    panic!("nothing is ever refused")
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_above_the_balancer_refuses_the_request() {
    let leaf = Leaf::default();
    let tenant = |_: &LlmRequest| {
        let limits = Limits::none().with_requests(Rate::per_minute(3));
        Charges::none().on(LimitKey::tenant("alice"), limits)
    };
    let stack = ServiceBuilder::new()
        .layer(RateLimitLayer::new(MemoryLimiter::new()).with_charges(tenant))
        .layer(balancer())
        .service(leaf.clone());
    let (passed, error) = until_refused(stack).await;
    assert_eq!(
        (passed, leaf.order().concat()),
        (3, "aaa".to_owned()),
        "`b` could have served"
    );
    assert_eq!(error.status().as_u16(), 429);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_below_the_balancer_makes_it_go_on_to_the_next_deployment() {
    let leaf = Leaf::default();
    let stack = ServiceBuilder::new()
        .layer(balancer())
        .layer(RateLimitLayer::new(MemoryLimiter::new()))
        .service(leaf.clone());
    let (passed, error) = until_refused(stack).await;
    assert_eq!((passed, leaf.order().concat()), (6, "aaabbb".to_owned()));
    let reason = error.rejection().map(Rejection::reason);
    assert_eq!(reason, Some(Reason::RateLimited));
    assert_eq!(error.retry_after(), Some(secs(60)));
}

#[tokio::test(start_paused = true)]
async fn a_retry_above_the_balancer_goes_to_another_deployment() {
    let leaf = Leaf::default();
    leaf.always("a", Step::fail(ErrorKind::Internal));
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new().num_retries(1))
        .layer(balancer())
        .service(leaf.clone());
    let request = gpt();
    let ledger = ledger(&request);
    stack.oneshot(request).await.expect("`b` answers");
    assert_eq!(leaf.order().concat(), "ab");
    assert_eq!(ledger.attempts(), leaf.count());
}

#[tokio::test(start_paused = true)]
async fn a_retry_below_the_balancer_goes_to_the_same_deployment_again() {
    let leaf = Leaf::default();
    leaf.always("a", Step::fail(ErrorKind::Internal));
    let stack = ServiceBuilder::new()
        .layer(balancer())
        .layer(RetryLayer::new().num_retries(1))
        .service(leaf.clone());
    let request = gpt();
    let ledger = ledger(&request);
    let error = stack.oneshot(request).await.expect_err("`a` fails twice");
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(leaf.order().concat(), "aa");
    assert_eq!(ledger.attempts(), leaf.count());
}

#[tokio::test(start_paused = true)]
async fn retries_on_both_sides_of_the_balancer_draw_on_the_one_ledger() {
    let leaf = Leaf::default();
    for id in ["a", "b"] {
        leaf.always(id, Step::fail(ErrorKind::Internal));
    }
    let stack = ServiceBuilder::new()
        .layer(RetryLayer::new().num_retries(3))
        .layer(balancer())
        .layer(RetryLayer::new().num_retries(3))
        .service(leaf.clone());
    let request = gpt();
    let ledger = ledger(&request);
    stack.oneshot(request).await.expect_err("all fail");
    assert_eq!(
        leaf.count(),
        ziggurat::DEFAULT_ATTEMPTS as usize,
        "and not sixteen: {}",
        ledger.trail()
    );
    assert_eq!(ledger.attempts(), leaf.count());
}

fn one_at_a_time() -> PriorityQueueLayer {
    PriorityQueueLayer::new(NonZeroUsize::MIN)
}

#[tokio::test(start_paused = true)]
async fn a_deadline_above_the_queue_counts_the_waiting() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(4_000));
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new(secs(10)))
        .layer(one_at_a_time())
        .layer(balancer())
        .service(leaf.clone());
    let all = join_all((0..3).map(|_| stack.clone().oneshot(gpt()))).await;
    let kinds: Vec<_> = all
        .iter()
        .map(|answer| answer.as_ref().err().map(Error::kind))
        .collect();
    assert_eq!(kinds, [None, None, Some(ErrorKind::Timeout(Clock::Total))]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_below_the_queue_counts_from_the_turn() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(4_000));
    let stack = ServiceBuilder::new()
        .layer(one_at_a_time())
        .layer(DeadlineLayer::new(secs(10)))
        .layer(balancer())
        .service(leaf.clone());
    let all = join_all((0..3).map(|_| stack.clone().oneshot(gpt()))).await;
    assert!(all.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn fifty_low_priorities_wait_for_one_high_one_that_comes_after_them() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(100));
    let router = router(
        &leaf,
        &[("gpt", &["a"])],
        "ziggurat_settings: {queue: {capacity: 1}}",
    );
    let low = |number| {
        request(
            "gpt",
            json!({"priority": 10, "user": format!("low {number}.")}),
        )
    };
    let high = request("gpt", json!({"priority": 0, "user": "high"}));
    let requests = (0..50).map(low).chain([high]);
    let all = join_all(requests.map(|request| send(&router, request))).await;
    assert!(all.iter().all(crate::stack::support::Sent::is_ok));
    let calls = leaf.calls();
    assert!(calls[0].body.contains("low 0."));
    assert!(calls[1].body.contains("high"), "{:?}", calls[1]);
    for (number, call) in calls[2..].iter().enumerate() {
        let user = format!("low {}.", number + 1);
        assert!(call.body.contains(&user), "{user}: {call:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_and_fallbacks_keep_their_turn_in_the_queue() {
    let leaf = Leaf::default();
    leaf.always("a", Step::fail(ErrorKind::Overloaded).after(100));
    leaf.always("c", Step::ok().after(100));
    let router = router(
        &leaf,
        &[("gpt", &["a"]), ("claude", &["c"])],
        "router_settings: {num_retries: 1, fallbacks: [{gpt: [claude]}]}\nziggurat_settings: {queue: {capacity: 1}}",
    );
    let sent = join_all([send(&router, gpt()), send(&router, gpt())]).await;
    assert!(sent.iter().all(crate::stack::support::Sent::is_ok));
    let calls = leaf.order().concat();
    assert!(calls.starts_with("aac"), "{calls}");
}

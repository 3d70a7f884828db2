//! The deadline as attempts share it.

use std::{future::pending, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use ziggurat_core::{
    Blame, Clock, Deployment, DeploymentId, Error, ErrorKind, HasLedger, Item, Ledger, LlmRequest,
    LlmResponse, Operation, Routed, Timeouts,
};
use ziggurat_timeout::{DeadlineLayer, TimeoutLayer};

#[tokio::test(start_paused = true)]
async fn each_attempt_leaves_half_of_the_time_to_those_after_it_and_the_last_one_has_the_rest() {
    let request = buffered();
    ledger(&request).limit(Instant::now() + secs(8));
    for (untried, takes, clock) in [
        (2, secs(4), Clock::Attempt),
        (1, secs(2), Clock::Attempt),
        (0, secs(2), Clock::Total),
    ] {
        ledger(&request).set_untried(untried);
        let began = Instant::now();
        let error = silent(&request).await;
        assert_eq!(began.elapsed(), takes, "{untried} untried");
        assert_eq!(error.kind(), ErrorKind::Timeout(clock));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_keeps_a_share_and_who_used_up_its_own_is_blamed() {
    for (request, clock) in [
        (buffered(), Clock::Attempt),
        (streamed(), Clock::FirstToken),
    ] {
        let began = Instant::now();
        ledger(&request).limit(began + secs(8));
        ledger(&request).set_fallbacks_left(1);
        let error = silent(&request).await;
        assert_eq!(began.elapsed(), secs(4));
        assert_eq!(error.kind(), ErrorKind::Timeout(clock));
        assert_eq!(error.scope(), Blame::Deployment);
        assert_eq!(error.deployment().map(DeploymentId::as_str), Some("a"));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_blamed_for_a_deadline_that_the_caller_chose() {
    for (asked, took, blamed) in [(8, 4, Blame::Request), (90, 30, Blame::Deployment)] {
        let stack = ServiceBuilder::new()
            .layer(DeadlineLayer::new(secs(60)).by_request())
            .map_request(routed)
            .layer(TimeoutLayer::new(Timeouts::default()))
            .service(service_fn(|_| pending::<Result<LlmResponse, Error>>()));
        let mut request = buffered();
        request.controls_mut().deadline = Some(secs(asked));
        ledger(&request).set_fallbacks_left(1);
        let began = Instant::now();
        let error = stack.oneshot(request).await.expect_err("is silent");
        assert_eq!(began.elapsed(), secs(took));
        assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Attempt));
        assert_eq!(error.scope(), blamed, "asked for {asked} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_began_in_its_share_is_not_cut_by_it() {
    let request = streamed();
    ledger(&request).limit(Instant::now() + secs(8));
    ledger(&request).set_fallbacks_left(1);
    let service = TimeoutLayer::new(Timeouts::default()).layer(service_fn(|_| async {
        sleep(secs(3)).await;
        let items = stream::iter(0..60).then(|_| async {
            sleep(secs(5)).await;
            Ok(Item::default())
        });
        Ok::<_, Error>(LlmResponse::stream(items.boxed()))
    }));
    let answer = service.oneshot(routed(request)).await;
    let (_, items) = answer.expect("begins in time").into_parts();
    let items = items.collect::<Vec<_>>().await;
    assert_eq!(items.len(), 60);
    assert!(items.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_there_is_nothing_to_share() {
    let request = buffered();
    ledger(&request).set_fallbacks_left(1);
    let service = TimeoutLayer::new(Timeouts::default()).layer(service_fn(|_| async {
        sleep(secs(86_400)).await;
        Ok::<_, Error>(LlmResponse::complete("{}", None))
    }));
    assert!(service.oneshot(routed(request)).await.is_ok());
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn buffered() -> LlmRequest {
    LlmRequest::chat("gpt", "hi")
}

fn streamed() -> LlmRequest {
    let body = json!({"model": "gpt", "stream": true, "messages": []});
    LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is valid")
}

fn ledger(request: &LlmRequest) -> &Ledger {
    request.ledger().expect("has one")
}

fn routed(request: LlmRequest) -> Routed<LlmRequest> {
    Routed::new(request, Arc::new(Deployment::new("a", "gpt", "m")))
}

/// An attempt at a provider that says nothing.
async fn silent(request: &LlmRequest) -> Error {
    let service = TimeoutLayer::new(Timeouts::default())
        .layer(service_fn(|_| pending::<Result<LlmResponse, Error>>()));
    let answer = service.oneshot(routed(request.clone())).await;
    answer.expect_err("is silent")
}

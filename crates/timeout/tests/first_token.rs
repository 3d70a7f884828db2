//! The limit to the first token that nobody set.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use ziggurat_core::{
    Capabilities, Capability, Clock, Deployment, DeploymentId, Error, ErrorKind, HasLedger, Item,
    LlmRequest, LlmResponse, Operation, Routed, Timeouts,
};
use ziggurat_timeout::{FirstToken, RequestClocks, TimeoutLayer};

#[tokio::test(start_paused = true)]
async fn headers_at_once_and_a_token_after_twenty_seconds_are_left_after_ten() {
    let layer = TimeoutLayer::new(Timeouts::default());
    let (error, took) = ask(&layer, plain(), Others::Fallback, secs(20)).await;
    let error = error.expect_err("is late");
    assert_eq!(took, secs(10));
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::FirstToken));
    assert_eq!(error.deployment().map(DeploymentId::as_str), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn where_nobody_else_could_answer_a_late_token_is_waited_for() {
    let layer = TimeoutLayer::new(Timeouts::default());
    for (others, answers) in [
        (Others::None, true),
        (Others::Fallback, false),
        (Others::Untried, false),
    ] {
        let (answer, _) = ask(&layer, plain(), others, secs(20)).await;
        assert_eq!(answer.is_ok(), answers, "{others:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_can_be_set_and_switched_off() {
    let with = |limit| {
        let clocks = RequestClocks::new(Timeouts::default()).first_token(limit);
        TimeoutLayer::with_extractor(clocks)
    };
    let off = with(FirstToken::Off);
    let (answer, _) = ask(&off, plain(), Others::Fallback, secs(4000)).await;
    assert!(answer.is_ok());
    let after = with(FirstToken::After(secs(15)));
    let (answer, took) = ask(&after, plain(), Others::None, secs(20)).await;
    assert!(answer.is_err());
    assert_eq!(took, secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_reasons_has_no_limit_until_what_is_usual_for_it_is_known() {
    let layer = TimeoutLayer::new(Timeouts::default());
    for _ in 0..20 {
        let (answer, _) = ask(&layer, reasoning(), Others::Fallback, secs(60)).await;
        assert!(answer.is_ok());
    }
    let (answer, took) = ask(&layer, reasoning(), Others::Fallback, secs(4000)).await;
    assert!(answer.is_err());
    assert!((secs(240)..=secs(288)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_really_is_slow_is_soon_given_its_time() {
    let layer = TimeoutLayer::new(Timeouts::default());
    let mut answers = Vec::new();
    for _ in 0..40 {
        let (answer, _) = ask(&layer, plain(), Others::Fallback, secs(30)).await;
        answers.push(answer.is_ok());
    }
    assert_eq!(answers[..20], [false; 20]);
    assert_eq!(answers[20..], [true; 20]);
}

#[tokio::test(start_paused = true)]
async fn what_is_learned_outlives_a_reload_and_is_known_to_every_clone() {
    let before = TimeoutLayer::new(Timeouts::default());
    for _ in 0..20 {
        let (answer, _) = ask(&before, plain(), Others::None, secs(30)).await;
        assert!(answer.is_ok());
    }
    let after = before.with_clocks(RequestClocks::new(Timeouts::default()));
    for layer in [&before.clone(), &after] {
        let (answer, _) = ask(layer, plain(), Others::Fallback, secs(60)).await;
        assert!(answer.is_ok());
    }
    let (answer, _) = ask(
        &TimeoutLayer::new(Timeouts::default()),
        plain(),
        Others::Fallback,
        secs(60),
    )
    .await;
    assert!(answer.is_err(), "another layer has learned nothing");
}

#[tokio::test(start_paused = true)]
async fn failures_do_not_count_as_first_tokens() {
    let layer = TimeoutLayer::new(Timeouts::default());
    let failing = layer.layer(service_fn(|_: Routed<LlmRequest>| async {
        sleep(secs(1)).await;
        Err::<LlmResponse, _>(Error::new(ErrorKind::Internal, "failed"))
    }));
    for _ in 0..20 {
        let request = routed(reasoning(), Others::Fallback);
        assert!(failing.clone().oneshot(request).await.is_err());
    }
    let (answer, _) = ask(&layer, reasoning(), Others::Fallback, secs(4000)).await;
    assert!(answer.is_ok(), "nothing is known of its times yet");
}

/// Who else could answer.
#[derive(Clone, Copy, Debug)]
enum Others {
    None,
    Fallback,
    Untried,
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn plain() -> Deployment {
    Deployment::new("a", "gpt", "m")
}

fn reasoning() -> Deployment {
    plain().with_capabilities(Capabilities::default().with(Capability::Reasoning, true))
}

fn routed(deployment: Deployment, others: Others) -> Routed<LlmRequest> {
    let body = json!({"model": "gpt", "stream": true, "messages": []});
    let request = LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is valid");
    let ledger = request.ledger().expect("has one");
    match others {
        Others::None => {}
        Others::Fallback => ledger.set_fallbacks_left(1),
        Others::Untried => ledger.set_untried(1),
    }
    Routed::new(request, Arc::new(deployment))
}

/// Asks a deployment that streams its first token after a time; tells how long that took.
async fn ask<L>(
    layer: &L,
    deployment: Deployment,
    others: Others,
    first_token: Duration,
) -> (Result<LlmResponse, Error>, Duration)
where
    L: Layer<Leaf, Service: Service<Routed<LlmRequest>, Response = LlmResponse, Error = Error>>,
{
    let began = Instant::now();
    let service = layer.layer(Leaf(first_token));
    let answer = service.oneshot(routed(deployment, others)).await;
    (answer, began.elapsed())
}

/// A leaf that streams, and resolves with the first item.
#[derive(Clone, Copy)]
struct Leaf(Duration);

impl Service<Routed<LlmRequest>> for Leaf {
    type Response = LlmResponse;
    type Error = Error;
    type Future = futures_util::future::BoxFuture<'static, Result<LlmResponse, Error>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Routed<LlmRequest>) -> Self::Future {
        let first_token = self.0;
        Box::pin(async move {
            sleep(first_token).await;
            let items = stream::iter([Ok(Item::default())]);
            Ok(LlmResponse::stream(items.boxed()))
        })
    }
}

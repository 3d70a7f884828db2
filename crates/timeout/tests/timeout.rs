//! The clocks of an attempt.

use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use serde_json::json;
use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;
use ziggurat_core::{
    Blame, Clock, Deployment, DeploymentId, Error, ErrorKind, HasLedger, Item, LlmRequest,
    LlmResponse, Operation, Routed, Timeouts,
};
use ziggurat_timeout::{AttemptClocks, Timeout, TimeoutLayer};

#[tokio::test(start_paused = true)]
async fn a_silent_provider_costs_its_timeout_and_no_more() {
    let service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(CLOCKS))
        .service(service_fn(|_: Routed<LlmRequest>| {
            pending::<Result<LlmResponse, Error>>()
        }));
    let began = Instant::now();
    let error = service.oneshot(buffered()).await.expect_err("is silent");
    assert_eq!(began.elapsed(), secs(30));
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Attempt));
    assert_eq!(error.deployment().map(DeploymentId::as_str), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn headers_at_once_do_not_stop_the_first_token_clock() {
    // The leaf resolves at the first content item; the headers came long before.
    let service = answering(|| stream::once(after(secs(20), "token")));
    let began = Instant::now();
    let error = service.oneshot(streamed()).await.expect_err("is late");
    assert_eq!(began.elapsed(), secs(5));
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::FirstToken));
    assert_eq!(error.deployment().map(DeploymentId::as_str), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_ready_never_loses_to_the_clock() {
    let (mut service, mut handle) = mocked(secs(1));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(text("hi")));
    let (_, answer) = handle.next_request().await.expect("is called");
    assert_pending!(response.poll());
    advance(secs(9)).await;
    answer.send_response("just in time");
    assert_eq!(assert_ready_ok!(response.poll()), "just in time");
}

#[tokio::test(start_paused = true)]
async fn the_clock_wakes_who_waits() {
    let (mut service, mut handle) = mocked(secs(1));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(text("hi")));
    let _request = handle.next_request().await.expect("is called");
    assert_pending!(response.poll());
    advance(secs(1)).await;
    assert!(response.is_woken());
    let error = assert_ready_err!(response.poll());
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Attempt));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_ends_with_the_idle_clock() {
    let service = answering(|| drip(20, secs(1)).chain(stream::pending()));
    let answer = service.oneshot(streamed()).await.expect("begins in time");
    let began = Instant::now();
    let (_, mut items) = answer.into_parts();
    for _ in 0..20 {
        items.next().await.expect("goes on").expect("is fine");
    }
    let error = items.next().await.expect("ends").expect_err("is silent");
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Idle));
    assert_eq!(began.elapsed(), secs(19 + 10));
    assert!(items.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_wait_as_long_as_we_would_blames_nobody() {
    for (asked, blamed) in [(4, Blame::Request), (40, Blame::Deployment)] {
        let service = answering(|| drip(1, Duration::ZERO).chain(stream::pending()));
        let (mut request, deployment) = streamed().into_parts();
        request.controls_mut().idle_timeout = Some(secs(asked));
        request.controls_mut().first_token_timeout = Some(secs(asked));
        let request = Routed::new(request, deployment);
        let answer = service.oneshot(request.clone()).await;
        let (_, mut items) = answer.expect("begins in time").into_parts();
        items.next().await.expect("goes on").expect("is fine");
        let error = items.next().await.expect("ends").expect_err("is silent");
        assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Idle));
        assert_eq!(error.scope(), blamed);

        let error = answering(stream::pending).oneshot(request).await;
        let error = error.expect_err("is silent");
        assert_eq!(error.kind(), ErrorKind::Timeout(Clock::FirstToken));
        assert_eq!(error.scope(), blamed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_flows_outlives_every_clock_of_the_attempt() {
    let service = answering(|| drip(360, secs(5)));
    let answer = service.oneshot(streamed()).await.expect("begins in time");
    let began = Instant::now();
    let (_, items) = answer.into_parts();
    let ends = items.collect::<Vec<_>>().await;
    assert_eq!(ends.len(), 360);
    assert!(ends.iter().all(Result::is_ok));
    assert_eq!(began.elapsed(), secs(359 * 5));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_trips_no_clock() {
    let service = answering(|| drip(5, Duration::ZERO));
    let answer = service.oneshot(streamed()).await.expect("begins in time");
    let (_, mut items) = answer.into_parts();
    for _ in 0..5 {
        sleep(secs(3600)).await;
        items.next().await.expect("goes on").expect("is fine");
    }
    assert!(items.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_at_the_deadline_and_no_deployment_is_named_for_it() {
    let service = answering(stream::pending);
    let request = streamed();
    let began = Instant::now();
    let ledger = request.ledger().expect("has one");
    ledger.limit(began + secs(2));
    let error = service.oneshot(request).await.expect_err("is silent");
    assert_eq!(began.elapsed(), secs(2));
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Total));
    assert_eq!(error.deployment(), None);
}

#[tokio::test(start_paused = true)]
async fn without_a_clock_an_attempt_may_take_for_ever() {
    let service = TimeoutLayer::new(Timeouts::default()).layer(service_fn(|_| async {
        sleep(secs(86_400)).await;
        Ok::<_, Infallible>(LlmResponse::complete("{}", None))
    }));
    assert!(service.oneshot(buffered()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn dropping_the_response_drops_what_it_waits_for() {
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    let service = TimeoutLayer::new(CLOCKS).layer(service_fn(move |_: Routed<LlmRequest>| {
        let held = Arc::clone(&inside);
        async move {
            let _held = held;
            pending::<Result<LlmResponse, Error>>().await
        }
    }));
    let mut response = task::spawn(service.oneshot(buffered()));
    assert_pending!(response.poll());
    assert_eq!(Arc::strong_count(&held), 2);
    drop(response);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_inner_service_passes_through() {
    let (mut service, mut handle) = mocked(secs(1));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(text("hi")));
    let (_, answer) = handle.next_request().await.expect("is called");
    answer.send_error(Error::new(ErrorKind::RateLimited, "slow down"));
    let error = assert_ready_err!(response.poll());
    assert_eq!(error.kind(), ErrorKind::RateLimited);
}

#[tokio::test]
async fn it_is_as_ready_as_the_inner_service() {
    let (mut service, mut handle) = mocked(secs(1));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
}

const CLOCKS: Timeouts = Timeouts {
    attempt: Some(secs(30)),
    stream: None,
    first_token: Some(secs(5)),
    idle: Some(secs(10)),
};

type Text = Routed<Named>;

/// A request of somebody else's.
#[derive(Debug, PartialEq, Eq)]
struct Named(&'static str);

impl HasLedger for Named {
    fn ledger(&self) -> Option<&ziggurat_core::Ledger> {
        None
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn deployment() -> Arc<Deployment> {
    Arc::new(Deployment::new("a", "gpt", "m"))
}

fn text(text: &'static str) -> Text {
    Routed::new(Named(text), deployment())
}

fn buffered() -> Routed<LlmRequest> {
    Routed::new(LlmRequest::chat("gpt", "hi"), deployment())
}

fn streamed() -> Routed<LlmRequest> {
    let body = json!({"model": "gpt", "stream": true, "messages": []});
    let request = LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is valid");
    Routed::new(request, deployment())
}

fn mocked(
    attempt: Duration,
) -> (
    mock::Spawn<Timeout<mock::Mock<Text, &'static str>, impl Fn(&Text) -> AttemptClocks + Clone>>,
    mock::Handle<Text, &'static str>,
) {
    let clocks = AttemptClocks {
        attempt: Some(attempt),
        ..AttemptClocks::default()
    };
    let layer = TimeoutLayer::with_extractor(move |_: &Text| clocks);
    mock::spawn_layer(layer)
}

/// A leaf that answers with a stream, at its first item.
fn answering<I>(
    items: impl Fn() -> I + Clone,
) -> impl Service<Routed<LlmRequest>, Response = LlmResponse, Error = Error>
where
    I: Stream<Item = Item> + Send + 'static,
{
    TimeoutLayer::new(CLOCKS).layer(service_fn(move |_: Routed<LlmRequest>| {
        let mut items = items().boxed();
        async move {
            let first = items.next().await.expect("has an item");
            let items = stream::iter([first]).chain(items).map(Ok);
            Ok::<_, Infallible>(LlmResponse::stream(items.boxed()))
        }
    }))
}

async fn after(time: Duration, text: &'static str) -> Item {
    sleep(time).await;
    Item {
        bytes: text.into(),
        events: 1,
        usage: None,
        ..Item::default()
    }
}

/// That many items, the first at once and the others that far apart.
fn drip(items: u32, apart: Duration) -> impl Stream<Item = Item> + Send {
    stream::iter(0..items).then(move |i| after(if i == 0 { Duration::ZERO } else { apart }, "x"))
}

//! The total deadline.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;
use ziggurat_core::{
    BoxError, Clock, Error, ErrorKind, HasLedger, Item, Ledger, LlmRequest, LlmResponse,
};
use ziggurat_timeout::DeadlineLayer;

#[tokio::test(start_paused = true)]
async fn one_deadline_covers_all_attempts_and_the_pauses_between_them() {
    let attempts = Arc::new(AtomicU32::new(0));
    let made = Arc::clone(&attempts);
    // Attempts of 3 s that fail, with pauses of 1 s, for ever.
    let retrying = service_fn(move |_: &'static str| {
        let made = Arc::clone(&made);
        async move {
            loop {
                made.fetch_add(1, Relaxed);
                sleep(secs(3)).await;
                sleep(secs(1)).await;
            }
            #[allow(unreachable_code, reason = "gives the block its type")]
            Ok::<&'static str, Infallible>("never")
        }
    });
    let began = Instant::now();
    let service = DeadlineLayer::new(secs(10)).layer(retrying);
    let error = service.oneshot("hi").await.expect_err("never answers");
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Total));
    assert_eq!(began.elapsed(), secs(10));
    assert_eq!(attempts.load(Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn everything_beneath_can_see_the_deadline() {
    let at = Instant::now() + secs(10);
    let service =
        DeadlineLayer::new(secs(10)).layer(service_fn(move |request: LlmRequest| async move {
            let deadline = request.ledger().and_then(Ledger::deadline);
            assert_eq!(deadline, Some(at));
            Ok::<_, Infallible>(LlmResponse::complete("{}", None))
        }));
    assert!(service.oneshot(request()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_set_before_is_kept_if_it_is_nearer() {
    for (layer, expected) in [
        (DeadlineLayer::new(secs(10)), secs(4)),
        (DeadlineLayer::new(secs(3)), secs(3)),
        (DeadlineLayer::new(None), secs(4)),
    ] {
        let began = Instant::now();
        let request = request();
        request.ledger().expect("has one").limit(began + secs(4));
        let silent = service_fn(|_| pending::<Result<LlmResponse, Infallible>>());
        let error = layer.layer(silent).oneshot(request).await;
        let error = error.expect_err("is silent");
        assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Total));
        assert_eq!(began.elapsed(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_have_a_time_of_its_own() {
    let layer = DeadlineLayer::new(secs(10))
        .per_request(|request: &&'static str| request.parse().ok().map(secs));
    for (request, expected) in [("2", secs(2)), ("99", secs(99)), ("none", secs(10))] {
        let began = Instant::now();
        let silent = service_fn(|_| pending::<Result<&'static str, Infallible>>());
        let error = layer.clone().layer(silent).oneshot(request).await;
        assert_eq!(
            error.expect_err("is silent").kind(),
            ErrorKind::Timeout(Clock::Total)
        );
        assert_eq!(began.elapsed(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_flows_is_not_cut_by_the_deadline() {
    let layer = DeadlineLayer::new(secs(60));
    let (items, took) = read(layer).await;
    assert_eq!(items.len(), 360);
    assert!(items.iter().all(Result::is_ok));
    assert_eq!(took, secs(359 * 5));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_cut_by_the_deadline_where_that_is_wanted() {
    let layer = DeadlineLayer::new(secs(62)).streams(true);
    let (items, took) = read(layer).await;
    let error = items.last().expect("has items").as_ref();
    assert_eq!(
        error.expect_err("is cut").kind(),
        ErrorKind::Timeout(Clock::Total)
    );
    assert_eq!(took, secs(62));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_ready_never_loses_to_the_deadline() {
    let (mut service, mut handle) =
        mock::spawn_layer::<_, &'static str, _>(DeadlineLayer::new(secs(1)));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("hi"));
    let (_, answer) = handle.next_request().await.expect("is called");
    assert_pending!(response.poll());
    advance(secs(9)).await;
    answer.send_response("just in time");
    assert_eq!(assert_ready_ok!(response.poll()), "just in time");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_wakes_who_waits() {
    let (mut service, mut handle) =
        mock::spawn_layer::<_, &'static str, _>(DeadlineLayer::new(secs(1)));
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call("hi"));
    let _request = handle.next_request().await.expect("is called");
    assert_pending!(response.poll());
    advance(secs(1)).await;
    assert!(response.is_woken());
    let error: Error = assert_ready_err!(response.poll());
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Total));
}

#[tokio::test]
async fn readiness_and_its_errors_pass_through() {
    let (mut service, mut handle) =
        mock::spawn_layer::<&'static str, &'static str, _>(DeadlineLayer::new(None));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.send_error(BoxError::from(Error::new(ErrorKind::Unavailable, "gone")));
    assert!(service.is_woken());
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn request() -> LlmRequest {
    LlmRequest::chat("gpt", "hi")
}

/// Reads a stream of one item every 5 s for half an hour.
async fn read(layer: DeadlineLayer) -> (Vec<Result<Item, Error>>, Duration) {
    let service = layer.layer(service_fn(|_: LlmRequest| async {
        let items = stream::iter(0..360).then(|i| async move {
            sleep(if i == 0 { Duration::ZERO } else { secs(5) }).await;
            Ok(Item::default())
        });
        Ok::<_, Infallible>(LlmResponse::stream(Box::pin(items)))
    }));
    let began = Instant::now();
    let answer = service.oneshot(request()).await.expect("answers");
    let (_, items) = answer.into_parts();
    (items.collect().await, began.elapsed())
}

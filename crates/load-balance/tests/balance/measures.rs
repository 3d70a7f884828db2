//! What the balancer measures of deployments.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt};
use parking_lot::Mutex;
use tokio::time::advance;
use tower::{Layer, Service, ServiceExt, service_fn};
use ziggurat_core::{Blame, Error, ErrorKind, LlmRequest, LlmResponse};
use ziggurat_load_balance::{
    Awaits, Candidate, Candidates, Custom, LoadBalanceLayer, SimpleShuffle, Track,
};

use crate::{
    support::{Sent, member},
    world::{Does, answer, equal, millis, request},
};

const DECAY: Duration = Duration::from_secs(10);

/// A balancer over one deployment, and a look at what it knows of that.
fn watched<T: Send + 'static>(
    does: impl Fn() -> Does + Clone,
    look: impl Fn(&Candidate<'_>) -> T + Send + Sync + 'static,
) -> (
    impl Service<LlmRequest, Response = LlmResponse, Error = Error> + Clone,
    impl Fn() -> T,
) {
    let seen = Arc::new(Mutex::new(None));
    let note = {
        let seen = Arc::clone(&seen);
        move |_: &LlmRequest, candidates: &Candidates<'_>| {
            let first = candidates.iter().next()?;
            *seen.lock() = Some(look(&first));
            Some(first.index())
        }
    };
    let track = Track::default()
        .latencies(10, Duration::from_secs(600))
        .peak_ewma(DECAY, Duration::from_secs(5))
        .output();
    let layer = LoadBalanceLayer::new(equal(&["a"]), Custom::new(track, note));
    let stack = layer.layer(service_fn(move |sent: Sent| answer(sent, does())));
    let look = move || {
        layer.choose(&request(0, false)).expect("it is chosen");
        let mut seen = seen.lock();
        seen.take().expect("it was looked at")
    };
    (stack, look)
}

async fn read(
    stack: impl Service<LlmRequest, Response = LlmResponse, Error = Error>,
    stream: bool,
) {
    if let Ok(answer) = stack.oneshot(request(0, stream)).await {
        let (_, mut items) = answer.into_parts();
        while items.next().await.is_some() {}
    }
}

/// Milliseconds in each unit.
fn latencies(candidate: &Candidate<'_>) -> [Option<f32>; 3] {
    let millis = |seconds: f32| (seconds * 1_000.0).round();
    [Awaits::FirstToken, Awaits::Tokens, Awaits::Answer]
        .map(|unit| candidate.latency(unit).map(millis))
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_measured_to_its_first_token_and_a_text_by_its_tokens() {
    let fine = || (millis(400), Ok(()));
    let (stack, look) = watched(fine, |it| (latencies(it), it.mean_output()));
    read(stack.clone(), true).await;
    assert_eq!(look(), ([Some(400.0), None, None], Some(40.0)));
    read(stack, false).await;
    assert_eq!(look().0, [Some(400.0), Some(10.0), None]);
}

#[tokio::test(start_paused = true)]
async fn the_moving_average_rises_at_once_and_a_failure_counts_as_the_penalty() {
    let number = Arc::new(Mutex::new(0));
    let does = move || {
        *number.lock() += 1;
        match *number.lock() {
            1 => (millis(300), Ok(())),
            2 => (millis(700), Ok(())),
            _ => (millis(1), Err(ErrorKind::Unavailable)),
        }
    };
    let (stack, look) = watched(does, |it| it.peak_ewma(DECAY));
    for expected in [0.3, 0.7, 5.0] {
        read(stack.clone(), false).await;
        assert!((look() - expected).abs() < 1e-3, "{expected}");
    }
    advance(DECAY).await;
    assert!((look() - 5.0 / std::f32::consts::E).abs() < 1e-2);
}

#[tokio::test(start_paused = true)]
async fn who_fails_is_failing_for_a_second_unless_the_request_was_to_blame() {
    for (kind, failing) in [
        (ErrorKind::Internal, true),
        (ErrorKind::Authentication, true),
        (ErrorKind::RateLimited, true),
        (ErrorKind::BadRequest, false),
        (ErrorKind::ContextWindow, false),
    ] {
        let fails = move || (millis(1), Err(kind));
        let (stack, look) = watched(fails, |it| it.is_failing());
        read(stack, false).await;
        assert_eq!(look(), failing, "{kind:?}");
        advance(Duration::from_secs(1)).await;
        assert!(!look(), "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_respected_and_blame_on_the_request_is_too() {
    let layer = LoadBalanceLayer::new(equal(&["a"]), SimpleShuffle);
    let failing = || {
        let seen = Arc::new(Mutex::new(None));
        let note = {
            let seen = Arc::clone(&seen);
            move |_: &LlmRequest, candidates: &Candidates<'_>| {
                *seen.lock() = Some(candidates.iter().any(|it| it.is_failing()));
                Some(0)
            }
        };
        let looking = layer.with_strategy(note);
        looking.choose(&request(0, false)).expect("it is chosen");
        let seen = *seen.lock();
        seen.expect("it was looked at")
    };
    let limited = || Error::new(ErrorKind::RateLimited, "slow down");
    let errors = [
        limited().with_blame(Blame::Request),
        limited().with_retry_after(Duration::from_secs(9)),
    ];
    for (error, expected) in errors.into_iter().zip([false, true]) {
        let stack = layer.layer(service_fn(|_: Sent| {
            let error = error.duplicate();
            async { Err::<LlmResponse, _>(error) }
        }));
        stack
            .oneshot(request(0, false))
            .await
            .expect_err("it fails");
        assert_eq!(failing(), expected);
    }
    advance(Duration::from_millis(8_999)).await;
    assert!(failing());
    advance(Duration::from_millis(1)).await;
    assert!(!failing());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_a_failure_and_one_that_is_left_is_none() {
    let fine = || (millis(100), Ok(()));
    let (stack, look) = watched(fine, |it| (it.is_failing(), latencies(it)));
    let answer = stack.oneshot(request(0, true)).await.expect("it begins");
    drop(answer);
    assert_eq!(look(), (false, [Some(100.0), None, None]));

    let layer = LoadBalanceLayer::new(equal(&["a"]), SimpleShuffle);
    let stack = layer.layer(service_fn(|_: Sent| async {
        let broken = Err(Error::new(ErrorKind::StreamBroken, "broken"));
        let items = futures_util::stream::iter([Ok(ziggurat_core::Item::default()), broken]);
        Ok::<_, Error>(LlmResponse::stream(Box::pin(items)))
    }));
    read(stack, true).await;
    let failing = |_: &LlmRequest, candidates: &Candidates<'_>| {
        let mut failing = candidates.iter().filter(Candidate::is_failing);
        failing.next().map(|it| it.index())
    };
    let looking = layer.with_strategy(failing);
    assert!(looking.choose(&request(0, false)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_counts_only_after_a_long_wait() {
    let slow = || (Duration::from_secs(100), Ok(()));
    let (stack, look) = watched(slow, |it| (it.is_failing(), it.peak_ewma(DECAY)));
    for (waits, expected) in [(9, 0.0), (11, 11.0)] {
        let mut call = Box::pin(stack.clone().oneshot(request(0, false)));
        assert!(call.as_mut().now_or_never().is_none());
        advance(Duration::from_secs(waits)).await;
        drop(call);
        assert_eq!(look(), (false, expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_stays_is_known_under_every_name_and_strategy() {
    let deployments = ziggurat_core::Deployments::from_iter([member("a"), member("b")]);
    let layer = LoadBalanceLayer::new(deployments, SimpleShuffle);
    let second = |_: &LlmRequest, _: &Candidates<'_>| Some(1);
    let other = layer.with_strategy(second);
    let stack = other.layer(service_fn(|sent: Sent| answer(sent, (millis(9), Ok(())))));
    let mut call = Box::pin(stack.oneshot(request(0, false)));
    assert!(call.as_mut().now_or_never().is_none());
    let counts = [layer.in_flight(&"a".into()), layer.in_flight(&"b".into())];
    assert_eq!(counts, [0, 1]);
}

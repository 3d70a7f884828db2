//! What becomes of requests that may wait for room.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tower::ServiceExt;
use tower_layer::Layer;
use ziggurat_core::{Error, HasLedger, LlmRequest, LlmResponse, Money, Reason, Rejection, Usage};
use ziggurat_rate_limit::{
    Charges, LimitKey, Limits, Measure, MemoryLimiter, Period, Rate, RateLimitLayer,
};
use ziggurat_testkit::contract::{Answer, Contract, Probe, Watched};

const SECOND: Duration = Duration::from_secs(1);

fn key() -> LimitKey {
    LimitKey::tenant("alice")
}

type Paced = tower::util::BoxCloneSyncService<LlmRequest, LlmResponse, Error>;

/// The layer with these limits over what answers at once, with the patience of a minute and a half.
fn paced(limits: Limits) -> (Paced, MemoryLimiter) {
    let limiter = MemoryLimiter::new();
    let charges = move |_: &LlmRequest| Charges::none().on(key(), limits.clone());
    let layer = RateLimitLayer::new(limiter.clone())
        .with_charges(charges)
        .paced(90 * SECOND);
    let leaf = tower::service_fn(async |_: LlmRequest| {
        Ok::<_, Error>(LlmResponse::complete("{}", Some(Usage::new(1, 1))))
    });
    (Paced::new(layer.layer(leaf)), limiter)
}

fn request() -> LlmRequest {
    LlmRequest::chat("gpt", "hi")
}

fn one_a_minute() -> Limits {
    Limits::none().with_requests(Rate::per_minute(1))
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_until_there_is_room_and_no_longer() {
    let (service, _) = paced(one_a_minute());
    let began = Instant::now();
    for minutes in 0..3 {
        let answer = service.clone().oneshot(request()).await;
        assert!(answer.is_ok());
        assert_eq!(began.elapsed(), minutes * 60 * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn whose_patience_is_too_short_is_refused_at_once_and_told_when() {
    let (service, _) =
        paced(Limits::none().with_requests(Rate::new(1, 100 * SECOND).expect("a valid period")));
    let began = Instant::now();
    assert!(service.clone().oneshot(request()).await.is_ok());
    let error = service.oneshot(request()).await.expect_err("is refused");
    assert_eq!(error.retry_after(), Some(100 * SECOND));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_past_a_deadline() {
    let (service, _) = paced(one_a_minute());
    assert!(service.clone().oneshot(request()).await.is_ok());
    for (seconds, passes) in [(60, false), (61, true)] {
        let request = request();
        let ledger = request.ledger().expect("it has one");
        ledger.limit(Instant::now() + seconds * SECOND);
        let began = Instant::now();
        let answer = service.clone().oneshot(request).await;
        assert_eq!(answer.is_ok(), passes, "{seconds} s");
        assert_eq!(began.elapsed().is_zero(), !passes);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_budget_or_for_a_limit_that_lets_nothing_pass() {
    let money = Money::from_dollars(0.0).expect("is an amount");
    for (limits, reason) in [
        (
            Limits::none().with_budget(money, Period::Rolling(SECOND)),
            Reason::Budget,
        ),
        (
            Limits::none().with_requests(Rate::per_minute(0)),
            Reason::TooLarge,
        ),
    ] {
        let (service, _) = paced(limits);
        let began = Instant::now();
        let error = service.oneshot(request()).await.expect_err("is refused");
        assert_eq!(error.rejection().map(Rejection::reason), Some(reason));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn many_who_wait_pass_as_fast_as_the_limit_lets_them() {
    let per_second = Rate::new(2, SECOND).expect("a valid period").smooth();
    let (service, _) = paced(Limits::none().with_requests(per_second));
    let began = Instant::now();
    let answers = join_all((0..20).map(|_| service.clone().oneshot(request()))).await;
    assert!(answers.iter().all(Result::is_ok));
    // Two at once, and then one each half second.
    assert_eq!(began.elapsed(), 9 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_waiting_takes_nothing_along() {
    let (service, limiter) = paced(one_a_minute().with_in_flight(3));
    let used = || {
        let used = |measure| limiter.used(&key(), measure, Instant::now());
        (used(Measure::Requests), used(Measure::InFlight))
    };
    assert!(service.clone().oneshot(request()).await.is_ok());
    let mut waiting = Watched::new(service.clone().oneshot(request()));
    assert!(waiting.poll().is_pending());
    assert_eq!(used(), (1, 0));
    drop(waiting);
    tokio::time::advance(60 * SECOND).await;
    assert_eq!(used(), (0, 0));
}

#[test]
fn a_layer_that_paces_keeps_the_contract() {
    let limiter = |layer: &RateLimitLayer<MemoryLimiter, _>| layer.limiter().clone();
    let in_flight =
        move |layer: &_| limiter(layer).used(&key(), Measure::InFlight, Instant::now()) as usize;
    Contract::deferring(
        || {
            let limits = Limits::none()
                .with_requests(Rate::per_minute(1_000))
                .with_in_flight(100);
            let charges = move |_: &LlmRequest| Charges::none().on(key(), limits.clone());
            RateLimitLayer::new(MemoryLimiter::new())
                .with_charges(charges)
                .paced(SECOND)
        },
        request,
    )
    .in_flight(in_flight)
    .run();
}

#[tokio::test(start_paused = true)]
async fn who_waited_is_sent_once() {
    let inner = Probe::new().with_answer(Answer::complete());
    let charges = |_: &&'static str| Charges::none().on(key(), one_a_minute());
    let layer = RateLimitLayer::new(MemoryLimiter::new())
        .with_charges(charges)
        .paced(90 * SECOND);
    let service = layer.layer(inner.clone());
    for _ in 0..2 {
        assert!(service.clone().oneshot("hi").await.is_ok());
    }
    assert_eq!(inner.calls(), 2);
}

//! What the layer does with requests and what becomes of what they take.

use std::{
    sync::{Arc, Barrier},
    task::Poll,
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::join_all};
use tokio::time::{Instant, advance};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_layer::Layer;
use ziggurat_core::{
    Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Reason, Rejection, Routed, Scope, Usage,
};
use ziggurat_rate_limit::{
    Charges, Cost, LimitKey, Limiter, Limits, Measure, MemoryLimiter, Rate, RateLimitLayer, Refused,
};
use ziggurat_testkit::contract::{Answer, Probe, Readiness, Watched};

const SECOND: Duration = Duration::from_secs(1);

/// One request a minute of 100 tokens, ten of them input, one at a time.
fn one() -> Limits {
    Limits::none()
        .with_requests(Rate::per_minute(1))
        .with_tokens(Rate::per_minute(100))
        .with_in_flight(1)
}

/// The same with four requests a minute.
fn four() -> Limits {
    one().with_requests(Rate::per_minute(4))
}

const COST: Cost = Cost::new(10, Some(90));

fn key() -> LimitKey {
    LimitKey::deployment("a".into())
}

type Limited = tower::util::BoxCloneSyncService<&'static str, LlmResponse, Error>;

/// The layer over an inner service, with these limits on one key, and the limiter.
fn limited<S>(limits: Limits, inner: S) -> (Limited, MemoryLimiter)
where
    S: Service<&'static str, Response = LlmResponse, Error: Into<Error>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
{
    let limiter = MemoryLimiter::new();
    let charges = move |_: &&'static str| {
        let charges = Charges::none().on(key(), limits.clone());
        charges.with_cost(COST)
    };
    let layer = RateLimitLayer::new(limiter.clone()).with_charges(charges);
    (Limited::new(layer.layer(inner)), limiter)
}

fn used(limiter: &MemoryLimiter) -> (u64, u64, u64) {
    used_by(limiter, &key())
}

/// Requests, tokens and requests in flight.
fn used_by(limiter: &MemoryLimiter, key: &LimitKey) -> (u64, u64, u64) {
    let measures = [Measure::Requests, Measure::Tokens, Measure::InFlight];
    measures
        .map(|measure| limiter.used(key, measure, Instant::now()))
        .into()
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_at_once_three_pass_where_there_is_room_for_three() {
    for limits in [
        Limits::none().with_requests(Rate::per_minute(3)),
        Limits::none().with_requests(Rate::per_minute(3).smooth()),
        Limits::none().with_tokens(Rate::per_minute(399)),
        Limits::none().with_in_flight(3),
    ] {
        let inner = Probe::new().with_answer(Answer::complete().after(SECOND));
        let (service, limiter) = limited(limits.clone(), inner.clone());
        let answers = join_all((0..100).map(|_| service.clone().oneshot("hi"))).await;
        assert_eq!(
            answers.iter().filter(|a| a.is_ok()).count(),
            3,
            "{limits:?}"
        );
        assert_eq!(inner.calls(), 3);
        assert_eq!(used(&limiter).2, 0);
    }
}

#[test]
fn of_many_threads_at_once_no_more_pass_than_there_is_room_for() {
    let limiter = MemoryLimiter::new();
    let limits = Limits::none()
        .with_requests(Rate::per_minute(1_000))
        .with_in_flight(37);
    let other = LimitKey::tenant("alice");
    // Half of them name the keys in the other order: who locks both must not lock them crosswise.
    let both = Charges::none()
        .on(key(), limits.clone())
        .on(other.clone(), limits.clone());
    let crosswise = Charges::none()
        .on(other.clone(), limits.clone())
        .on(key(), limits);
    let start = Barrier::new(8);
    let permits: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = [&both, &crosswise]
            .into_iter()
            .cycle()
            .take(8)
            .map(|charges| {
                scope.spawn(|| {
                    start.wait();
                    let acquire = || limiter.acquire(charges).into_inner().ok();
                    (0..5_000).filter_map(|_| acquire()).collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .flat_map(|permits| permits.expect("no thread panics"))
            .collect()
    });
    assert_eq!(permits.len(), 37);
    drop(permits);
    for key in [key(), other] {
        assert_eq!(used_by(&limiter, &key), (0, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_exactly_as_long_as_told_passes() {
    for rate in [Rate::per_minute(7), Rate::per_minute(7).smooth()] {
        let (service, _) = limited(Limits::none().with_requests(rate), Probe::new());
        for _ in 0..50 {
            if let Err(error) = service.clone().oneshot("hi").await {
                let after = error.retry_after().expect("says when");
                advance(after - Duration::from_nanos(1)).await;
                assert!(service.clone().oneshot("hi").await.is_err(), "too early");
                advance(Duration::from_nanos(1)).await;
                assert!(service.clone().oneshot("hi").await.is_ok(), "{rate:?}");
            }
            advance(SECOND).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_tells_the_limit_and_takes_nothing() {
    let inner = Probe::new();
    let (service, limiter) = limited(one(), inner.clone());
    assert!(service.clone().oneshot("hi").await.is_ok());
    let before = used(&limiter);
    let error = service.clone().oneshot("hi").await.expect_err("is refused");
    assert_eq!((used(&limiter), inner.calls()), (before, 1));
    assert_eq!(error.status(), 429);
    assert_eq!(error.retry_after(), Some(60 * SECOND));
    let refused = Refused::find(&error).expect("is in the error");
    assert_eq!(refused.limit(), Rate::per_minute(1).of(Measure::Requests));
    assert_eq!(refused.remaining(), 0);
    assert_eq!(
        error.message(),
        "the limit of 1 requests in 60s for deployment `a` is used up"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_being_busy_leaves_requests_and_tokens_as_they_were() {
    let limits = one().with_requests(Rate::per_minute(9));
    let inner = Probe::new().with_answer(Answer::complete().held());
    let (service, limiter) = limited(limits.with_tokens(Rate::per_minute(900)), inner.clone());
    let mut first = Watched::new(service.clone().oneshot("hi"));
    assert!(first.poll().is_pending());
    let error = service.clone().oneshot("hi").await.expect_err("is refused");
    let rejection = error.rejection().expect("was not sent");
    assert_eq!(
        (rejection.reason(), rejection.scope(), rejection.ends_at()),
        (Reason::Busy, Scope::Deployment, None)
    );
    assert_eq!(used(&limiter), (1, 100, 1));
    inner.release();
    assert!(first.within(SECOND).await.is_ok());
    assert!(service.oneshot("hi").await.is_ok(), "there is room again");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_from_beneath_gives_everything_back() {
    let inner = Probe::new().with_answer(Answer::busy(Scope::Attempt));
    let foreign = ServiceBuilder::new()
        .concurrency_limit(5)
        .timeout(SECOND)
        .service(inner.clone());
    let (service, limiter) = limited(one(), foreign);
    for _ in 0..3 {
        let error = service.clone().oneshot("hi").await.expect_err("is refused");
        let rejection = error.rejection().map(Rejection::reason);
        assert_eq!(rejection, Some(Reason::Busy));
    }
    assert_eq!((used(&limiter), inner.calls()), ((0, 0, 0), 3));
}

#[tokio::test(start_paused = true)]
async fn a_failure_gives_the_tokens_back_and_the_request_only_if_it_was_not_sent() {
    for (kind, requests) in [
        (ErrorKind::Internal, 1),
        (ErrorKind::RateLimited, 1),
        (ErrorKind::BadRequest, 1),
        (ErrorKind::Connect, 0),
    ] {
        let inner = Probe::new().with_answer(Answer::error(kind));
        let (service, limiter) = limited(one(), inner);
        let error = service.oneshot("hi").await.expect_err("fails");
        assert_eq!(error.kind(), kind);
        assert_eq!(used(&limiter), (requests, 0, 0), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_before_it_is_sent_it_leaves_nothing_and_afterwards_only_the_request() {
    let inner = Probe::new().with_readiness(Readiness::Yielding(2));
    inner.set_answer(Answer::complete().yielding(2));
    let limits = Limits::none()
        .with_requests(Rate::per_minute(1_000))
        .with_tokens(Rate::per_minute(1_000))
        .with_in_flight(1);
    let (service, limiter) = limited(limits, inner.clone());
    for polls in 0..5 {
        let mut call = Watched::new(service.clone().oneshot("hi"));
        for _ in 0..polls {
            assert_eq!(call.poll().map(|_| ()), Poll::Pending);
        }
        drop(call);
        assert_eq!(
            used(&limiter),
            (inner.calls() as u64, 0, 0),
            "after {polls}"
        );
    }
    assert_eq!(inner.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_future_that_failed_to_get_ready_holds_nothing_while_it_is_kept() {
    let inner = Probe::new().with_readiness(Readiness::Failed(ErrorKind::Unavailable));
    let (mut service, limiter) = limited(one(), inner);
    let mut call = Watched::new(service.call("hi"));
    assert!(call.poll().is_ready());
    assert_eq!(used(&limiter), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn in_the_end_what_was_used_counts_instead_of_the_estimate() {
    for (usage, tokens) in [
        (Some(Usage::new(12, 30)), 42),
        (Some(Usage::new(12, 500)), 512),
        (None, 100),
    ] {
        let inner = tower::service_fn(move |_: &'static str| async move {
            Ok::<_, Error>(LlmResponse::complete("{}", usage))
        });
        let (service, limiter) = limited(one(), inner);
        service.oneshot("hi").await.expect("passes");
        assert_eq!(used(&limiter), (1, tokens, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_holds_its_place_until_it_ends_and_counts_what_was_seen_if_it_breaks() {
    let streams = [
        (Answer::stream(5), 9, 1 + 5),
        (Answer::stream(5).hanging(), 3, 10 + 3),
        (Answer::stream(0).hanging(), 0, 10),
        (
            Answer::stream(5).breaking(ErrorKind::StreamBroken),
            9,
            1 + 5,
        ),
    ];
    for (answer, read, tokens) in streams {
        let (service, limiter) = limited(one(), Probe::new().with_answer(answer.clone()));
        let (_, mut items) = service.oneshot("hi").await.expect("begins").into_parts();
        assert_eq!(used(&limiter), (1, 100, 1));
        for _ in 0..read {
            items.next().now_or_never();
        }
        let ended = items.is_ended();
        drop(items);
        assert_eq!(used(&limiter), (1, tokens, 0), "{answer:?}, ended: {ended}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_larger_than_the_limit_passes_where_nothing_is_used() {
    let limits = Limits::none().with_tokens(Rate::per_minute(5));
    let (service, limiter) = limited(limits, Probe::new());
    assert!(service.clone().oneshot("hi").await.is_ok());
    assert_eq!(used(&limiter).1, 5);
    let error = service.clone().oneshot("hi").await.expect_err("is full");
    advance(error.retry_after().expect("says when")).await;
    assert!(service.oneshot("hi").await.is_ok());
}

fn routed(deployment: Deployment) -> Routed<LlmRequest> {
    Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment))
}

#[tokio::test(start_paused = true)]
async fn a_reload_that_changes_a_limit_counts_from_the_next_request_and_loses_no_count() {
    let service = RateLimitLayer::new(MemoryLimiter::new()).layer(Probe::new());
    let send = |rpm| {
        let deployment = Deployment::new("a", "gpt", "m").with_rpm(rpm);
        service
            .clone()
            .oneshot(routed(deployment))
            .map(|answer| answer.is_ok())
    };
    assert!(send(2).await && send(2).await && !send(2).await);
    assert!(send(4).await && send(4).await && !send(4).await);
    assert!(!send(3).await);
    advance(60 * SECOND).await;
    assert!(send(1).await && !send(1).await);
}

#[tokio::test(start_paused = true)]
async fn each_deployment_has_its_own_limits() {
    let service = RateLimitLayer::new(MemoryLimiter::new()).layer(Probe::new());
    let send = |id: &str| {
        let deployment = Deployment::new(id, "gpt", "m").with_rpm(1);
        service
            .clone()
            .oneshot(routed(deployment))
            .map(|answer| answer.is_ok())
    };
    assert!(send("a").await && !send("a").await);
    assert!(send("b").await && !send("b").await);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_charged_by_what_the_application_put_into_the_request() {
    let service = RateLimitLayer::new(MemoryLimiter::new()).layer(Probe::new());
    let limits = Limits::none().with_requests(Rate::per_minute(1));
    let mut request = LlmRequest::chat("gpt", "hi");
    assert!(service.clone().oneshot(request.clone()).await.is_ok());
    assert!(service.clone().oneshot(request.clone()).await.is_ok());
    let charges = Charges::none().on(LimitKey::tenant("alice"), limits);
    request.extensions_mut().insert(charges);
    assert!(service.clone().oneshot(request.clone()).await.is_ok());
    let error = service.oneshot(request).await.expect_err("is refused");
    let scope = error.rejection().map(Rejection::scope);
    assert_eq!(scope, Some(Scope::Request));
}

#[tokio::test(start_paused = true)]
async fn of_several_keys_all_are_charged_or_none() {
    let limiter = MemoryLimiter::new();
    let (alice, team) = (LimitKey::tenant("alice"), LimitKey::tenant("team"));
    let limits = |requests| Limits::none().with_requests(Rate::per_minute(requests));
    let charges = Charges::none()
        .on(alice.clone(), limits(5))
        .on(team.clone(), limits(2));
    let permits: Vec<_> = (0..9)
        .filter_map(|_| limiter.acquire(&charges).into_inner().ok())
        .collect();
    assert_eq!(permits.len(), 2);
    for key in [&alice, &team] {
        assert_eq!(used_by(&limiter, key).0, 2);
    }
    drop(permits);
    for key in [&alice, &team] {
        assert_eq!(used_by(&limiter, key), (0, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn of_several_keys_that_refuse_the_widest_says_whom_it_concerns_and_the_longest_how_long() {
    let limiter = MemoryLimiter::new();
    let minute = Limits::none().with_requests(Rate::per_minute(1));
    let rate = Rate::new(1, SECOND).expect("a valid period");
    let second = Limits::none().with_requests(rate);
    let share = LimitKey::tenant_on("alice", "a".into());
    let tenant = LimitKey::tenant("alice");
    let refused = |charges: Charges| {
        drop_settled(limiter.acquire(&charges).into_inner().ok());
        let refused = limiter.acquire(&charges).into_inner().expect_err("is full");
        let rejection = refused.rejection();
        let at = rejection.ends_at().expect("says when");
        (rejection.scope(), at - Instant::now())
    };
    let deployment = |name: &str| LimitKey::deployment(name.into());
    let a = Charges::none()
        .on(deployment("b"), minute.clone())
        .on(share.clone(), second.clone());
    assert_eq!(refused(a), (Scope::Deployment, 60 * SECOND));
    advance(60 * SECOND).await;
    let b = Charges::none()
        .on(deployment("c"), second.clone())
        .on(share, minute.clone());
    assert_eq!(refused(b), (Scope::Attempt, 60 * SECOND));
    let c = Charges::none()
        .on(deployment("d"), minute)
        .on(tenant, second);
    assert_eq!(refused(c), (Scope::Request, 60 * SECOND));
}

/// Lets the request of a permit count.
fn drop_settled(permit: Option<impl ziggurat_rate_limit::Settle>) {
    let mut permit = permit.expect("nothing was used");
    permit.settle(ziggurat_rate_limit::Actual::Unknown { money: None });
}

#[tokio::test(start_paused = true)]
async fn what_remains_is_told_with_the_time_it_is_whole_again() {
    let (service, limiter) = limited(four(), Probe::new());
    let limits = four();
    let charges = Charges::none().on(key(), limits);
    let charge = charges.iter().next().expect("is there");
    let left = || {
        let left = limiter.left(charge, Instant::now());
        let told = left.iter().map(|left| {
            let measure = left.limit.measure().as_str();
            (measure, left.remaining(), left.resets_at)
        });
        told.collect::<Vec<_>>()
    };
    assert!(left().contains(&("requests", 4, Some(Instant::now()))));
    service.oneshot("hi").await.expect("passes");
    let at = Instant::now() + 60 * SECOND;
    advance(20 * SECOND).await;
    assert!(left().contains(&("requests", 3, Some(at))));
    assert!(left().contains(&("tokens", 0, Some(at))));
    assert!(left().contains(&("in_flight", 1, None)));
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_only_counts_refuses_nothing() {
    let limits = Limits::none()
        .with_requests(Rate::counted())
        .with_tokens(Rate::counted());
    let (service, limiter) = limited(limits, Probe::new());
    for _ in 0..20 {
        assert!(service.clone().oneshot("hi").await.is_ok());
    }
    assert_eq!(used(&limiter), (20, 2_000, 0));
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_not_used_any_more_are_forgotten() {
    let limiter = MemoryLimiter::with_capacity(16);
    let limits = Limits::none().with_in_flight(1);
    let busy = limiter
        .acquire(&Charges::none().on(key(), limits.clone()))
        .into_inner();
    for n in 0..10_000 {
        let charges = Charges::none().on(LimitKey::tenant(n.to_string()), limits.clone());
        drop(limiter.acquire(&charges).into_inner());
    }
    assert_eq!(used(&limiter).2, 1, "who is in flight is not forgotten");
    drop(busy);
    assert_eq!(used(&limiter).2, 0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_leads_on_is_for_its_place_alone() {
    for (leads_on, scope) in [(false, Scope::Request), (true, Scope::Attempt)] {
        let charges = move |_: &&'static str| {
            let limits = Limits::none().with_requests(Rate::per_minute(1));
            let charges = Charges::none().on(LimitKey::tenant("a"), limits);
            match leads_on {
                true => charges.leading_on(),
                false => charges,
            }
        };
        let layer = RateLimitLayer::new(MemoryLimiter::new()).with_charges(charges);
        let service = layer.layer(Probe::new());
        assert!(service.clone().oneshot("hi").await.is_ok());
        let error = service.oneshot("hi").await.expect_err("is used up");
        let rejection = error.rejection().expect("nothing was sent");
        assert_eq!(rejection.scope(), scope);
        assert!(rejection.ends_at().is_some());
    }
}

//! What is refused, what is sent, and what counts.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;
use ziggurat_cooldown::{Cooldown, CooldownLayer, CooldownPolicy, State};
use ziggurat_core::{
    Blame, Clock, Deployment, Error, ErrorKind, Item, Items, LlmRequest, LlmResponse, Reason,
    Rejection, Routed, Scope,
};

#[tokio::test(start_paused = true)]
async fn a_deployment_that_rests_is_asked_nothing_and_says_until_when_and_why() {
    let layer = CooldownLayer::new(CooldownPolicy::new());
    fail(&layer, "a", ErrorKind::RateLimited).await;
    let until = Instant::now() + secs(5);
    advance(secs(1)).await;

    let (mut service, mut handle) = mocked(&layer);
    assert_ready_ok!(service.poll_ready());
    let mut response = task::spawn(service.call(to("a")));
    let error = assert_ready!(response.poll()).expect_err("is refused");
    let expected = Rejection::new(Reason::Cooldown, Scope::Deployment)
        .retry_at(until)
        .because_of(ErrorKind::RateLimited);
    assert_eq!(error.rejection(), Some(&expected));
    assert_eq!(
        error.message(),
        "deployment `a` rests for another 4.0 s after rate_limited"
    );
    assert_eq!(error.status(), 429);
    assert!(handle.next_request().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn rests_that_began_are_counted_by_what_they_were_for() {
    let layer = CooldownLayer::new(CooldownPolicy::new());
    for kind in [
        ErrorKind::RateLimited,
        ErrorKind::NotFound,
        ErrorKind::NotFound,
    ] {
        fail(&layer, "a", kind).await;
        // What rests is asked nothing, so no other rest begins.
        fail(&layer, "a", kind).await;
        layer.reset_all();
    }
    let mut rests = Vec::new();
    layer.for_each_rest(|id, because, n| rests.push((id.to_string(), because, n)));
    rests.sort();
    let id = || "a".to_owned();
    let expected = [
        (id(), ErrorKind::NotFound, 2),
        (id(), ErrorKind::RateLimited, 1),
    ];
    assert_eq!(rests, expected);
}

#[tokio::test(start_paused = true)]
async fn whatever_begins_and_ends_a_rest_but_time_is_told() {
    let layer = CooldownLayer::new(CooldownPolicy::new().cooldown_time(secs(3)));
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let (tells, asked) = (Arc::clone(&told), layer.clone());
    assert!(layer.on_change(move |id| {
        let serves = asked.state(id) == State::Closed;
        tells.lock().push((id.to_string(), serves));
    }));
    assert!(!layer.on_change(|_| {}), "the first stays");
    let told = || std::mem::take(&mut *told.lock());
    let of = |id: &str, serves| (id.to_owned(), serves);
    answer(&layer, "a", Ok("fine")).await.expect("is sent");
    fail(&layer, "a", ErrorKind::BadRequest).await;
    assert_eq!(told(), []);
    fail(&layer, "a", ErrorKind::RateLimited).await;
    assert_eq!(told(), [of("a", false)]);
    fail(&layer, "a", ErrorKind::RateLimited).await;
    advance(secs(3)).await;
    assert_eq!(told(), [], "it was asked nothing, and time goes by");
    fail(&layer, "a", ErrorKind::RateLimited).await;
    assert_eq!(told(), [of("a", false)], "the probe has failed");
    advance(secs(60)).await;
    answer(&layer, "a", Ok("fine")).await.expect("is probed");
    assert_eq!(told(), [of("a", true)]);
    for id in ["a", "b"] {
        fail(&layer, id, ErrorKind::RateLimited).await;
    }
    assert_eq!(told(), [of("a", false), of("b", false)]);
    layer.reset(&"a".into());
    assert_eq!(told(), [of("a", true)]);
    layer.reset_all();
    assert_eq!(told(), [of("b", true)]);
}

#[tokio::test(start_paused = true)]
async fn after_its_rest_a_probe_brings_it_back() {
    let layer = CooldownLayer::new(CooldownPolicy::new().cooldown_time(secs(3)));
    fail(&layer, "a", ErrorKind::RateLimited).await;
    advance(secs(3)).await;

    let (mut service, mut handle) = mocked(&layer);
    assert_ready_ok!(service.poll_ready());
    let mut probe = task::spawn(service.call(to("a")));
    assert_pending!(probe.poll());
    let (_, answer) = handle.next_request().await.expect("is sent");

    assert_ready_ok!(service.poll_ready());
    let error = service.call(to("a")).await.expect_err("is probed");
    assert_eq!(error.retry_after(), Some(Duration::from_millis(100)));

    answer.send_response("hello");
    assert_eq!(assert_ready_ok!(probe.poll()), "hello");
    assert_eq!(state(&layer, "a"), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_always_failing_deployment_leaves_the_rotation() {
    let layer = CooldownLayer::new(CooldownPolicy::new());
    let mut asked = 0;
    for _ in 0..20 {
        if let Err(error) = answer(&layer, "a", Err(ErrorKind::Internal)).await {
            asked += u32::from(error.rejection().is_none());
        }
        assert!(answer(&layer, "b", Ok("hello")).await.is_ok());
    }
    assert_eq!(asked, 3);
}

#[tokio::test(start_paused = true)]
async fn an_always_failing_deployment_is_asked_at_most_five_times_a_minute() {
    for kind in [
        ErrorKind::Internal,
        ErrorKind::Connect,
        ErrorKind::Timeout(Clock::FirstToken),
        ErrorKind::Authentication,
    ] {
        let layer = CooldownLayer::new(CooldownPolicy::new());
        let mut asked = Vec::new();
        for _ in 0..6_000 {
            if fail(&layer, "a", kind).await.rejection().is_none() {
                asked.push(Instant::now());
            }
            advance(Duration::from_millis(100)).await;
        }
        let crowded = asked.windows(6).any(|six| six[5] - six[0] <= secs(60));
        assert!(!crowded, "{kind}");
        assert!(asked.len() > 10, "it is probed again and again");
    }
}

#[tokio::test(start_paused = true)]
async fn connection_errors_count() {
    for kind in [ErrorKind::Connect, ErrorKind::Timeout(Clock::Connect)] {
        let layer = CooldownLayer::new(CooldownPolicy::new());
        for count in 1..=3 {
            assert_eq!(state(&layer, "a"), State::Closed);
            fail(&layer, "a", kind).await;
            assert_eq!(layer.health(&"a".into()).failures, count);
        }
        assert!(matches!(state(&layer, "a"), State::Resting { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_request_never_changes_a_deployments_health() {
    let layer = CooldownLayer::new(CooldownPolicy::new());
    fail(&layer, "a", ErrorKind::Internal).await;
    let before = layer.health(&"a".into());
    let of_request = |kind: &ErrorKind| kind.rule().blame == Blame::Request;
    for kind in ErrorKind::ALL.into_iter().filter(of_request) {
        for _ in 0..100 {
            fail(&layer, "a", kind).await;
            fail(&layer, "b", kind).await;
        }
    }
    assert_eq!(layer.health(&"a".into()), before);
    let unknown = layer.health(&"never asked".into());
    assert_eq!(layer.health(&"b".into()), unknown);
}

#[tokio::test(start_paused = true)]
async fn a_deployments_own_numbers_go_before_the_policys() {
    let policy = CooldownPolicy::new()
        .allowed_fails(0)
        .allowed_fails_of(ErrorKind::RateLimited, 0);
    let own = Deployment::new("a", "gpt", "m")
        .with_allowed_fails(3)
        .with_allowed_fails_of(ErrorKind::RateLimited, 1);
    let own = Arc::new(own);
    for (kind, asked) in [(ErrorKind::Internal, 4), (ErrorKind::RateLimited, 2)] {
        let layer = CooldownLayer::new(policy.clone());
        let failing = layer.layer(service_fn(move |_| async move {
            Err::<&str, _>(Error::new(kind, "failed"))
        }));
        let mut sent = 0;
        for _ in 0..9 {
            let request = Routed::new("hi", Arc::clone(&own));
            let error = failing.clone().oneshot(request).await.expect_err("fails");
            sent += u32::from(error.rejection().is_none());
        }
        assert_eq!(sent, asked, "{kind}");
        fail(&layer, "b", kind).await;
        assert_ne!(state(&layer, "b"), State::Closed, "the policy's are zero");
    }
}

#[tokio::test(start_paused = true)]
async fn a_named_kind_counts_although_it_blames_the_request_but_not_where_only_the_caller_did_it() {
    let policy = CooldownPolicy::new()
        .allowed_fails_of(ErrorKind::BadRequest, 1)
        .allowed_fails_of(ErrorKind::Timeout(Clock::Attempt), 0)
        .allowed_fails_of(ErrorKind::Rejected, 0);
    let layer = CooldownLayer::new(policy);
    for kind in [ErrorKind::Timeout(Clock::Attempt), ErrorKind::Rejected] {
        let of_caller =
            async |_| Err::<&str, _>(Error::new(kind, "failed").with_blame(Blame::Request));
        let answer = layer.layer(service_fn(of_caller)).oneshot(to("a"));
        answer.await.expect_err("fails");
    }
    fail(&layer, "a", ErrorKind::BadRequest).await;
    assert_eq!(state(&layer, "a"), State::Closed);
    fail(&layer, "a", ErrorKind::BadRequest).await;
    let until = Instant::now() + secs(5);
    let because = ErrorKind::BadRequest;
    assert_eq!(state(&layer, "a"), State::Resting { until, because });
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_that_the_caller_chose_speaks_against_no_deployment() {
    let layer = CooldownLayer::new(CooldownPolicy::new().allowed_fails(0));
    let of_caller =
        async |_| Err::<&str, _>(Error::timeout(Clock::Attempt).with_blame(Blame::Request));
    let answer = layer.layer(service_fn(of_caller)).oneshot(to("a"));
    answer.await.expect_err("fails");
    assert_eq!(state(&layer, "a"), State::Closed);
    fail(&layer, "a", ErrorKind::Timeout(Clock::Attempt)).await;
    assert!(matches!(state(&layer, "a"), State::Resting { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_refused_beneath_or_malformed_makes_room_for_another() {
    for kind in [ErrorKind::Rejected, ErrorKind::BadRequest] {
        let layer = half_open().await;
        let error = fail(&layer, "a", kind).await;
        assert_eq!(error.kind(), kind);
        assert_eq!(state(&layer, "a"), HALF_OPEN);
        assert!(answer(&layer, "a", Ok("hello")).await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_makes_room_for_another() {
    let layer = half_open().await;
    let (mut service, mut handle) = mocked(&layer);

    assert_ready_ok!(service.poll_ready());
    drop(service.call(to("a")));

    assert_ready_ok!(service.poll_ready());
    let mut polled = task::spawn(service.call(to("a")));
    assert_pending!(polled.poll());
    let (_, _answer) = handle.next_request().await.expect("is sent");
    drop(polled);

    assert_eq!(state(&layer, "a"), HALF_OPEN);
    assert!(answer(&layer, "a", Ok("hello")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_a_failure_and_its_beginning_no_success() {
    let layer = half_open().await;
    let mut items = streamed(&layer, [Ok(Item::default()), Err(broken())]).await;
    items.next().await.expect("begins").expect("is fine");
    assert_eq!(state(&layer, "a"), HALF_OPEN);
    items.next().await.expect("ends").expect_err("breaks");
    let until = Instant::now() + secs(20);
    let because = ErrorKind::StreamBroken;
    assert_eq!(state(&layer, "a"), State::Resting { until, because });
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_a_success_at_its_end() {
    let layer = half_open().await;
    let mut items = streamed(&layer, [Ok(Item::default())]).await;
    items.next().await.expect("begins").expect("is fine");
    assert_eq!(state(&layer, "a"), HALF_OPEN);
    assert!(items.next().await.is_none());
    assert_eq!(state(&layer, "a"), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_to_its_end_counts_neither_way() {
    let layer = half_open().await;
    let items = streamed(&layer, [Ok(Item::default())]).await;
    drop(items);
    assert_eq!(state(&layer, "a"), HALF_OPEN);
    assert!(answer(&layer, "a", Ok("hello")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn other_deployments_are_not_concerned() {
    let layer = CooldownLayer::new(CooldownPolicy::new());
    fail(&layer, "a", ErrorKind::NotFound).await;
    assert!(answer(&layer, "b", Ok("hello")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_deployments_own_time_goes_before_the_policys_and_zero_is_never() {
    let layer = CooldownLayer::new(CooldownPolicy::new());
    for (own, rests) in [(60, Some(60)), (0, None)] {
        let deployment = Deployment::new("a", "gpt", "m").with_cooldown_time(secs(own));
        let failing = service_fn(|_| async {
            Err::<&'static str, _>(Error::new(ErrorKind::RateLimited, "slow down"))
        });
        let request = Routed::new("hi", Arc::new(deployment));
        let error = layer.layer(failing).oneshot(request).await;
        assert!(error.is_err());
        let now = Instant::now();
        let left = match state(&layer, "a") {
            State::Resting { until, .. } => Some((until - now).as_secs()),
            _ => None,
        };
        assert_eq!(left, rests);
        layer.reset_all();
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_rests_where_cooldowns_are_disabled() {
    let layer = CooldownLayer::new(CooldownPolicy::disabled());
    for _ in 0..10 {
        let error = fail(&layer, "a", ErrorKind::RateLimited).await;
        assert_eq!(error.kind(), ErrorKind::RateLimited);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_ends_a_rest() {
    let layer = CooldownLayer::new(CooldownPolicy::new());
    for id in ["a", "b"] {
        fail(&layer, id, ErrorKind::RateLimited).await;
    }
    layer.reset(&"a".into());
    assert_eq!(state(&layer, "a"), State::Closed);
    assert_ne!(state(&layer, "b"), State::Closed);
    layer.reset_all();
    assert_eq!(state(&layer, "b"), State::Closed);
}

#[tokio::test]
async fn it_is_as_ready_as_the_inner_service() {
    let layer = CooldownLayer::new(CooldownPolicy::new());
    let (mut service, mut handle) = mocked(&layer);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert!(service.is_woken());
    assert_ready_ok!(service.poll_ready());
}

type Request = Routed<&'static str>;

const HALF_OPEN: State = State::HalfOpen {
    because: ErrorKind::RateLimited,
};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn to(id: &str) -> Request {
    Routed::new("hi", Arc::new(Deployment::new(id, "gpt", "m")))
}

fn state(layer: &CooldownLayer, id: &str) -> State {
    layer.state(&id.into())
}

fn broken() -> Error {
    Error::new(ErrorKind::StreamBroken, "the connection was reset")
}

fn mocked(
    layer: &CooldownLayer,
) -> (
    mock::Spawn<Cooldown<mock::Mock<Request, &'static str>>>,
    mock::Handle<Request, &'static str>,
) {
    mock::spawn_layer(layer.clone())
}

/// Sends a request to a deployment that answers so if it is asked.
async fn answer(
    layer: &CooldownLayer,
    id: &str,
    answer: Result<&'static str, ErrorKind>,
) -> Result<&'static str, Error> {
    let result = move |_| async move { answer.map_err(|kind| Error::new(kind, "failed")) };
    layer.layer(service_fn(result)).oneshot(to(id)).await
}

async fn fail(layer: &CooldownLayer, id: &str, kind: ErrorKind) -> Error {
    answer(layer, id, Err(kind)).await.expect_err("fails")
}

/// A layer with a deployment `a` whose rest is over.
async fn half_open() -> CooldownLayer {
    let layer = CooldownLayer::new(CooldownPolicy::new());
    fail(&layer, "a", ErrorKind::RateLimited).await;
    advance(secs(5)).await;
    assert_eq!(state(&layer, "a"), HALF_OPEN);
    layer
}

async fn streamed<const N: usize>(layer: &CooldownLayer, items: [Result<Item, Error>; N]) -> Items {
    let mut response = Some(LlmResponse::stream(Box::pin(stream::iter(items))));
    let leaf = service_fn(move |_: Routed<LlmRequest>| {
        let response = response.take().expect("is asked once");
        async { Ok::<_, Infallible>(response) }
    });
    let request = Routed::new(
        LlmRequest::chat("gpt", "hi"),
        Arc::new(Deployment::new("a", "gpt", "m")),
    );
    let response = layer.layer(leaf).oneshot(request).await.expect("answers");
    response.into_parts().1
}

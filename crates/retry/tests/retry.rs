//! What the layer does to requests, with the time paused.

use std::{
    collections::VecDeque,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::time::{Instant, advance};
use tower::{Service, ServiceBuilder, ServiceExt};
use ziggurat_core::{
    Deployment, Error, ErrorKind, HasLedger, Ledger, LlmRequest, ModelGroup, Reason, Rejection,
    Routed, Scope,
};
use ziggurat_retry::{Retries, RetryBudget, RetryLayer, RetryPolicy};

const SECOND: Duration = Duration::from_secs(1);

/// What stands beneath: it fails as the script says, then for ever as its end says.
#[derive(Clone)]
struct Group(Arc<Mutex<Script>>);

struct Script {
    answers: VecDeque<Result<&'static str, Error>>,
    otherwise: Option<ErrorKind>,
    untried: VecDeque<u32>,
    calls: Vec<Instant>,
}

impl Group {
    fn answering(answers: impl IntoIterator<Item = Result<&'static str, Error>>) -> Self {
        Self(Arc::new(Mutex::new(Script {
            answers: answers.into_iter().collect(),
            otherwise: None,
            untried: VecDeque::new(),
            calls: Vec::new(),
        })))
    }

    fn always(kind: ErrorKind) -> Self {
        let group = Self::answering([]);
        group.0.lock().otherwise = Some(kind);
        group
    }

    /// How many deployments are untried when the first, second, … one is chosen; then none.
    fn untried(self, left: impl IntoIterator<Item = u32>) -> Self {
        self.0.lock().untried.extend(left);
        self
    }

    fn calls(&self) -> usize {
        self.0.lock().calls.len()
    }

    fn gaps(&self) -> Vec<Duration> {
        let calls = &self.0.lock().calls;
        calls.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

impl<R: HasLedger> Service<R> for Group {
    type Response = &'static str;
    type Error = Error;
    type Future = Ready<Result<&'static str, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let mut script = self.0.lock();
        script.calls.push(Instant::now());
        if let Some(ledger) = request.ledger() {
            ledger.set_untried(script.untried.pop_front().unwrap_or_default());
        }
        let otherwise = script
            .otherwise
            .map_or(Ok("answer"), |kind| Err(failure(kind)));
        ready(script.answers.pop_front().unwrap_or(otherwise))
    }
}

fn failure(kind: ErrorKind) -> Error {
    Error::new(kind, "failed")
}

fn throttled(retry_after: Duration) -> Error {
    failure(ErrorKind::RateLimited).with_retry_after(retry_after)
}

fn resting(until: Instant) -> Error {
    let why = Rejection::new(Reason::NoCandidate, Scope::Deployment)
        .retry_at(until)
        .because_of(ErrorKind::RateLimited);
    Error::rejected(why, "all deployments rest")
}

fn request() -> LlmRequest {
    LlmRequest::chat("gpt", "hi")
}

fn ledger(request: &LlmRequest) -> &Ledger {
    request.ledger().expect("has one")
}

async fn send(
    layer: RetryLayer,
    group: &Group,
    request: LlmRequest,
) -> Result<&'static str, Error> {
    let service = ServiceBuilder::new().layer(layer).service(group.clone());
    service.oneshot(request).await
}

#[tokio::test(start_paused = true)]
async fn the_ledger_knows_how_long_a_request_has_paused() {
    let (group, request) = (Group::always(ErrorKind::Internal), request());
    let began = Instant::now();
    let failed = send(RetryLayer::new(), &group, request.clone()).await;
    assert!(failed.is_err());
    let paused = began.elapsed();
    assert!(!paused.is_zero(), "nothing else takes time");
    assert_eq!(ledger(&request).paused(), paused);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_always_fails_is_asked_once_and_n_times_more() {
    let (group, request) = (Group::always(ErrorKind::Internal), request());
    let error = send(RetryLayer::new(), &group, request.clone()).await;
    assert_eq!(error.expect_err("fails").kind(), ErrorKind::Internal);
    assert_eq!(group.calls(), 3);
    assert_eq!(ledger(&request).retries(), 2);
    let last = group.0.lock().calls[2];
    assert_eq!(last, Instant::now(), "there is no pause after the last try");
}

#[tokio::test(start_paused = true)]
async fn the_request_says_how_often_it_is_tried_again() {
    let group = Group::always(ErrorKind::Internal);
    let mut request = request();
    request.controls_mut().num_retries = Some(0);
    let error = send(RetryLayer::new().num_retries(5), &group, request).await;
    assert_eq!((error.is_err(), group.calls()), (true, 1));
}

#[tokio::test(start_paused = true)]
async fn a_bad_request_is_asked_once() {
    let group = Group::always(ErrorKind::BadRequest).untried([1]);
    let error = send(RetryLayer::new(), &group, request()).await;
    assert_eq!((error.is_err(), group.calls()), (true, 1));
}

#[tokio::test(start_paused = true)]
async fn no_retry_comes_before_the_provider_wants_it() {
    let headers = [SECOND, 4 * SECOND, 8 * SECOND];
    let group = Group::answering(headers.map(|after| Err(throttled(after))));
    let answer = send(RetryLayer::new().num_retries(3), &group, request()).await;
    assert_eq!(answer.expect("answers in the end"), "answer");
    let gaps = group.gaps();
    assert!(
        gaps.iter().zip(headers).all(|(gap, header)| *gap >= header),
        "{gaps:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn there_is_no_pause_while_another_deployment_is_untried() {
    let errors = [throttled(30 * SECOND), failure(ErrorKind::Authentication)];
    let group = Group::answering(errors.map(Err)).untried([2, 1]);
    let answer = send(RetryLayer::new(), &group, request()).await;
    assert_eq!(answer.expect("the third one answers"), "answer");
    assert_eq!(group.gaps(), [Duration::ZERO; 2]);
}

#[tokio::test(start_paused = true)]
async fn what_concerns_only_the_deployment_is_not_sent_to_it_again() {
    let group = Group::always(ErrorKind::Authentication).untried([1]);
    let error = send(RetryLayer::new(), &group, request()).await;
    assert_eq!((error.is_err(), group.calls()), (true, 2));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_past_the_deadline_or_the_longest_wait_fails_at_once() {
    for (header, deadline) in [(5 * SECOND, 4 * SECOND), (61 * SECOND, 600 * SECOND)] {
        let (group, request) = (Group::answering([Err(throttled(header))]), request());
        let start = Instant::now();
        ledger(&request).limit(start + deadline);
        let error = send(RetryLayer::new(), &group, request.clone()).await;
        assert_eq!(error.expect_err("fails").kind(), ErrorKind::RateLimited);
        assert_eq!((group.calls(), start.elapsed()), (1, Duration::ZERO));
        assert_eq!(ledger(&request).retries(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn all_resting_is_waited_for_and_is_no_retry() {
    let back = Instant::now() + 3 * SECOND;
    let (group, request) = (Group::answering([Err(resting(back))]), request());
    ledger(&request).limit(back + SECOND);
    let layer = RetryLayer::new().num_retries(0);
    let answer = send(layer, &group, request.clone()).await;
    assert_eq!(answer.expect("waits"), "answer");
    assert!(group.gaps()[0] >= 3 * SECOND);
    assert_eq!(ledger(&request).retries(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_throttled_deployments_cost_the_client_time_and_no_error() {
    let second = Instant::now() + SECOND;
    let errors = [throttled(SECOND), throttled(SECOND), resting(second)];
    let group = Group::answering(errors.map(Err)).untried([1, 0]);
    let request = request();
    ledger(&request).limit(Instant::now() + 10 * SECOND);
    let answer = send(RetryLayer::new(), &group, request).await;
    assert_eq!(answer.expect("waits and answers"), "answer");
}

#[tokio::test(start_paused = true)]
async fn resting_past_the_deadline_reports_the_failure_that_led_to_it() {
    let now = Instant::now();
    let errors = [failure(ErrorKind::Overloaded), resting(now + 20 * SECOND)];
    let (group, request) = (Group::answering(errors.map(Err)), request());
    ledger(&request).limit(now + 10 * SECOND);
    let error = send(RetryLayer::new(), &group, request).await;
    assert_eq!(error.expect_err("fails").kind(), ErrorKind::Overloaded);
    assert!(now.elapsed() <= SECOND, "it does not wait in vain");
}

#[tokio::test(start_paused = true)]
async fn a_hang_up_during_the_pause_leaves_nothing() {
    let (group, request) = (Group::answering([Err(throttled(9 * SECOND))]), request());
    let mut service = ServiceBuilder::new()
        .layer(RetryLayer::new())
        .service(group.clone());
    let mut response = Box::pin(service.call(request.clone()));
    assert!(response.as_mut().now_or_never().is_none());
    advance(SECOND).await;
    drop((response, service));
    advance(60 * SECOND).await;
    assert_eq!((group.calls(), Arc::strong_count(&group.0)), (1, 1));
    assert_eq!(
        (ledger(&request).retries(), ledger(&request).attempts()),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn all_services_of_a_layer_share_its_budget() {
    let group = Group::always(ErrorKind::Internal);
    let layer = RetryLayer::new()
        .num_retries(6)
        .backoff(Duration::ZERO, Duration::ZERO)
        .budget(Arc::new(RetryBudget::new(0, 1)));
    for _ in 0..3 {
        assert!(send(layer.clone(), &group, request()).await.is_err());
    }
    assert_eq!(group.calls(), 3 + 10, "one a second, ten at once");
}

#[tokio::test(start_paused = true)]
async fn below_the_balancer_the_same_deployment_is_asked_again_after_a_pause() {
    let request = request();
    let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
    let attempt = ledger(&request).attempt(&deployment).expect("is allowed");
    let group = Group::answering([Err(failure(ErrorKind::Internal))]).untried([3]);
    let layer = RetryLayer::new().retry_after(SECOND);
    let service = ServiceBuilder::new().layer(layer).service(group.clone());
    let answer = service
        .oneshot(Routed::new(request.clone(), deployment))
        .await;
    attempt.answering();
    assert_eq!(answer.expect("answers"), "answer");
    assert_eq!(group.gaps(), [SECOND]);
    assert_eq!(ledger(&request).attempts(), group.calls());
}

#[tokio::test(start_paused = true)]
async fn a_group_has_a_policy_of_its_own_and_any_request_will_do_with_a_closure() {
    let layer = RetryLayer::new()
        .policy(RetryPolicy::new().otherwise(3))
        .group_policy("slow", RetryPolicy::new().of_kind(ErrorKind::Internal, 1))
        .retries_by(|group: &&'static str| Retries::default().in_group(ModelGroup::new(*group)));
    for (name, kind, calls) in [
        ("fast", ErrorKind::Internal, 4),
        ("slow", ErrorKind::Internal, 2),
        ("slow", ErrorKind::Overloaded, 3),
    ] {
        let group = Group::always(kind);
        let service = ServiceBuilder::new().layer(&layer).service(group.clone());
        assert!(service.oneshot(name).await.is_err());
        assert_eq!(group.calls(), calls, "{name}, {kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_request_wins_over_every_policy() {
    let policy = RetryPolicy::new().of_kind(ErrorKind::Internal, 1);
    for (own, calls) in [(0, 1), (3, 4)] {
        let (group, mut request) = (Group::always(ErrorKind::Internal), request());
        request.controls_mut().num_retries = Some(own);
        let layer = RetryLayer::new().policy(policy.clone());
        let layer = layer.group_policy("gpt", policy.clone());
        assert!(send(layer, &group, request).await.is_err());
        assert_eq!(group.calls(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_ledger_is_retried_as_often_as_a_closure_says() {
    let group = Group::always(ErrorKind::Internal);
    let layer = RetryLayer::new().retries_by(|_: &&'static str| Retries::new(1));
    let service = ServiceBuilder::new().layer(layer).service(group.clone());
    assert!(service.oneshot("request").await.is_err());
    assert_eq!(group.calls(), 2);
}

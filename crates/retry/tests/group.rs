//! What the layer does over a group of deployments, with the time paused.

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, ServiceExt};
use ziggurat_core::{Deployment, Error, ErrorKind, HasLedger, Ledger, LlmRequest};
use ziggurat_retry::{RetryLayer, RetryPolicy};

const SECOND: Duration = Duration::from_secs(1);

type Behave = dyn Fn() -> Result<(), Error> + Send + Sync;

/// A balancer that asks its deployments in order, then the last one again, and tells the ledger
/// what a balancer tells it.
#[derive(Clone, Default)]
struct Group {
    members: Vec<(Arc<Deployment>, Arc<Behave>)>,
    has_tiers: bool,
    calls: Arc<Mutex<Vec<usize>>>,
}

impl Group {
    fn with(mut self, behave: impl Fn() -> Result<(), Error> + Send + Sync + 'static) -> Self {
        let id = self.members.len().to_string();
        let deployment = Deployment::new(id.as_str(), "gpt", "m");
        self.members.push((Arc::new(deployment), Arc::new(behave)));
        self
    }

    fn failing(self, kind: ErrorKind) -> Self {
        self.with(move || Err(Error::new(kind, "failed")))
    }

    fn answering(self) -> Self {
        self.with(|| Ok(()))
    }

    fn calls(&self) -> Vec<usize> {
        self.calls.lock().clone()
    }
}

impl Service<LlmRequest> for Group {
    type Response = ();
    type Error = Error;
    type Future = Ready<Result<(), Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let ledger = ledger(&request);
        let tried = ledger.tried();
        let is_untried = |at: &usize| !tried.contains(self.members[*at].0.id());
        let untried: Vec<_> = (0..self.members.len()).filter(is_untried).collect();
        let chosen = untried.first().copied();
        let chosen = chosen.unwrap_or(self.members.len() - 1);
        ledger.set_untried(untried.len().saturating_sub(1) as u32);
        ledger.set_has_tiers(self.has_tiers);
        let (deployment, behave) = &self.members[chosen];
        let attempt = match ledger.attempt(deployment) {
            Ok(attempt) => attempt,
            Err(error) => return ready(Err(error)),
        };
        self.calls.lock().push(chosen);
        let answer = behave();
        match &answer {
            Ok(()) => attempt.answering(),
            Err(error) => attempt.fail(error),
        }
        ready(answer)
    }
}

fn request() -> LlmRequest {
    LlmRequest::chat("gpt", "hi")
}

fn ledger(request: &LlmRequest) -> &Ledger {
    request.ledger().expect("has one")
}

async fn send(layer: &RetryLayer, group: &Group, request: LlmRequest) -> Result<(), Error> {
    let service = ServiceBuilder::new().layer(layer).service(group.clone());
    service.oneshot(request).await
}

/// Nine deployments whose keys are revoked.
fn revoked() -> Group {
    (0..9).fold(Group::default(), |group, _| {
        group.failing(ErrorKind::Authentication)
    })
}

#[tokio::test(start_paused = true)]
async fn ten_keys_of_which_nine_are_revoked_are_an_answer() {
    for layer in [RetryLayer::new(), RetryLayer::new().num_retries(0)] {
        let (group, request) = (revoked().answering(), request());
        let start = Instant::now();
        let answer = send(&layer, &group, request.clone()).await;
        answer.expect("the tenth key is good");
        assert_eq!(group.calls(), (0..10).collect::<Vec<_>>());
        let ledger = ledger(&request);
        assert_eq!((ledger.retries(), ledger.attempts_left()), (0, 5));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_key_behind_revoked_ones_has_all_the_retries() {
    let (group, request) = (revoked().failing(ErrorKind::Internal), request());
    let error = send(&RetryLayer::new(), &group, request.clone()).await;
    let error = error.expect_err("fails");
    assert_eq!(error.kind(), ErrorKind::Internal, "not a revoked key");
    assert_eq!(ledger(&request).retries(), 2);
}

#[tokio::test(start_paused = true)]
async fn where_all_keys_are_revoked_each_is_asked_once() {
    let group = revoked();
    let error = send(&RetryLayer::new(), &group, request()).await;
    let error = error.expect_err("fails");
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!(group.calls(), (0..9).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_wants_no_retry_gets_one_attempt() {
    let tiers = Group {
        has_tiers: true,
        ..Group::default().failing(ErrorKind::Internal).answering()
    };
    for group in [revoked().answering(), tiers] {
        let mut request = request();
        request.controls_mut().num_retries = Some(0);
        assert!(send(&RetryLayer::new(), &group, request).await.is_err());
        assert_eq!(group.calls(), [0]);
    }
}

#[tokio::test(start_paused = true)]
async fn tiers_and_failover_reach_what_is_untried_without_retries() {
    for (has_tiers, failover) in [(true, false), (false, true), (false, false)] {
        let down = |group: Group| group.failing(ErrorKind::Unavailable);
        let group = Group {
            has_tiers,
            ..down(down(down(Group::default()))).answering()
        };
        let layer = RetryLayer::new().num_retries(0).failover(failover);
        let request = request();
        let answer = send(&layer, &group, request.clone()).await;
        assert_eq!(answer.is_ok(), has_tiers || failover);
        assert_eq!(group.calls().len(), if answer.is_ok() { 4 } else { 1 });
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_stays_for_each_fallback() {
    let group = Group::default().failing(ErrorKind::Internal);
    let layer = RetryLayer::new().num_retries(9);
    let request = request();
    ledger(&request).set_fallbacks_left(2);
    assert!(send(&layer, &group, request.clone()).await.is_err());
    assert_eq!(group.calls().len(), 4);
    assert_eq!(ledger(&request).attempts_left(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_count_for_a_kind_sends_a_declined_request_elsewhere_and_then_again() {
    let declines = |group: Group| group.failing(ErrorKind::ContentPolicy);
    let policy = RetryPolicy::new().of_kind(ErrorKind::ContentPolicy, 2);
    let layer = RetryLayer::new().policy(policy);
    let group = declines(declines(Group::default()));
    let start = Instant::now();
    assert!(send(&layer, &group, request()).await.is_err());
    assert_eq!(group.calls(), [0, 1, 1]);
    assert!(start.elapsed() <= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_429_on_every_deployment_is_waited_out_however_large_it_is() {
    let back = Instant::now() + SECOND;
    let throttled = move || match Instant::now() < back {
        true => Err(Error::new(ErrorKind::RateLimited, "slow down").with_retry_after(SECOND)),
        false => Ok(()),
    };
    let group = Group::default().with(throttled).with(throttled);
    let layer = RetryLayer::new();
    let all = (0..2_000).map(|_| {
        let request = request();
        ledger(&request).limit(Instant::now() + 10 * SECOND);
        send(&layer, &group, request)
    });
    let failed = join_all(all).await.iter().filter(|it| it.is_err()).count();
    assert_eq!(failed, 0);
    assert!(back.elapsed() < 9 * SECOND);
}

//! What the layer does to requests, with the time paused.

use std::{
    collections::HashMap,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, advance};
use tower::{Service, ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use ziggurat_core::{
    Caller, Clock, Deployment, Deployments, Error,
    ErrorKind::{self, BadRequest, ContentPolicy, ContextWindow, Internal, Rejected, Unavailable},
    Fallbacks, HasLedger, Ledger, LlmRequest, ModelAccess, Reason, Rejection, Scope, Snapshot,
};
use ziggurat_fallback::{FallbackLayer, FallbackLists};
use ziggurat_testkit::contract::{Answer, Probe, Readiness};

/// A group that was asked, and what its ledger said could follow.
struct Asked {
    group: String,
    left: u32,
    takes: bool,
}

/// What stands beneath: groups that fail as they are told, and groups that answer.
#[derive(Clone, Default)]
struct Groups {
    failing: Arc<HashMap<&'static str, ErrorKind>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Groups {
    fn failing(groups: impl IntoIterator<Item = (&'static str, ErrorKind)>) -> Self {
        Self {
            failing: Arc::new(groups.into_iter().collect()),
            ..Self::default()
        }
    }

    fn of_asked<T>(&self, read: impl Fn(&Asked) -> T) -> Vec<T> {
        self.asked.lock().iter().map(read).collect()
    }

    /// The groups that were asked, in order.
    fn asked(&self) -> Vec<String> {
        self.of_asked(|asked| asked.group.clone())
    }

    /// How many fallbacks were left when each of them was asked.
    fn left(&self) -> Vec<u32> {
        self.of_asked(|asked| asked.left)
    }

    /// Whether a refusal of each of them was of use as a failure.
    fn takes(&self) -> Vec<bool> {
        self.of_asked(|asked| asked.takes)
    }
}

impl Service<LlmRequest> for Groups {
    type Response = String;
    type Error = Error;
    type Future = std::future::Ready<Result<String, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let group = request.group().as_str().to_owned();
        let ledger = ledger(&request);
        self.asked.lock().push(Asked {
            group: group.clone(),
            left: ledger.fallbacks_left(),
            takes: ledger.takes_refusals(),
        });
        std::future::ready(match self.failing.get(&*group) {
            Some(kind) => Err(Error::new(*kind, format!("{group} failed"))),
            None => Ok(group),
        })
    }
}

fn ledger(request: &LlmRequest) -> &Ledger {
    request.ledger().expect("has one")
}

fn request() -> LlmRequest {
    LlmRequest::chat("a", "hi")
}

fn service(
    lists: FallbackLists,
    groups: &Groups,
) -> impl Service<LlmRequest, Response = String, Error = Error> {
    ServiceBuilder::new()
        .layer(FallbackLayer::new(lists))
        .service(groups.clone())
}

async fn send(
    lists: FallbackLists,
    groups: &Groups,
    request: &LlmRequest,
) -> Result<String, Error> {
    service(lists, groups).oneshot(request.clone()).await
}

#[tokio::test]
async fn a_group_that_answers_is_the_only_one_asked() {
    let (groups, request) = (Groups::default(), request());
    let lists = FallbackLists::new().general([("a", ["b"])]);
    assert_eq!(send(lists, &groups, &request).await.expect("answers"), "a");
    assert_eq!(
        (groups.asked(), groups.left()),
        (vec!["a".to_owned()], vec![1])
    );
    assert_eq!(ledger(&request).fallbacks(), 0);
}

#[tokio::test]
async fn it_goes_on_until_a_group_answers_and_says_what_is_left() {
    let groups = Groups::failing([("a", Internal), ("b", Unavailable)]);
    let request = request();
    let lists = FallbackLists::new().general([("a", ["b", "c", "d"])]);
    assert_eq!(send(lists, &groups, &request).await.expect("answers"), "c");
    assert_eq!(groups.asked(), ["a", "b", "c"]);
    assert_eq!(groups.left(), [3, 2, 1]);
    assert_eq!(ledger(&request).fallbacks(), 2);
}

#[tokio::test]
async fn the_first_failure_is_reported_when_all_fail() {
    let groups = Groups::failing([("a", Internal), ("b", Unavailable), ("c", BadRequest)]);
    let lists = FallbackLists::new().general([("a", ["b", "c"])]);
    let error = send(lists, &groups, &request())
        .await
        .expect_err("all fail");
    assert_eq!(error.message(), "a failed");
    assert_eq!(groups.asked(), ["a", "b", "c"]);
}

#[tokio::test]
async fn what_is_wrong_with_the_request_is_reported_where_the_first_group_only_refused() {
    let groups = Groups::failing([("a", Rejected), ("b", Unavailable), ("c", BadRequest)]);
    let lists = FallbackLists::new().general([("a", ["c"]), ("d", ["b"])]);
    let failed = send(lists.clone(), &groups, &request()).await;
    assert_eq!(failed.expect_err("all fail").message(), "c failed");
    let groups = Groups::failing([("a", Rejected), ("b", Unavailable)]);
    let lists = lists.general([("a", ["b"])]);
    let failed = send(lists, &groups, &request()).await;
    assert_eq!(failed.expect_err("all fail").message(), "a failed");
}

#[tokio::test]
async fn a_request_that_is_too_long_goes_to_its_own_list() {
    let groups = Groups::failing([("a", ContextWindow)]);
    let lists = FallbackLists::new()
        .general([("a", ["other"])])
        .context_window([("a", ["long"])]);
    assert_eq!(
        send(lists, &groups, &request()).await.expect("answers"),
        "long"
    );
}

#[tokio::test]
async fn what_the_table_does_not_let_fall_back_goes_to_the_client() {
    let lists = FallbackLists::new().general([("*", ["b"])]);
    for kind in [
        BadRequest,
        ErrorKind::Budget,
        ErrorKind::Timeout(Clock::Total),
        ContentPolicy,
    ] {
        let groups = Groups::failing([("a", kind)]);
        let error = send(lists.clone(), &groups, &request()).await;
        assert_eq!(error.expect_err("is reported").kind(), kind);
        assert_eq!(groups.asked(), ["a"], "{kind}");
    }
}

#[tokio::test]
async fn a_refusal_goes_on_only_if_a_list_for_refusals_says_so() {
    let groups = Groups::failing([("a", ContentPolicy)]);
    let lists = FallbackLists::new().content_policy([("a", ["bold"])]);
    assert_eq!(
        send(lists, &groups, &request()).await.expect("answers"),
        "bold"
    );
}

#[tokio::test]
async fn a_rejection_of_the_request_ends_the_walk_and_another_one_does_not() {
    for (scope, answers) in [
        (Scope::Request, false),
        (Scope::Attempt, true),
        (Scope::Deployment, true),
    ] {
        let lists = FallbackLists::new().general([("a", ["b"])]);
        let inner = tower::service_fn(move |request: LlmRequest| async move {
            match request.group().as_str() {
                "a" => Err(Error::rejected(
                    Rejection::new(Reason::NoCandidate, scope),
                    "no",
                )),
                _ => Ok("answer"),
            }
        });
        let service = ServiceBuilder::new()
            .layer(FallbackLayer::new(lists))
            .service(inner);
        assert_eq!(service.oneshot(request()).await.is_ok(), answers);
    }
}

#[tokio::test]
async fn a_group_that_refuses_is_passed_over_and_costs_no_attempt() {
    let refused = |reason| Error::rejected(Rejection::new(reason, Scope::Attempt), "refused");
    let inner = tower::service_fn(move |request: LlmRequest| async move {
        let group = request.group().as_str();
        let deployment = Arc::new(Deployment::new(group, group, "m"));
        Err(match group {
            "filtered" => refused(Reason::Filtered),
            "none" => refused(Reason::NoCandidate),
            "small" => Error::new(ContextWindow, "no deployment fits"),
            _ => {
                let attempt = ledger(&request).attempt(&deployment).expect("is allowed");
                if group == "good" {
                    return Ok("answer");
                }
                let error = Error::new(Internal, "failed");
                attempt.fail(&error);
                error
            }
        })
    });
    let lists = FallbackLists::new().general([("a", ["filtered", "none", "small", "good"])]);
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(lists))
        .service(inner);
    let request = request();
    ledger(&request).set_attempts(2);
    assert_eq!(
        service.oneshot(request.clone()).await.expect("answers"),
        "answer"
    );
    assert_eq!(
        (
            ledger(&request).attempts(),
            ledger(&request).attempts_left()
        ),
        (2, 0)
    );
}

#[tokio::test]
async fn every_group_that_failed_is_remembered_in_order() {
    let groups = Groups::failing([("a", Internal), ("b", Unavailable)]);
    let request = request();
    let lists = FallbackLists::new().general([("a", ["b", "c"])]);
    assert_eq!(send(lists, &groups, &request).await.expect("answers"), "c");
    let failures = ledger(&request).failures();
    let failures: Vec<_> = failures.iter().map(Error::message).collect();
    assert_eq!(failures, ["a failed", "b failed"]);
}

#[tokio::test]
async fn a_refusal_is_taken_where_another_group_could_answer_it() {
    let lists = FallbackLists::new()
        .general([("a", ["b"])])
        .content_policy([("a", ["bold", "bolder"])]);
    let takes = async |lists: FallbackLists, request: &LlmRequest| {
        let groups = Groups::failing([("a", ContentPolicy), ("bold", ContentPolicy)]);
        let _ = send(lists, &groups, request).await;
        groups.takes()
    };
    assert_eq!(takes(lists.clone(), &request()).await, [true, true, false]);
    let outage_only = FallbackLists::new().general([("a", ["b"])]);
    assert_eq!(takes(outage_only, &request()).await, [false]);
    let bounded = lists.clone().max_fallbacks(1);
    assert_eq!(takes(bounded, &request()).await, [true, false]);
    let mut without = request();
    without.controls_mut().disable_fallbacks = true;
    assert_eq!(takes(lists.clone(), &without).await, [false]);

    // A target that does not exist answers nothing.
    let groups = Groups::default();
    let deployments = Deployments::new(Snapshot::new([Deployment::new("1", "a", "m")]));
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(lists).resolve(deployments))
        .service(groups.clone());
    service.oneshot(request()).await.expect("answers");
    assert_eq!((groups.takes(), groups.left()), (vec![false], vec![0]));
}

#[tokio::test]
async fn the_first_refusal_is_reported_when_all_decline() {
    let groups = Groups::failing([("a", ContentPolicy), ("bold", Unavailable)]);
    let lists = FallbackLists::new().content_policy([("a", ["bold"])]);
    let error = send(lists, &groups, &request())
        .await
        .expect_err("all fail");
    assert_eq!(error.message(), "a failed");
    assert_eq!(groups.asked(), ["a", "bold"]);
}

#[tokio::test]
async fn a_caller_may_have_lists_of_its_own() {
    let groups = Groups::failing([("a", Internal)]);
    let own = Arc::new(FallbackLists::new().general([("a", ["theirs"])]));
    let lists = FallbackLists::new().general([("a", ["b"])]);
    let layer = FallbackLayer::new(lists)
        .lists_by(move |request: &LlmRequest| request.session().map(|_| Arc::clone(&own)));
    let service = ServiceBuilder::new().layer(layer).service(groups.clone());
    let answer = service.clone().oneshot(request()).await;
    assert_eq!(answer.expect("answers"), "b");
    let answer = service.oneshot(request().with_session("team")).await;
    assert_eq!(answer.expect("answers"), "theirs");
}

#[tokio::test]
async fn the_client_names_the_groups_or_wants_none() {
    let groups = Groups::failing([("a", Internal)]);
    let lists = FallbackLists::new().general([("a", ["b"])]);
    let mut request = request();
    request.controls_mut().fallbacks = Some(Fallbacks::List(vec!["mine".into()]));
    assert_eq!(
        send(lists.clone(), &groups, &request)
            .await
            .expect("answers"),
        "mine"
    );
    request.controls_mut().disable_fallbacks = true;
    assert!(send(lists, &groups, &request).await.is_err());
    assert_eq!(groups.left(), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_started_after_the_deadline_or_without_an_attempt() {
    let lists = FallbackLists::new().general([("a", ["b"])]);
    let groups = Groups::failing([("a", Internal)]);
    let late = request();
    ledger(&late).limit(Instant::now() + Duration::from_secs(1));
    advance(Duration::from_secs(1)).await;
    assert!(send(lists.clone(), &groups, &late).await.is_err());
    let spent = request();
    ledger(&spent).set_attempts(0);
    assert!(send(lists, &groups, &spent).await.is_err());
    assert_eq!(groups.asked(), ["a", "a"]);
}

#[tokio::test]
async fn groups_are_looked_up_as_they_are_at_the_moment() {
    let groups = Groups::failing([("a", Internal)]);
    let deployments = Deployments::new(Snapshot::default());
    let lists = FallbackLists::new().general([("a", ["b"])]);
    let layer = FallbackLayer::new(lists).resolve(deployments.clone());
    let service = ServiceBuilder::new().layer(layer).service(groups.clone());
    assert!(
        service.clone().oneshot(request()).await.is_err(),
        "there is no `b`"
    );
    let b = Deployment::new("1", "b", "m");
    deployments.swap(Snapshot::new([b]));
    assert_eq!(service.oneshot(request()).await.expect("there is now"), "b");
}

#[tokio::test]
async fn the_failed_group_is_let_go_before_the_next_is_asked() {
    let held = Arc::new(());
    let (probe, seen) = (Arc::clone(&held), Arc::new(Mutex::new(Vec::new())));
    let counts = Arc::clone(&seen);
    let inner = tower::service_fn(move |request: LlmRequest| {
        counts.lock().push(Arc::strong_count(&probe));
        let held = Arc::clone(&probe);
        async move {
            let _held = held;
            tokio::task::yield_now().await;
            Err::<(), _>(Error::new(Internal, request.group().to_string()))
        }
    });
    let lists = FallbackLists::new().general([("a", ["b", "c"])]);
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(lists))
        .service(inner);
    assert!(service.oneshot(request()).await.is_err());
    let seen = seen.lock();
    assert!(
        seen.len() == 3 && seen.iter().all(|count| *count == seen[0]),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_service_that_breaks_on_the_way_does_not_hide_the_first_failure() {
    let probe = Probe::new().with_answer(Answer::error(Internal).held());
    let lists = FallbackLists::new().general([("a", ["b"])]);
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(lists))
        .service(probe.clone());
    let (answer, ()) = tokio::join!(service.oneshot(request()), async {
        probe.set_readiness(Readiness::Failed(Unavailable));
        probe.release();
    });
    assert_eq!(answer.expect_err("all fail").kind(), Internal);
}

#[test]
fn it_can_be_boxed_and_shared() {
    let layer = FallbackLayer::new(FallbackLists::new());
    let service = ServiceBuilder::new()
        .layer(layer)
        .service(Groups::default());
    let _ = BoxCloneSyncService::new(service);
}

#[tokio::test]
async fn a_group_that_the_caller_may_not_use_is_passed_over() {
    let groups = Groups::failing([("a", Unavailable), ("c", Unavailable)]);
    let of = |group: &str| Deployment::new(group, group, "m");
    let members = ["a", "b", "c", "d"].map(of);
    let deployments = Deployments::new(Snapshot::new(members));
    let lists = FallbackLists::new()
        .general([("a", ["b", "c", "d"])])
        .max_fallbacks(2);
    let service = || {
        ServiceBuilder::new()
            .layer(FallbackLayer::new(lists.clone()).resolve(deployments.clone()))
            .service(groups.clone())
    };
    let asks = |models: &[&str]| {
        let models = ModelAccess::new(models.iter().map(|name| (*name).to_owned()));
        request().with_caller(Caller::new().with_models(models))
    };
    let answer = service().oneshot(asks(&["a", "c", "d"])).await;
    assert_eq!(answer.expect("d answers"), "d");
    assert_eq!(
        (groups.asked().join(""), groups.left()),
        ("acd".into(), vec![2, 1, 0])
    );
    let error = service().oneshot(asks(&["a"])).await;
    assert_eq!(error.expect_err("there is no other").message(), "a failed");
    let mut request = asks(&["a", "c"]);
    request.controls_mut().fallbacks = Some(Fallbacks::List(vec!["b".into(), "d".into()]));
    service()
        .oneshot(request)
        .await
        .expect_err("no list of the client opens a group");
    assert_eq!(groups.asked().join(""), "acdaa");
}

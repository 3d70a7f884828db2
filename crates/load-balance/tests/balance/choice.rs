//! Which deployment a request goes to.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{
    Deployment, Deployments, Error, ErrorKind, HasLedger, LlmRequest, LlmResponse, Reason,
    Rejection, Scope, Snapshot,
};
use ziggurat_load_balance::{
    Candidates, Filter, LoadBalanceLayer, SimpleShuffle, Strategy, TagFilter,
};

use crate::support::{
    Asked, Sent, balanced, balanced_with, in_order, member, refusal, refused, request,
};

fn failure() -> Error {
    Error::new(ErrorKind::Internal, "broken")
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_was_tried_is_tried_again_only_where_no_other_is_left() {
    fastrand::seed(5);
    let asked = Asked::default();
    let deployments = Deployments::from_iter([member("a"), member("b"), member("c")]);
    let layer = LoadBalanceLayer::new(deployments, SimpleShuffle);
    let stack = balanced(&layer, &asked, |_| Err(failure()));
    for _ in 0..20 {
        let request = request();
        for left in [2, 1, 0, 0] {
            stack
                .clone()
                .oneshot(request.clone())
                .await
                .expect_err("all fail");
            assert_eq!(request.ledger().map(|ledger| ledger.untried()), Some(left));
        }
        let mut asked = asked.take();
        asked.truncate(3);
        asked.sort();
        assert_eq!(asked, ["a", "b", "c"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_tried_deployment_goes_before_one_that_is_known_to_refuse() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    let stack = balanced(&layer, &asked, |id| match id {
        "a" => Err(failure()),
        _ => Err(refusal(Scope::Deployment)),
    });
    let request = request();
    for expected in [&["a"][..], &["b", "a"], &["a"]] {
        stack
            .clone()
            .oneshot(request.clone())
            .await
            .expect_err("none serves");
        assert_eq!(asked.take(), expected);
    }
    assert_eq!(request.ledger().map(|ledger| ledger.untried()), Some(0));
}

#[tokio::test(start_paused = true)]
async fn where_all_are_known_to_refuse_an_untried_one_is_asked_before_a_tried_one() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
    let works = Arc::new(AtomicBool::new(true));
    let stack = balanced(&layer, &asked, {
        let works = Arc::clone(&works);
        move |id| {
            if works.load(Relaxed) {
                return Err(failure());
            }
            let after = Duration::from_millis(if id == "a" { 50 } else { 100 });
            let rejection = Rejection::new(Reason::Busy, Scope::Deployment);
            Err(refused(rejection.retry_at(Instant::now() + after)))
        }
    });
    let first = request();
    stack
        .clone()
        .oneshot(first.clone())
        .await
        .expect_err("a fails");
    works.store(false, Relaxed);
    stack
        .clone()
        .oneshot(request())
        .await
        .expect_err("both refuse");
    assert_eq!(asked.take(), ["a", "a", "b"]);
    stack.oneshot(first).await.expect_err("both refuse");
    assert_eq!(asked.take(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn where_another_branch_of_the_request_went_meanwhile_this_one_does_not_go() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(in_order(&["a", "b", "c"]), SimpleShuffle);
    let stack = balanced_with(&layer, &asked, async |sent: Sent| {
        sleep(Duration::from_millis(1)).await;
        match sent.deployment().id().as_str() {
            "a" => Err(refusal(Scope::Attempt)),
            _ => pending().await,
        }
    });
    let request = request();
    let mut first = task::spawn(stack.clone().oneshot(request.clone()));
    assert_pending!(first.poll());
    let mut second = task::spawn(stack.oneshot(request));
    assert_pending!(second.poll());
    advance(Duration::from_millis(1)).await;
    assert_pending!(first.poll());
    assert_eq!(asked.take(), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn the_lowest_order_that_is_neither_tried_nor_refusing_serves() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(
        Deployments::from_iter([
            member("last"),
            member("second").with_order(2),
            member("first").with_order(1),
        ]),
        SimpleShuffle,
    );
    let refuse = Arc::new(Mutex::new(vec!["first"]));
    let stack = balanced(&layer, &asked, {
        let refuse = Arc::clone(&refuse);
        move |id| match id {
            id if refuse.lock().contains(&id) => Err(refusal(Scope::Deployment)),
            "second" => Err(failure()),
            _ => Ok("fine"),
        }
    });
    let request = request();
    stack
        .clone()
        .oneshot(request.clone())
        .await
        .expect_err("the second fails");
    assert_eq!(request.ledger().map(|ledger| ledger.untried()), Some(1));
    stack
        .clone()
        .oneshot(request)
        .await
        .expect("the last serves");
    assert_eq!(asked.take(), ["first", "second", "last"]);

    refuse.lock().clear();
    advance(Duration::from_millis(250)).await;
    stack
        .oneshot(self::request())
        .await
        .expect("the first serves");
    assert_eq!(asked.take(), ["first"]);
}

#[tokio::test(start_paused = true)]
async fn a_wildcard_passes_on_what_its_stars_stand_for() {
    let models = Arc::new(Mutex::new(Vec::new()));
    let deployments = Snapshot::new([
        Deployment::new("any", "openai/*", "ft:*"),
        Deployment::new("one", "gpt", "gpt-4o"),
    ])
    .with_aliases([(Arc::from("mini"), Arc::from("openai/gpt-mini"), false)])
    .expect("there is no cycle");
    let layer = LoadBalanceLayer::new(Deployments::new(deployments), SimpleShuffle);
    let stack = layer.layer(service_fn(|sent: Sent| {
        models.lock().push(sent.model().to_owned());
        async { Ok::<_, Error>("fine") }
    }));
    for name in ["openai/gpt-9", "mini", "gpt"] {
        let request = LlmRequest::chat(name, "hello");
        stack.clone().oneshot(request).await.expect("one serves");
    }
    assert_eq!(*models.lock(), ["ft:gpt-9", "ft:gpt-mini", "gpt-4o"]);
}

fn tagged(tags: &[&str]) -> LlmRequest {
    let mut request = request();
    request.add_tags(tags.iter().copied());
    request
}

#[tokio::test(start_paused = true)]
async fn tags_choose_and_a_resting_match_is_told_as_resting() {
    let asked = Asked::default();
    let layer = LoadBalanceLayer::new(
        Deployments::from_iter([
            member("free").with_tags(["free"]),
            member("paid").with_tags(["paid"]),
            member("rest").with_tags(["default"]),
        ]),
        SimpleShuffle,
    )
    .filter(Some(TagFilter::match_any()));
    let stack = balanced(&layer, &asked, |id| match id {
        "paid" => Err(refusal(Scope::Deployment)),
        _ => Ok("fine"),
    });
    for tags in [&["free"][..], &[], &["unknown"]] {
        stack
            .clone()
            .oneshot(tagged(tags))
            .await
            .expect("one serves");
    }
    assert_eq!(asked.take(), ["free", "rest", "rest"]);

    let error = stack.clone().oneshot(tagged(&["paid"])).await;
    let error = error.expect_err("it refuses");
    assert_eq!(
        error.rejection().map(Rejection::reason),
        Some(Reason::RateLimited)
    );

    let error = stack.oneshot(tagged(&["&paid", "!paid"])).await;
    let error = error.expect_err("none has them");
    assert_eq!(
        error.rejection().map(Rejection::reason),
        Some(Reason::Filtered)
    );
    assert_eq!(
        (error.status().as_u16(), error.code()),
        (400, "no_matching_deployment")
    );
    assert!(
        error
            .message()
            .contains("paid (tags: has `paid`, which is not to be used)"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn filters_are_put_together_in_pairs_and_lists() {
    let asked = Asked::default();
    let not =
        |id: &'static str| move |_: &LlmRequest, member: &Deployment| member.id().as_str() != id;
    let list: Vec<Arc<dyn Filter<LlmRequest>>> = vec![Arc::new(not("b")), Arc::new(not("c"))];
    let deployments = in_order(&["a", "b", "c", "d"]);
    let layer = LoadBalanceLayer::new(deployments, SimpleShuffle).filter((not("a"), list));
    let request = request();
    let stack = balanced(&layer, &asked, |_| Ok("fine"));
    stack.oneshot(request.clone()).await.expect("d serves");
    assert_eq!(asked.take(), ["d"]);
    assert_eq!(request.ledger().map(|ledger| ledger.untried()), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_strategy_may_be_a_closure_or_chosen_at_run_time() {
    let last = |_: &LlmRequest, candidates: &Candidates<'_>| {
        candidates.iter().last().map(|candidate| candidate.index())
    };
    let strategy: Arc<dyn Strategy<LlmRequest>> = Arc::new(last);
    let deployments = Deployments::from_iter([member("a"), member("b")]);
    let layer = LoadBalanceLayer::new(deployments, strategy);
    let chosen = layer.choose(&request()).expect("one is chosen");
    assert_eq!(chosen.id().as_str(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_strategy_that_declines_or_errs_leads_to_a_refusal_and_not_to_a_loop() {
    for picked in [None, Some(0), Some(99)] {
        let strategy = move |_: &LlmRequest, _: &Candidates<'_>| picked;
        let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), strategy);
        let stack = layer.layer(service_fn(async |_: Sent| {
            Err::<LlmResponse, _>(refusal(Scope::Attempt))
        }));
        let error = stack.oneshot(request()).await.expect_err("none serves");
        assert!(error.rejection().is_some());
    }
}

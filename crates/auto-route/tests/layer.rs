//! What the layer does to requests, with the time paused.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use ziggurat_auto_route::{
    Arm, AutoRouteLayer, Bandit, Choice, ChoiceId, Chooser, Context, Feedback, Policy, Rule, Rules,
    Split, Weights,
};
use ziggurat_core::{
    Deployment, End, Error, ErrorKind, HasLedger, Ledger, LlmRequest, LlmResponse, Prices, Usage,
};
use ziggurat_testkit::contract::{Answer, Probe};

fn request() -> LlmRequest {
    LlmRequest::chat("auto", "hi")
}

fn ledger(request: &LlmRequest) -> &Ledger {
    request.ledger().expect("has one")
}

/// The group a request goes to, and what the ledger says of it.
async fn sent<C: Chooser<LlmRequest>>(
    chooser: C,
    request: LlmRequest,
) -> (String, Option<Arc<str>>) {
    let service = ServiceBuilder::new()
        .layer(AutoRouteLayer::new(chooser))
        .service(service_fn(async |request: LlmRequest| {
            Ok::<_, Error>(request.group().to_string())
        }));
    let group = service.oneshot(request.clone()).await.expect("answers");
    (group, ledger(&request).route())
}

#[tokio::test]
async fn a_chosen_request_goes_to_its_group_and_says_why() {
    let chooser = |_: &LlmRequest| Some(Choice::new("big", "because"));
    assert_eq!(
        sent(chooser, request()).await,
        ("big".to_owned(), Some("because".into()))
    );
}

#[tokio::test]
async fn a_request_that_nobody_chooses_for_goes_where_it_asked() {
    let chooser = |_: &LlmRequest| None::<Choice>;
    assert_eq!(sent(chooser, request()).await, ("auto".to_owned(), None));
}

#[tokio::test]
async fn a_choice_of_the_group_that_was_asked_for_is_explained_too() {
    let chooser = |_: &LlmRequest| Some(Choice::new("auto", "it is fine"));
    assert_eq!(
        sent(chooser, request()).await,
        ("auto".to_owned(), Some("it is fine".into()))
    );
}

#[tokio::test]
async fn the_first_chooser_with_an_answer_wins() {
    let rules = |tag: &str, group: &str| {
        Rules::new([Rule::new("r", group).any_tag([tag])]).expect("make sense")
    };
    let split = Split::new("auto", [("split", 1.0)]).expect("makes sense");
    let choosers = || {
        (
            vec![rules("x", "first"), rules("y", "second")],
            Some(split.clone()),
        )
    };
    for (tags, expected) in [
        (&["x", "y"][..], "first"),
        (&["y"], "second"),
        (&[], "split"),
    ] {
        let mut request = request();
        request.add_tags(tags.iter().copied());
        assert_eq!(sent(Arc::new(choosers()), request).await.0, expected);
    }
    assert_eq!(sent(None::<Rules>, request()).await.0, "auto");
}

/// What a feedback was told.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn chooser(&self) -> impl Chooser<LlmRequest> + use<> {
        let told = self.clone();
        move |_: &LlmRequest| Some(Choice::new("g", "why").with_feedback(told.clone()))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Feedback for Told {
    fn answering(&mut self) {
        self.0.lock().push("answering".to_owned());
    }

    fn end(&mut self, end: End<'_>) {
        self.0.lock().push(match end {
            End::Complete { .. } => "complete".to_owned(),
            End::Failed(error) => format!("failed {}", error.kind()),
            End::Abandoned => "abandoned".to_owned(),
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_feedback_learns_the_beginning_and_exactly_one_end() {
    let told = Told::default();
    let probe = Probe::new().with_script([
        Answer::complete(),
        Answer::error(ErrorKind::Overloaded),
        Answer::stream(2),
        Answer::stream(2).breaking(ErrorKind::StreamBroken),
        Answer::stream(2),
        Answer::complete().after(Duration::from_secs(9)),
    ]);
    let service = ServiceBuilder::new()
        .layer(AutoRouteLayer::new(told.chooser()))
        .service(probe);
    let call = || service.clone().oneshot(request());
    call().await.expect("answers");
    assert_eq!(told.take(), ["answering", "complete"]);
    call().await.expect_err("fails");
    assert_eq!(told.take(), ["failed overloaded"]);
    for end in ["complete", "failed stream_broken"] {
        let (_, mut items) = call().await.expect("answers").into_parts();
        assert_eq!(told.take(), ["answering"]);
        while items.next().await.is_some() {}
        assert_eq!(told.take(), [end]);
    }
    drop(call().await.expect("answers"));
    assert_eq!(told.take(), ["answering", "abandoned"]);
    let cut = tokio::time::timeout(Duration::from_secs(1), call()).await;
    cut.expect_err("is cancelled");
    assert_eq!(told.take(), ["abandoned"]);
}

/// One arm, so that what is learned is learned of it.
fn bandit(weights: Weights) -> Bandit {
    let policy = Policy::new().weights(weights);
    Bandit::new("auto", [Arm::new("only")], policy).expect("makes sense")
}

fn expected(bandit: &Bandit) -> f64 {
    bandit.standings(Context::default())[0].expected()
}

async fn ask(bandit: &Bandit, answer: Answer) {
    let service = ServiceBuilder::new()
        .layer(AutoRouteLayer::new(bandit.clone()))
        .service(Probe::new().with_answer(answer));
    let Ok(response) = service.oneshot(request()).await else {
        return;
    };
    let (_, mut items) = response.into_parts();
    while items.next().await.is_some() {}
}

#[tokio::test(start_paused = true)]
async fn answers_raise_what_a_bandit_expects_and_failures_lower_it() {
    for (answer, rises) in [
        (Answer::complete(), true),
        (Answer::stream(2), true),
        (Answer::error(ErrorKind::Overloaded), false),
        (Answer::stream(1).breaking(ErrorKind::StreamBroken), false),
        (Answer::error(ErrorKind::ContextWindow), false),
    ] {
        let bandit = bandit(Weights::default());
        let before = expected(&bandit);
        ask(&bandit, answer).await;
        assert_eq!(expected(&bandit) > before, rises);
        assert_ne!(expected(&bandit), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bandit_learns_nothing_from_what_is_cancelled_or_the_clients_fault() {
    let bandit = bandit(Weights::default());
    let before = bandit.standings(Context::default())[0].clone();
    ask(&bandit, Answer::error(ErrorKind::BadRequest)).await;
    let service = |answer: Answer| {
        ServiceBuilder::new()
            .layer(AutoRouteLayer::new(bandit.clone()))
            .service(Probe::new().with_answer(answer))
    };
    drop(
        service(Answer::stream(3))
            .oneshot(request())
            .await
            .expect("answers"),
    );
    let slow = service(Answer::complete().after(Duration::from_secs(60)));
    let cut = tokio::time::timeout(Duration::from_secs(1), slow.oneshot(request()));
    cut.await.expect_err("is cancelled");
    let after = &bandit.standings(Context::default())[0];
    assert_eq!(
        (after.expected(), after.requests()),
        (before.expected(), before.requests())
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_a_fallback_is_a_failure_of_the_chosen_group() {
    let bandit = bandit(Weights::default());
    let before = expected(&bandit);
    let service = ServiceBuilder::new()
        .layer(AutoRouteLayer::new(bandit.clone()))
        .service(service_fn(async |request: LlmRequest| {
            ledger(&request).note_fallback();
            Ok::<_, Error>(LlmResponse::complete("{}", None))
        }));
    service.oneshot(request()).await.expect("answers");
    assert!(expected(&bandit) < before);
}

/// What a bandit that weighs one thing expects of a slow, dear group and of a fast, cheap one.
async fn compared(weights: Weights, usage: Option<Usage>, arms: [Arm; 2]) -> [f64; 2] {
    fastrand::seed(11);
    let bandit = Bandit::new(
        "auto",
        arms,
        Policy::new().weights(weights).explore(0.5, 1.0),
    )
    .expect("makes sense");
    let service = ServiceBuilder::new()
        .layer(AutoRouteLayer::new(bandit.clone()))
        .service(service_fn(move |request: LlmRequest| async move {
            let group = request.group().to_string();
            let prices = Prices {
                input: Some(if group == "slow" { 3.0 } else { 1.0 }),
                output: Some(0.0),
                ..Prices::default()
            };
            let deployment = Arc::new(Deployment::new("d", &*group, "m").with_prices(prices));
            let attempt = ledger(&request).attempt(&deployment)?;
            sleep(Duration::from_secs(if group == "slow" { 3 } else { 1 })).await;
            attempt.answering();
            Ok::<_, Error>(LlmResponse::complete("{}", usage))
        }));
    let begin = Instant::now();
    for _ in 0..100 {
        service.clone().oneshot(request()).await.expect("answers");
    }
    assert!(
        begin.elapsed() > Duration::from_secs(110),
        "both were asked"
    );
    let standings = bandit.standings(Context::default());
    [standings[0].expected(), standings[1].expected()]
}

const NOTHING: Weights = Weights {
    success: 0.0,
    latency: 0.0,
    cost: 0.0,
    outcome: 0.0,
};

#[tokio::test(start_paused = true)]
async fn the_time_to_the_answer_is_measured_where_it_begins() {
    let latency = Weights {
        latency: 1.0,
        ..NOTHING
    };
    let [slow, fast] = compared(latency, None, [Arm::new("slow"), Arm::new("fast")]).await;
    // On average the groups take two seconds: 2 / (2 + 3) and 2 / (2 + 1).
    assert!(
        (slow - 0.4).abs() < 0.06 && (fast - 0.667).abs() < 0.06,
        "{slow} {fast}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_cost_is_that_of_the_arm_or_else_of_the_deployment_that_answered() {
    let cost = Weights {
        cost: 1.0,
        ..NOTHING
    };
    let usage = Some(Usage::new(10, 10));
    let [dear, cheap] = compared(cost, usage, [Arm::new("slow"), Arm::new("fast")]).await;
    assert!(
        (dear - 0.4).abs() < 0.06 && (cheap - 0.667).abs() < 0.06,
        "{dear} {cheap}"
    );

    let prices = |output| Prices {
        input: Some(0.0),
        output: Some(output),
        ..Prices::default()
    };
    let arms = [
        Arm::new("slow").prices(prices(1.0)),
        Arm::new("fast").prices(prices(3.0)),
    ];
    let [cheap, dear] = compared(cost, usage, arms).await;
    assert!(
        (dear - 0.4).abs() < 0.06 && (cheap - 0.667).abs() < 0.06,
        "{dear} {cheap}"
    );

    let [one, other] = compared(cost, None, [Arm::new("slow"), Arm::new("fast")]).await;
    assert_eq!((one, other), (0.5, 0.5), "unknown costs tell nothing");
}

#[tokio::test]
async fn a_caller_finds_the_choice_in_the_ledger_and_reports_on_it() {
    let bandit = bandit(Weights::default());
    let (group, route) = sent(bandit.clone(), request()).await;
    let route = route.expect("is explained");
    assert_eq!(group, "only");
    assert!(route.starts_with(r#"bandit "auto": "only""#), "{route}");
    let choice = ChoiceId::find(&route).expect("is named");
    let before = expected(&bandit);
    assert!(bandit.report(choice, 1.0));
    assert!(expected(&bandit) > before);
}

#[tokio::test]
async fn a_bandit_leaves_other_models_alone() {
    let bandit = bandit(Weights::default());
    let other = LlmRequest::chat("gpt", "hi");
    assert_eq!(sent(bandit, other).await, ("gpt".to_owned(), None));
}

#[tokio::test]
async fn requests_of_another_kind_are_split_and_learned_of_by_closures() {
    let split = Split::new("auto", [("a", 0.5), ("b", 0.5)])
        .expect("makes sense")
        .sticky_by(|_: &LlmRequest| ziggurat_auto_route::Sticky::key("same"));
    let (first, _) = sent(split.clone(), request()).await;
    for _ in 0..50 {
        assert_eq!(sent(split.clone(), request()).await.0, first);
    }
    let bandit = bandit(Weights::default()).contexts_by(|_: &LlmRequest| Context::new(7));
    sent(bandit.clone(), request()).await;
    assert_eq!(bandit.standings(Context::new(7))[0].requests(), 1.0);
}

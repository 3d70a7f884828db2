//! Requests that name a deployment, or a model that a wildcard stands for.

use std::sync::Arc;

use parking_lot::Mutex;
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{
    Caller, Deployment, Deployments, Error, ErrorKind, HasLedger, LlmRequest, LlmResponse,
    ModelAccess, Reason, Rejection, Scope, Snapshot,
};
use ziggurat_load_balance::{
    AffinityKind, ContextWindowFilter, Filters, LoadBalanceLayer, Pins, SimpleShuffle, TagFilter,
};

use crate::support::{Asked, Sent, balanced, member, refusal};

fn filters() -> Filters {
    Filters::new()
        .tags(Some(TagFilter::match_any()))
        .region(true)
        .context_window(Some(ContextWindowFilter::new()))
}

#[tokio::test(start_paused = true)]
async fn a_request_that_names_a_deployment_goes_there_or_nowhere() {
    let asked = Asked::default();
    let members = [member("a"), member("b"), member("c")];
    let layer = LoadBalanceLayer::new(Deployments::from_iter(members), SimpleShuffle);
    let stack = balanced(&layer, &asked, |id| match id {
        "b" => Ok("fine"),
        _ => Err(refusal(Scope::Attempt)),
    });
    for _ in 0..10 {
        let request = LlmRequest::chat("b", "hello");
        stack
            .clone()
            .oneshot(request.clone())
            .await
            .expect("b serves");
        assert_eq!(request.ledger().map(|it| it.untried()), Some(0));
        let other = LlmRequest::chat("c", "hello");
        stack.clone().oneshot(other).await.expect_err("c refuses");
        assert_eq!(asked.take(), ["b", "c"]);
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_held_to_who_may_use_a_deployment_and_to_nothing_else() {
    let members = [
        member("small").with_max_input_tokens(1).with_tags(["x"]),
        member("red").with_team("red", None),
        member("label").with_access_groups(["beta"]),
        member("off").with_blocked(true),
    ];
    let layer = LoadBalanceLayer::new(Deployments::from_iter(members), SimpleShuffle);
    let layer = layer.filter(filters());
    let choose = |name: &str, caller: Caller| {
        let mut request = LlmRequest::chat(name, "hello").with_caller(caller);
        request.add_tags(["&y"]);
        layer.choose(&request)
    };
    choose("small", Caller::new()).expect("its size and tags do not matter");
    choose("red", Caller::new().with_team("red")).expect("it is the team's");
    choose("label", Caller::new().with_access_groups(["beta"])).expect("it has the label");
    for (name, caller, reason) in [
        ("red", Caller::new(), Reason::Filtered),
        (
            "small",
            Caller::new().with_access_groups(["beta"]),
            Reason::Filtered,
        ),
        ("off", Caller::new().with_admin(), Reason::NoCandidate),
    ] {
        let error = choose(name, caller).expect_err("it may not");
        assert_eq!(error.rejection().map(Rejection::reason), Some(reason));
        let told = error.message().matches(" (").count();
        assert_eq!(told, 1, "the others are no business of the client: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_use_a_model_is_told_so_and_a_fallback_counts_by_its_own_name() {
    let of = |id: &str, group: &str| Deployment::new(id, group, "m");
    let members = [of("gpt-1", "gpt"), of("gpt-2", "secret")];
    let snapshot = Snapshot::new(members)
        .with_aliases([("smart".into(), "secret".into(), false)])
        .expect("is no cycle");
    let layer = LoadBalanceLayer::new(Deployments::new(snapshot), SimpleShuffle);
    let layer = layer.filter(filters());
    let asks = |name: &str, models: &[&str]| {
        let models = ModelAccess::new(models.iter().map(|name| (*name).to_owned()));
        LlmRequest::chat(name, "hello").with_caller(Caller::new().with_models(models))
    };
    let refused = |request: &LlmRequest| {
        let error = layer.choose(request).err()?;
        let scope = error.rejection().map(Rejection::scope);
        assert_eq!(
            (error.status(), error.code()),
            (http::StatusCode::FORBIDDEN, "key_model_access_denied")
        );
        scope
    };
    for (name, models) in [
        ("gpt", "gpt"),
        ("gpt-1", "gp*"),
        ("gpt-2", "secret"),
        ("smart", "smart"),
        ("smart", "sec*"),
    ] {
        assert_eq!(refused(&asks(name, &[models])), None, "{models} {name}");
    }
    for (name, models) in [("secret", "gpt"), ("gpt-2", "gpt*"), ("smart", "gpt")] {
        let scope = refused(&asks(name, &[models]));
        assert_eq!(scope, Some(Scope::Request), "{models} {name}");
    }
    let meant = asks("auto", &["auto"]).with_meant_group("secret");
    assert_eq!(refused(&meant), None, "what is meant by the name is open");
    let moved = meant.with_group("secret");
    moved.ledger().expect("has one").note_fallback();
    assert_eq!(
        refused(&moved),
        Some(Scope::Attempt),
        "a fallback is not meant"
    );
}

#[tokio::test(start_paused = true)]
async fn it_reads_and_writes_no_pins() {
    let pins = Pins::new([AffinityKind::Session]);
    let members = [member("a"), member("b")];
    let layer = LoadBalanceLayer::new(Deployments::from_iter(members), SimpleShuffle);
    let layer = layer.affinity(pins.clone());
    let stack = layer.layer(service_fn(async |_: Sent| {
        Ok::<_, Error>(LlmResponse::complete("fine", None))
    }));
    let body = r#"{"model":"b","metadata":{"session_id":"s"}}"#;
    let request = LlmRequest::from_bytes(ziggurat_core::Operation::ChatCompletions, body);
    stack
        .oneshot(request.expect("is valid"))
        .await
        .expect("b serves");
    assert!(pins.is_empty());
}

/// What was sent: id, public id, model.
type Seen = Arc<Mutex<Vec<(String, String, String)>>>;

fn note(seen: &Seen, sent: &Sent) {
    let deployment = sent.deployment();
    seen.lock().push((
        deployment.id().to_string(),
        deployment.public_id().to_string(),
        sent.model().to_owned(),
    ));
}

#[tokio::test(start_paused = true)]
async fn a_wildcard_is_asked_as_a_deployment_of_the_concrete_model() {
    let seen = Seen::default();
    let deployments = Snapshot::new([Deployment::new("wild", "openai/*", "*")])
        .with_aliases([(Arc::from("mini"), Arc::from("openai/gpt-mini"), false)])
        .expect("there is no cycle");
    let layer = LoadBalanceLayer::new(Deployments::new(deployments), SimpleShuffle);
    let stack = layer.layer(service_fn(|sent: Sent| {
        note(&seen, &sent);
        assert_eq!(
            layer.in_flight(&"wild".into()),
            1,
            "it is in flight at the wildcard"
        );
        async { Ok::<_, Error>(LlmResponse::complete("fine", None)) }
    }));
    let long = "x".repeat(300);
    for name in [
        "openai/gpt-4o",
        "mini",
        &format!("openai/{long}"),
        "openai/a\u{7}b",
    ] {
        let request = LlmRequest::chat(name, "hello");
        stack
            .clone()
            .oneshot(request.clone())
            .await
            .expect("it serves");
        let trail = request.ledger().map(|it| it.trail().to_string());
        assert_eq!(trail.as_deref(), Some("wild=ok/0ms"));
    }
    let row = |id: &str, model: &str| (id.to_owned(), "wild".to_owned(), model.to_owned());
    assert_eq!(
        *seen.lock(),
        [
            row("wild/gpt-4o", "gpt-4o"),
            row("wild/gpt-mini", "gpt-mini"),
            row("wild", &long),
            row("wild", "a\u{7}b"),
        ]
    );
    assert_eq!(layer.in_flight(&"wild".into()), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wildcard_that_was_tried_for_a_model_counts_as_tried() {
    let asked = Asked::default();
    let members = [
        Deployment::new("one", "x/*", "*"),
        Deployment::new("two", "x/*", "*"),
    ];
    let layer = LoadBalanceLayer::new(Deployments::from_iter(members), SimpleShuffle);
    let stack = balanced(&layer, &asked, |_| {
        Err(Error::new(ErrorKind::Internal, "broken"))
    });
    for _ in 0..20 {
        let request = LlmRequest::chat("x/m", "hello");
        for _ in 0..2 {
            let error = stack.clone().oneshot(request.clone()).await;
            let error = error.expect_err("it fails");
            let id = error.deployment().expect("it is told").as_str();
            assert!(["one", "two"].contains(&id), "{id}");
        }
        let mut asked = asked.take();
        asked.sort();
        assert_eq!(asked, ["one/m", "two/m"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_of_a_wildcard_that_was_asked_for_before_allocates_nothing() {
    let deployments = Deployments::from_iter([Deployment::new("wild", "x/*", "*")]);
    let layer = LoadBalanceLayer::new(deployments, SimpleShuffle);
    let same = Arc::new(Mutex::new(Vec::new()));
    let stack = layer.layer(service_fn(|sent: Sent| {
        same.lock().push(Arc::clone(sent.deployment()));
        async { Ok::<_, Error>("fine") }
    }));
    for _ in 0..2 {
        let request = LlmRequest::chat("x/m", "hello");
        stack.clone().oneshot(request).await.expect("it serves");
    }
    let same = same.lock();
    assert!(Arc::ptr_eq(&same[0], &same[1]));
}

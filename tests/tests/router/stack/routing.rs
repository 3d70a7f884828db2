//! Deployments that come, change and go while requests run, and where a request goes by its name.

use serde_json::json;
use ziggurat::{Caller, ClientCredentials, Deployment, ErrorKind, ReadOptions, Secret};

use crate::stack::{
    leaf::{Leaf, Step},
    support::{gpt, plan, request, router, send},
};

fn served(sent: &crate::stack::support::Sent) -> String {
    let entry = sent.trail.served().expect("was tried");
    entry.deployment().public_id().to_string()
}

/// A router for `any/*` over two deployments that ask for what the star stands for.
fn wildcard(leaf: &Leaf, sections: &str) -> ziggurat::Router {
    let mut plan = plan(&[("any/*", &["a", "b"])], sections);
    for deployment in &mut plan.deployments {
        let id = deployment.id().clone();
        *deployment = Deployment::new(id, "any/*", "*").with_credential(Secret::new("key"));
    }
    ziggurat::Router::with_leaf(&plan, leaf.clone()).expect("the plan is whole")
}

#[tokio::test(start_paused = true)]
async fn deployments_are_added_replaced_and_deleted_while_a_router_runs() {
    let leaf = Leaf::default();
    let router = router(&leaf, &[("gpt", &["a"])], "");
    let new = |id: &str| {
        Deployment::new(id, "gpt", "m")
            .with_base_url("https://api.example.com/v1")
            .with_credential(Secret::new("key"))
    };
    router.add_deployment(new("b")).expect("is new");
    let twice = router.add_deployment(new("b")).expect_err("is there");
    assert_eq!(twice.kind(), ErrorKind::Conflict);
    assert_eq!(router.deployments_of("gpt").len(), 2);

    let id = "a".into();
    let deleted = router.delete_deployment(&id).expect("was there");
    assert_eq!(deleted.id(), &id);
    assert!(router.delete_deployment(&id).is_none());
    let changes = json!({"num_retries": 1});
    let changes = changes.as_object().expect("is one");
    router.update_settings(changes).expect("can be changed");
    assert_eq!(router.deployments_of("gpt").len(), 1, "it stays away");
    assert_eq!(served(&send(&router, gpt()).await), "b");

    let is_new = router.upsert_deployment(new("b").with_blocked(true));
    assert!(!is_new.expect("can be called"));
    let sent = send(&router, gpt()).await;
    let error = sent.result.expect_err("nobody is left");
    assert!(error.message().contains("blocked"), "{error}");
    assert_eq!(leaf.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_cannot_be_called_changes_nothing() {
    let leaf = Leaf::default();
    let router = router(&leaf, &[("gpt", &["a"])], "");
    let broken = Deployment::new("b", "gpt", "m").with_base_url("no url");
    router
        .add_deployment(broken.clone())
        .expect_err("is broken");
    router.set_deployments(vec![broken]).expect_err("is broken");
    assert_eq!(served(&send(&router, gpt()).await), "a");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_flight_outlives_a_change_of_the_settings() {
    let leaf = Leaf::default();
    leaf.always("a", Step::ok().after(5_000));
    let router = router(&leaf, &[("gpt", &["a"])], "");
    let running = send(&router, gpt());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(running);
    tokio::task::yield_now().await;
    assert_eq!(router.in_flight(), 1);
    let changes = json!({"routing_strategy": "least-busy", "num_retries": 0, "timeout": 9.5});
    let changes = changes.as_object().expect("is one");
    router.update_settings(changes).expect("can be changed");
    assert_eq!(router.in_flight(), 1, "the count is kept");
    assert_eq!(router.settings()["routing_strategy"], "least-busy");
    assert_eq!(
        router.settings()["timeout"],
        9.5,
        "nothing is cut to a whole number"
    );
    let sent = tasks.join_next().await.expect("is one");
    assert!(sent.expect("does not panic").is_ok());
    assert_eq!(router.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn settings_that_are_wrong_change_nothing() {
    let router = router(&Leaf::default(), &[("gpt", &["a"])], "");
    let before = router.settings();
    for wrong in [
        json!({"num_retries": -1}),
        json!({"routing_strategy": "fastest"}),
        json!({"num_retires": 1}),
        json!({"num_retries": 3, "timeout": "soon"}),
    ] {
        let wrong = wrong.as_object().expect("is one");
        assert!(router.validate_settings(wrong).is_err(), "{wrong:?}");
        let error = router.update_settings(wrong).expect_err("is wrong");
        assert_eq!(error.kind(), ErrorKind::BadRequest);
    }
    assert_eq!(router.settings(), before);
}

#[tokio::test(start_paused = true)]
async fn routers_that_carry_out_the_same_have_the_same_version() {
    let make = || router(&Leaf::default(), &[("gpt", &["a", "b"])], "");
    let (one, other) = (make(), make());
    let first = one.version();
    assert_eq!(first, other.version());
    one.delete_deployment(&"a".into());
    assert_ne!(one.version(), first);
    let changes = json!({"num_retries": 7});
    let changes = changes.as_object().expect("is one");
    other.update_settings(changes).expect("can be changed");
    assert_ne!(other.version(), first);
    let back = json!({"num_retries": null});
    other
        .update_settings(back.as_object().expect("is one"))
        .expect("can be changed");
    assert_eq!(other.version(), first);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_can_be_asked_for_by_its_id() {
    let leaf = Leaf::default();
    let router = router(&leaf, &[("gpt", &["a", "b"])], "");
    for _ in 0..20 {
        assert_eq!(served(&send(&router, request("b", json!({}))).await), "b");
    }
}

#[tokio::test(start_paused = true)]
async fn what_affinity_keeps_together_can_be_said() {
    let members: &[&str] = &["a", "b", "c", "d"];
    for (key, field) in [("session", "litellm_session_id"), ("caller", "user")] {
        let leaf = Leaf::default();
        let sections = format!(
            "router_settings: {{routing_strategy: affinity, routing_strategy_args: {{key: {key}}}}}\n"
        );
        let router = router(&leaf, &[("gpt", members)], &sections);
        let mut seen = std::collections::HashSet::new();
        for name in 0..40 {
            let mut own = std::collections::HashSet::new();
            for turn in 0..3 {
                let more = json!({field: format!("n{name}"), "seed": turn});
                own.insert(served(&send(&router, request("gpt", more)).await));
            }
            assert_eq!(own.len(), 1, "{key}");
            seen.extend(own);
        }
        assert_eq!(seen.len(), members.len(), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_one_provider_does_not_know_rests_alone_under_a_wildcard() {
    let leaf = Leaf::default();
    let router = wildcard(&leaf, "");
    leaf.always("a", Step::fail(ErrorKind::NotFound));
    leaf.always("b", Step::fail(ErrorKind::NotFound));
    for _ in 0..4 {
        let sent = send(&router, request("any/none", json!({"num_retries": 0}))).await;
        assert!(!sent.is_ok());
    }
    leaf.always("a", Step::ok());
    leaf.always("b", Step::ok());
    let calls = leaf.count();
    for _ in 0..10 {
        let sent = send(&router, request("any/gpt", json!({"num_retries": 0}))).await;
        assert!(sent.is_ok(), "another model is not to suffer");
    }
    assert_eq!(leaf.count(), calls + 10);
}

#[tokio::test(start_paused = true)]
async fn a_team_asks_by_its_own_names_and_others_do_not_get_there() {
    let leaf = Leaf::default();
    let mut plan = plan(&[("gpt", &["open"]), ("gpt-red", &["red"])], "");
    plan.deployments[1] = plan.deployments[1]
        .clone()
        .with_team("red", Some("gpt".into()));
    let router = ziggurat::Router::with_leaf(&plan, leaf.clone()).expect("is whole");
    let as_team = |team: &str| gpt().with_caller(Caller::new().with_team(team));
    assert_eq!(served(&send(&router, as_team("red")).await), "red");
    assert_eq!(served(&send(&router, as_team("blue")).await), "open");
    let direct = request("gpt-red", json!({})).with_caller(Caller::new().with_team("blue"));
    assert!(!send(&router, direct).await.is_ok());
    assert!(!send(&router, request("red", json!({}))).await.is_ok());
    assert_eq!(leaf.count_of("red"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_brings_is_its_own_affair() {
    let leaf = Leaf::default();
    let sections = "general_settings: {allow_client_side_credentials: true}\n";
    let router = router(&leaf, &[("gpt", &["a", "b"])], sections);
    leaf.always("a", Step::fail(ErrorKind::Authentication));
    leaf.always("b", Step::fail(ErrorKind::Authentication));
    let body = json!({"model": "gpt", "messages": [], "api_key": "sk-of-the-client"});
    let options = ReadOptions::new().client_credentials(true);
    let own = || {
        let operation = ziggurat::Operation::ChatCompletions;
        ziggurat::LlmRequest::read(operation, body.to_string(), options).expect("is allowed")
    };
    let client = own().controls().client.clone();
    assert!(matches!(
        client,
        Some(ClientCredentials {
            api_key: Some(_),
            ..
        })
    ));
    for _ in 0..5 {
        assert!(!send(&router, own()).await.is_ok());
    }
    leaf.always("a", Step::ok());
    leaf.always("b", Step::ok());
    let sent = send(&router, gpt()).await;
    assert!(sent.is_ok(), "the deployments have not suffered");
    assert_eq!(sent.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn mirrors_get_a_copy_and_the_client_notices_nothing() {
    let leaf = Leaf::default();
    leaf.always("shadow", Step::fail(ErrorKind::Internal).after(60_000));
    let router = router(
        &leaf,
        &[("gpt", &["a silent_model: next"]), ("next", &["shadow"])],
        "",
    );
    let mirrored = router.background().expect("is the first");
    assert!(router.background().is_none());
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(mirrored);
    let sent = send(&router, gpt()).await;
    assert!(sent.is_ok() && sent.took.is_zero());
    while leaf.count_of("shadow") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(leaf.count_of("a"), 1);
    drop(router);
    tokio::time::advance(crate::stack::support::secs(61)).await;
    tasks
        .join_next()
        .await
        .expect("is one")
        .expect("ends with the router");
}

#[tokio::test(start_paused = true)]
async fn rules_and_splits_choose_the_group_and_say_why() {
    let leaf = Leaf::default();
    let sections = "
ziggurat_settings:
  auto_route:
    rules: [{name: tools, models: [auto], needs: [function_calling], to: big}]
    splits: [{model: auto, to: {small: 1}}]
";
    let router = router(&leaf, &[("big", &["b"]), ("small", &["s"])], sections);
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    let asked = request("auto", tools);
    let ledger = crate::stack::support::ledger(&asked);
    assert_eq!(served(&send(&router, asked).await), "b");
    let why = ledger.route().expect("is told");
    assert!(why.contains("tools"), "{why}");
    assert_eq!(
        served(&send(&router, request("auto", json!({}))).await),
        "s"
    );
}

#[tokio::test(start_paused = true)]
async fn one_model_or_one_client_of_a_deployment_says_nothing_of_the_others() {
    let leaf = Leaf::default();
    let sections = "router_settings: {routing_strategy: least-busy, num_retries: 0}\n\
                    general_settings: {allow_client_side_credentials: true}\n";
    let router = wildcard(&leaf, sections);
    for id in ["a", "b"] {
        leaf.always(id, Step::fail(ErrorKind::NotFound));
    }
    for _ in 0..2 {
        assert!(!send(&router, request("any/none", json!({}))).await.is_ok());
    }
    let body = json!({"model": "any/some", "messages": [], "api_key": "sk-of-the-client"});
    let options = ReadOptions::new().client_credentials(true);
    for id in ["a", "b"] {
        leaf.always(id, Step::fail(ErrorKind::Authentication));
    }
    for _ in 0..2 {
        let operation = ziggurat::Operation::ChatCompletions;
        let own = ziggurat::LlmRequest::read(operation, body.to_string(), options);
        assert!(!send(&router, own.expect("is allowed")).await.is_ok());
    }
    for id in ["a", "b"] {
        assert!(!router.stats(&id.into()).is_failing, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_explanation_follows_the_choice_of_the_group() {
    let sections = "
ziggurat_settings: {auto_route: {splits: [{model: auto, to: {small: 1}}]}}
";
    let router = router(&Leaf::default(), &[("small", &["s"])], sections);
    let asked = request("auto", json!({}));
    let explained = router.explain(&asked).expect("leads somewhere").to_string();
    assert!(explained.contains('s'), "{explained}");
    let ledger = crate::stack::support::ledger(&asked);
    assert!(ledger.route().expect("is told").contains("small"));
    assert_eq!(router.choose(&asked).expect("is one").id().as_str(), "s");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_rests_keeps_no_other_from_the_deployment() {
    let leaf = Leaf::default();
    let router = wildcard(&leaf, "router_settings: {routing_strategy: round-robin}\n");
    leaf.script("a", [Step::fail(ErrorKind::NotFound)]);
    for _ in 0..6 {
        send(&router, request("any/none", json!({}))).await;
    }
    assert_eq!(leaf.count_of("a"), 1, "the model rests there");
    for _ in 0..6 {
        assert!(send(&router, request("any/some", json!({}))).await.is_ok());
    }
    assert_eq!(leaf.count_of("a"), 1 + 3);
}

#[tokio::test(start_paused = true)]
async fn a_session_does_not_wait_for_a_deployment_that_fails_another() {
    let leaf = Leaf::default();
    let sections = "router_settings: {routing_strategy: least-busy, disable_cooldowns: true, optional_pre_call_checks: [session_affinity]}\n";
    let router = router(&leaf, &[("gpt", &["a", "b"])], sections);
    let turn = |name: &str| request("gpt", json!({"litellm_session_id": name}));
    // Two sessions that began at the same deployment.
    let first = served(&send(&router, turn("s0")).await);
    let mut names = (1..).map(|n| format!("s{n}"));
    let other = loop {
        let name = names.next().expect("there are enough");
        if served(&send(&router, turn(&name)).await) == first {
            break name;
        }
    };
    leaf.always(&first, Step::fail(ErrorKind::Internal));
    assert_eq!(send(&router, turn("s0")).await.attempts(), 2);
    let moved = send(&router, turn(&other)).await;
    assert!(moved.is_ok());
    assert_eq!(moved.attempts(), 1);
}

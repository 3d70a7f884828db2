//! What the gateway tells of its groups and their limits.

use serde_json::{Value, json};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::World;

use crate::{
    routed::support::served,
    support::{Groups, config},
};

const SECTIONS: &str = "
router_settings:
  model_group_alias: {other: gpt, secret: {model: gpt, hidden: true}}
";

async fn world() -> World {
    let members = [
        "a rpm: 10, tpm: 1000, input_cost_per_token: 2.0e-6; mode: chat, max_input_tokens: 8000, supports_vision: true, access_groups: [beta]",
        "b rpm: 20, input_cost_per_token: 1.0e-6; mode: chat, max_input_tokens: 4000, supported_openai_params: [tools, seed]",
    ];
    let groups: Groups<'_> = &[("gpt", &members), ("free", &["c"])];
    World::start(&config(groups, SECTIONS)).await
}

async fn group(world: &World, name: &str) -> Value {
    let told = world
        .get(&format!("/model_group/info?model_group={name}"))
        .await;
    assert_eq!(told.status, 200, "{}", told.text);
    let mut told = told.json();
    let data = told["data"].as_array_mut().expect("is a list");
    assert!(data.len() <= 1, "{data:?}");
    data.pop().unwrap_or_default()
}

#[tokio::test]
async fn a_group_is_told_as_all_its_deployments_together() {
    let world = world().await;
    let expected = json!({
        "model_group": "gpt",
        "providers": ["openai"],
        "num_deployments": 2,
        "mode": "chat",
        "max_input_tokens": 8000,
        "input_cost_per_token": 2.0e-6,
        "rpm": 30,
        "tpm": 1000,
        "supports_vision": true,
        "supported_openai_params": ["seed", "tools"],
        "access_groups": ["beta"],
        "usage": {
            "in_flight": 0, "in_flight_limit": 2000,
            "requests": 0, "tokens": 0, "requests_left": 30, "tokens_left": 1000,
        },
    });
    assert_eq!(group(&world, "gpt").await, expected);
    let alias = group(&world, "other").await;
    assert_eq!(
        (&alias["model_group"], &alias["rpm"]),
        (&json!("other"), &json!(30))
    );
    assert_eq!(group(&world, "secret").await, Value::Null);
    assert_eq!(group(&world, "nothing").await, Value::Null);
    let all = world.get("/v1/model_group/info").await.json();
    let names = all["data"].as_array().expect("is a list").iter();
    let names: Vec<_> = names.map(|it| it["model_group"].as_str()).collect();
    assert_eq!(names, [Some("gpt"), Some("free"), Some("other")]);
}

#[tokio::test]
async fn use_is_counted_and_told_in_the_listing_and_in_headers() {
    let world = world().await;
    for step in ["a", "b"] {
        world.providers.script(step, Step::ok().usage(70, 30));
    }
    let reply = world.chat("gpt", json!({})).await;
    served(&reply);
    assert_eq!(reply.header("x-ratelimit-limit-requests"), "30");
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), "29");
    assert_eq!(reply.header("x-ratelimit-limit-tokens"), "1000");
    for _ in 1..4 {
        served(&world.chat("gpt", json!({"stream": true})).await);
    }
    let used = group(&world, "gpt").await["usage"].clone();
    assert_eq!(
        (&used["requests"], &used["tokens"]),
        (&json!(4), &json!(400))
    );
    assert_eq!(
        (&used["requests_left"], &used["in_flight"]),
        (&json!(26), &json!(0))
    );
    let a = world.providers.count("a");
    assert_eq!(
        used["tokens_left"],
        json!(1000 - 100 * a),
        "those of the deployment with a limit"
    );
    let reply = world.chat("other", json!({})).await;
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), "25");
}

#[tokio::test]
async fn a_group_without_limits_tells_none_whatever_its_provider_says() {
    let world = world().await;
    let step = Step::ok().header("x-ratelimit-remaining-requests", "7");
    world
        .providers
        .script("c", step.header("x-ratelimit-limit-requests", "9"));
    let reply = world.chat("free", json!({})).await;
    served(&reply);
    for what in [
        "limit-requests",
        "remaining-requests",
        "limit-tokens",
        "remaining-tokens",
    ] {
        assert_eq!(reply.header(&format!("x-ratelimit-{what}")), "", "{what}");
    }
    assert_eq!(
        reply.header("llm_provider-x-ratelimit-remaining-requests"),
        "7"
    );
}

#[tokio::test]
async fn settings_are_told_as_they_hold() {
    let world = world().await;
    let told = world.get("/router/settings").await.json();
    assert_eq!(told["current_values"]["routing_strategy"], "simple-shuffle");
    let changes = json!({"routing_strategy": "p2c", "num_retries": 7});
    let changes = changes.as_object().expect("is one");
    world.router.update_settings(changes).expect("is valid");
    let told = world.get("/v1/router/settings").await.json();
    assert_eq!(told["current_values"]["routing_strategy"], "p2c");
    assert_eq!(told["current_values"]["num_retries"], 7);
}

#[tokio::test]
async fn no_listing_shows_a_credential() {
    let world = world().await;
    for path in ["/model_group/info", "/router/settings", "/model/info"] {
        let told = world.get(path).await;
        assert_eq!(told.status, 200);
        assert!(!told.text.contains("key-"), "{}", told.text);
    }
}

#[tokio::test]
async fn each_answer_says_which_configuration_is_carried_out() {
    let world = world().await;
    let version = async || {
        let reply = world.chat("gpt", json!({})).await;
        reply.header("x-ziggurat-config").to_owned()
    };
    let first = version().await;
    assert_eq!((first.len(), version().await), (16, first.clone()));
    world.router.delete_deployment(&"b".into());
    assert_ne!(version().await, first);
}

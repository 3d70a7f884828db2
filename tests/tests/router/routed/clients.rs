//! What clients bring, what deployments add, and who else gets a copy.

use serde_json::json;
use ziggurat_testkit::provider::Step;
use ziggurat_tests::{PATIENCE, World};

use crate::{
    routed::support::{refused, served, world},
    support::{Groups, config},
};

const MIRRORED: Groups<'_> = &[("gpt", &["a silent_model: shadow"]), ("shadow", &["b"])];

fn bearer(world: &World, provider: &str) -> Option<String> {
    let call = world.providers.calls(provider).pop()?;
    let value = call.headers.get("authorization")?;
    Some(value.to_str().expect("is text").to_owned())
}

#[tokio::test]
async fn credentials_of_a_client_are_refused_unless_they_are_allowed() {
    let world = world(&["a"], "").await;
    for field in ["api_key", "api_base", "base_url"] {
        let reply = world
            .chat("gpt", json!({field: "https://x.example.com"}))
            .await;
        assert!(refused(&reply, 400).contains(field), "{}", reply.text);
        assert_eq!(reply.json()["error"]["code"], "forbidden_parameter");
    }
    assert_eq!(world.providers.count("a"), 0);
}

#[tokio::test]
async fn a_key_of_the_client_goes_to_the_provider_and_only_there() {
    let sections = "general_settings: {allow_client_side_credentials: true}\n";
    let world = world(&["a"], sections).await;
    let reply = world
        .chat("gpt", json!({"api_key": "sk-of-the-client"}))
        .await;
    assert_eq!(served(&reply), "a");
    assert_eq!(
        bearer(&world, "a").as_deref(),
        Some("Bearer sk-of-the-client")
    );
    let call = world.providers.calls("a").remove(0);
    assert!(call.json().get("api_key").is_none(), "{}", call.json());
    served(&world.chat("gpt", json!({})).await);
    assert_eq!(bearer(&world, "a").as_deref(), Some("Bearer key-a"));
}

#[tokio::test]
async fn an_endpoint_of_the_client_gets_none_of_the_configured_credentials() {
    let sections = "general_settings: {allow_client_side_credentials: true}\n";
    let members = ["a extra_headers: {x-secret: canary}, organization: org-canary"];
    let world = world(&members, sections).await;
    let own = world.providers.base_url("z");
    let reply = world.chat("gpt", json!({"api_base": own})).await;
    assert_eq!(reply.answer(), "from z", "{}", reply.text);
    let call = world.providers.calls("z").remove(0);
    let headers = format!("{:?}", call.headers);
    assert!(
        !headers.contains("canary") && !headers.contains("key-a"),
        "{headers}"
    );
    assert_eq!(world.providers.count("a"), 0);
}

#[tokio::test]
async fn a_bad_key_of_a_client_leaves_the_deployment_to_the_others() {
    let sections = "general_settings: {allow_client_side_credentials: true}\n";
    let world = world(&["a"], sections).await;
    world.providers.script("a", Step::status(401));
    for _ in 0..5 {
        let reply = world.chat("gpt", json!({"api_key": "sk-bad-canary"})).await;
        let message = refused(&reply, 401);
        assert!(!message.contains("canary"), "{message}");
    }
    world.providers.script("a", Step::ok());
    assert_eq!(served(&world.chat("gpt", json!({})).await), "a");
}

#[tokio::test]
async fn a_deployment_may_allow_credentials_for_itself() {
    let members = [
        "a",
        "b configurable_clientside_auth_params: [api_base, api_key]",
    ];
    let world = world(&members, "").await;
    for _ in 0..10 {
        let reply = world.chat("gpt", json!({"api_key": "sk-own"})).await;
        assert_eq!(served(&reply), "b");
        assert_eq!(bearer(&world, "b").as_deref(), Some("Bearer sk-own"));
    }
    assert_eq!(world.providers.count("a"), 0);
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_the_clients_mistake() {
    let sections = "general_settings: {allow_client_side_credentials: true}\n";
    let world = world(&["a"], sections).await;
    for url in [
        "",
        "nonsense",
        "file:///etc/passwd",
        "http://",
        "https://user:canary@x y/",
    ] {
        let reply = world.chat("gpt", json!({"api_base": url})).await;
        let message = refused(&reply, 400);
        assert!(!message.contains("canary"), "{message}");
    }
    assert_eq!(
        served(&world.chat("gpt", json!({})).await),
        "a",
        "it does not rest"
    );
}

#[tokio::test]
async fn what_clients_may_send_changes_with_the_configuration() {
    let world = world(&["a"], "").await;
    let own = || world.chat("gpt", json!({"api_key": "sk-own"}));
    refused(&own().await, 400);
    let sections = "general_settings: {allow_client_side_credentials: true}\n";
    world.reload(&config(&[("gpt", &["a"])], sections));
    served(&own().await);
    world.reload(&config(
        &[("gpt", &["a"])],
        "general_settings: {master_key: sk-new}\n",
    ));
    refused(&own().await, 401);
    let request = world.client.post(world.url("/v1/chat/completions"));
    let request = request
        .bearer_auth("sk-new")
        .json(&ziggurat_tests::chat("gpt", json!({})));
    served(&world.send(request).await);
}

#[tokio::test]
async fn fields_of_a_deployment_are_added_where_the_client_has_none() {
    let sections = "router_settings: {default_litellm_params: {temperature: 0.5, seed: 7}}\n";
    let world = world(&["a temperature: 0.2, max_tokens: 99"], sections).await;
    served(&world.chat("gpt", json!({"max_tokens": 5})).await);
    served(
        &world
            .chat("gpt", json!({"temperature": null, "stream": true}))
            .await,
    );
    let [first, second] = &world.providers.calls("a")[..] else {
        panic!("there were two calls")
    };
    let (first, second) = (first.json(), second.json());
    assert_eq!(first["temperature"], 0.2);
    assert_eq!(
        (&first["max_tokens"], &first["seed"]),
        (&json!(5), &json!(7))
    );
    assert_eq!(
        (&second["temperature"], &second["max_tokens"]),
        (&json!(null), &json!(99))
    );
}

#[tokio::test]
async fn a_copy_arrives_at_the_mirror_and_the_client_waits_for_nothing() {
    let text = config(MIRRORED, "");
    let world = World::start(&text).await;
    world.providers.script("b", Step::ok().hang());
    for streams in [false, true] {
        let reply = world
            .chat("gpt", json!({"temperature": 0.3, "stream": streams}))
            .await;
        assert_eq!(served(&reply), "a");
        assert_eq!(
            reply.answer().split(' ').take(2).collect::<Vec<_>>(),
            ["from", "a"]
        );
    }
    let copied = world
        .providers
        .wait_until(|providers| providers.count("b") == 2);
    tokio::time::timeout(PATIENCE, copied)
        .await
        .expect("copies arrive");
    for call in world.providers.calls("b") {
        assert_eq!(call.json()["temperature"], 0.3);
        assert_eq!(call.headers["authorization"], "Bearer key-b");
    }
    assert_eq!(world.providers.count("a"), 2);
}

#[tokio::test]
async fn a_mirror_that_a_reload_brings_gets_copies() {
    let world = world(&["a"], "").await;
    let text = config(MIRRORED, "");
    world.reload(&text);
    assert_eq!(served(&world.chat("gpt", json!({})).await), "a");
    let copied = world
        .providers
        .wait_until(|providers| providers.count("b") == 1);
    tokio::time::timeout(PATIENCE, copied)
        .await
        .expect("the copy arrives");
}

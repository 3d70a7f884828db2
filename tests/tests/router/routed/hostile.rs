//! Whatever is sent to the routes of the router, it is a clear 4xx, and the next request is served.

use serde_json::json;
use ziggurat_tests::World;

use crate::{
    routed::support::{refused, served},
    support::config,
};

const KEY: &str = "sk-test";

async fn world() -> World {
    let sections = "
general_settings: {master_key: sk-test}
ziggurat_settings: {auto_route: {bandits: [{model: learned, among: [gpt]}]}}
";
    World::start(&config(&[("gpt", &["a"])], sections)).await
}

async fn is_alive(world: &World) {
    let request = world.client.post(world.url("/v1/chat/completions"));
    let body = ziggurat_tests::chat("learned", json!({}));
    served(&world.send(request.bearer_auth(KEY).json(&body)).await);
}

#[tokio::test]
async fn reports_that_are_none_are_refused() {
    let world = world().await;
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let long = format!(r#"{{"choice": "{}", "outcome": 1}}"#, "0".repeat(10_000));
    let huge = " ".repeat(3 << 20);
    for (what, body, status) in [
        ("empty", "", 400),
        ("no JSON", "hello", 400),
        ("broken", r#"{"choice": "#, 400),
        ("a list", "[]", 400),
        ("nested", nested.as_str(), 413),
        ("nested a little", &nested[99_000..101_000], 400),
        ("huge", huge.as_str(), 413),
        ("no choice", r#"{"outcome": 1}"#, 400),
        ("no outcome", r#"{"choice": "00c0ffee00000007"}"#, 400),
        (
            "outcome over 1",
            r#"{"choice": "00c0ffee00000007", "outcome": 1.1}"#,
            400,
        ),
        (
            "outcome below 0",
            r#"{"choice": "00c0ffee00000007", "outcome": -0.1}"#,
            400,
        ),
        (
            "outcome beyond numbers",
            r#"{"choice": "00c0ffee00000007", "outcome": 1e999}"#,
            400,
        ),
        (
            "outcome null",
            r#"{"choice": "00c0ffee00000007", "outcome": null}"#,
            400,
        ),
        (
            "outcome text",
            r#"{"choice": "00c0ffee00000007", "outcome": "1"}"#,
            400,
        ),
        (
            "choice of letters",
            r#"{"choice": "zzzzzzzzzzzzzzzz", "outcome": 1}"#,
            400,
        ),
        (
            "choice with a sign",
            r#"{"choice": "+0c0ffee00000007", "outcome": 1}"#,
            400,
        ),
        ("choice too short", r#"{"choice": "7", "outcome": 1}"#, 400),
        ("choice too long", &long, 400),
        ("choice a number", r#"{"choice": 7, "outcome": 1}"#, 400),
        (
            "more",
            r#"{"choice": "00c0ffee00000007", "outcome": 1, "more": 1}"#,
            400,
        ),
        (
            "unknown choice",
            r#"{"choice": "00c0ffee00000007", "outcome": 1}"#,
            404,
        ),
        (
            "highest choice",
            r#"{"choice": "ffffffffffffffff", "outcome": 1}"#,
            404,
        ),
    ] {
        let request = world.client.post(world.url("/v1/outcome")).bearer_auth(KEY);
        let reply = world.send(request.body(body.to_owned())).await;
        let message = refused(&reply, status);
        assert!(
            !message.is_empty() && message.len() < 1_000,
            "{what}: {message}"
        );
        is_alive(&world).await;
    }
}

#[tokio::test]
async fn queries_that_are_none_are_refused() {
    let world = world().await;
    let long = "x".repeat(20_000);
    for (query, status) in [
        ("model_group=a&model_group=b", 400),
        ("model_group=%ff%fe", 200),
        ("model_group=", 200),
        ("model_group", 200),
        ("other=1&&&==", 200),
        (long.as_str(), 200),
        (&format!("model_group={long}"), 200),
    ] {
        let request = world
            .client
            .get(world.url(&format!("/model_group/info?{query}")));
        let reply = world.send(request.bearer_auth(KEY)).await;
        if status == 400 {
            refused(&reply, 400);
        } else {
            assert_eq!(reply.status, status, "{query:.40}: {}", reply.text);
            assert!(reply.json()["data"].is_array(), "{}", reply.text);
        }
        is_alive(&world).await;
    }
}

#[tokio::test]
async fn the_routes_of_the_router_ask_for_the_key_and_for_their_method() {
    let world = world().await;
    for (path, wrong) in [
        ("/model_group/info", "POST"),
        ("/router/settings", "POST"),
        ("/outcome", "GET"),
    ] {
        for path in [path.to_owned(), format!("/v1{path}")] {
            refused(&world.get(&path).await, 401);
            let method = wrong.parse().expect("is a method");
            let request = world
                .client
                .request(method, world.url(&path))
                .bearer_auth(KEY);
            assert!(refused(&world.send(request).await, 405).contains(wrong));
        }
    }
}

#[tokio::test]
async fn odd_headers_are_refused_or_ignored() {
    let world = world().await;
    let long = "s".repeat(600);
    for (name, value, status) in [
        ("x-litellm-session-id", long.as_str(), 400),
        ("x-litellm-session-id", "", 200),
        ("x-litellm-tags", ",,, ,", 200),
        ("user-agent", long.as_str(), 200),
    ] {
        let request = world.client.post(world.url("/v1/chat/completions"));
        let request = request.bearer_auth(KEY).header(name, value);
        let reply = world
            .send(request.json(&ziggurat_tests::chat("gpt", json!({}))))
            .await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text);
    }
}

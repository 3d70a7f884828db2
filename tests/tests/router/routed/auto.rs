//! What changes the group of a request before it is routed.

use serde_json::json;
use ziggurat_tests::{Reply, World};

use crate::{
    routed::support::{refused, served},
    support::{Groups, config},
};

const GROUPS: Groups<'_> = &[("small", &["a"]), ("large", &["b"])];

const SECTIONS: &str = "
ziggurat_settings:
  auto_route:
    rules:
      - {name: images, models: [auto], images: true, to: large}
      - {name: code, models: [auto], keywords: [traceback], to: large}
    splits: [{model: auto, to: {small: 1}}, {model: half, to: {small: 50, large: 50}}]
    bandits: [{model: learned, among: [small, large]}]
";

async fn world() -> World {
    World::start(&config(GROUPS, SECTIONS)).await
}

fn route(reply: &Reply) -> &str {
    reply.header("x-ziggurat-route")
}

#[tokio::test]
async fn a_rule_decides_and_is_named() {
    let world = world().await;
    let says = |text: &str| json!({"messages": [{"role": "user", "content": text}]});
    let reply = world.chat("auto", says("a TraceBack in my program")).await;
    assert_eq!(served(&reply), "b");
    assert!(
        route(&reply).starts_with("rule \"code\""),
        "{}",
        route(&reply)
    );
    assert_eq!(reply.header("x-litellm-model-group"), "large");
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.com/x.png"}});
    let image = json!({"messages": [{"role": "user", "content": [image]}]});
    let reply = world.chat("auto", image).await;
    assert!(
        route(&reply).starts_with("rule \"images\""),
        "{}",
        route(&reply)
    );
    assert_eq!(served(&world.chat("small", says("traceback")).await), "a");
    assert_eq!(route(&world.chat("small", says("traceback")).await), "");
}

#[tokio::test]
async fn a_split_divides_and_keeps_a_user_on_one_side() {
    let world = world().await;
    let reply = world.chat("auto", json!({})).await;
    assert_eq!(served(&reply), "a");
    assert!(
        route(&reply).starts_with("split of \"auto\""),
        "{}",
        route(&reply)
    );
    for _ in 0..60 {
        served(&world.chat("half", json!({})).await);
    }
    let (a, b) = (world.providers.count("a"), world.providers.count("b"));
    assert!(a > 10 && b > 10, "{a} and {b}");
    for user in ["x", "y", "z"] {
        let first = world.chat("half", json!({"user": user})).await;
        let second = world.chat("half", json!({"user": user})).await;
        assert_eq!(served(&first), served(&second), "{user}");
    }
}

#[tokio::test]
async fn what_is_learned_can_be_reported_on_once() {
    let world = world().await;
    let reply = world.chat("learned", json!({})).await;
    served(&reply);
    let choice = route(&reply).rsplit(' ').next().expect("is one").to_owned();
    assert!(
        route(&reply).starts_with("bandit \"learned\""),
        "{}",
        route(&reply)
    );
    let report = json!({"choice": choice, "outcome": 0.5});
    let taken = world.post("/v1/outcome", &report).await;
    assert_eq!(
        (taken.status, taken.json()),
        (200, json!({"status": "taken"}))
    );
    let message = refused(&world.post("/outcome", &report).await, 404);
    assert!(message.contains("reported on before"), "{message}");
}

#[tokio::test]
async fn it_learns_from_what_it_is_told() {
    let world = world().await;
    for _ in 0..150 {
        let reply = world.chat("learned", json!({})).await;
        let good = if served(&reply) == "b" { 1.0 } else { 0.0 };
        let choice = route(&reply).rsplit(' ').next().expect("is one");
        let report = json!({"choice": choice, "outcome": good});
        assert_eq!(world.post("/v1/outcome", &report).await.status, 200);
    }
    let before = world.providers.count("b");
    for _ in 0..60 {
        served(&world.chat("learned", json!({})).await);
    }
    let learned = world.providers.count("b") - before;
    assert!(
        learned >= 36,
        "{learned} of 60 go where the outcome is good"
    );
}

#[tokio::test]
async fn what_was_learned_outlives_a_reload() {
    let world = world().await;
    let reply = world.chat("learned", json!({})).await;
    let choice = route(&reply).rsplit(' ').next().expect("is one").to_owned();
    world.reload(&config(GROUPS, SECTIONS));
    let report = json!({"choice": choice, "outcome": 1});
    assert_eq!(world.post("/v1/outcome", &report).await.status, 200);
}

#[tokio::test]
async fn names_that_are_chosen_for_can_be_explained() {
    let world = world().await;
    let body = ziggurat_tests::chat("auto", json!({}));
    let request = ziggurat::LlmRequest::from_value(ziggurat::Operation::ChatCompletions, &body);
    let explained = world.router.explain(&request.expect("is valid"));
    let explained = explained.expect("leads to a group");
    assert_eq!(explained.group(), "small");
}

//! What a model group may be used.

use serde_json::json;

use crate::{
    limits::support::{answered, pass},
    support::world,
};

#[tokio::test(start_paused = true)]
async fn what_a_group_refuses_goes_to_its_fallback() {
    let sections = "router_settings: {fallbacks: [{gpt: [claude]}]}
ziggurat_settings: {limits: {rules: [{for: group, name: gpt, rpm: 2}]}}";
    let world = world(&[("gpt", &["a", "b"]), ("claude", &["c"])], sections);
    assert_eq!(answered(&world, "gpt", 6).await, 6);
    let gpt = world.providers.count("a") + world.providers.count("b");
    assert_eq!((gpt, world.providers.count("c")), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn without_a_fallback_a_group_refuses_and_tells_its_limit() {
    let sections = "router_settings: {model_group_alias: {smart: gpt}}
ziggurat_settings: {limits: {rules: [{for: group, rpm: 2}]}}";
    let world = world(&[("gpt", &["a"]), ("llama", &["b"])], sections);
    let first = world.chat("gpt", json!({})).await;
    assert_eq!(first.header("x-ratelimit-remaining-requests"), "1");
    assert_eq!(
        first.header("x-ziggurat-limit"),
        "group;name=\"gpt\";window=sliding;seconds=60"
    );
    assert_eq!(world.chat("smart", json!({})).await.status, 200);
    let reply = world.chat("gpt", json!({})).await;
    assert_eq!((reply.status, reply.header("retry-after")), (429, "60"));
    assert_eq!(reply.json()["error"]["limit"]["name"], "gpt");
    assert_eq!(
        answered(&world, "llama", 2).await,
        2,
        "each group by itself"
    );
    assert_eq!(world.router.limits_of_group("smart")[0].left.remaining(), 0);
    pass(60).await;
    assert_eq!(answered(&world, "gpt", 2).await, 2);
}

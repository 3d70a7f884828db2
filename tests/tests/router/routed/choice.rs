//! Each strategy, by the name that a configuration gives it.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use ziggurat_testkit::provider::Step;
use ziggurat_tests::{VirtualWorld, World};

use crate::{
    routed::support::{served, world},
    support::config,
};

/// A request, and every other one for a stream.
async fn ask(world: &VirtualWorld, i: usize) {
    let reply = world.chat("gpt", json!({"stream": i % 2 == 1})).await;
    served(&reply);
    assert!(reply.answer().starts_with("from "), "{}", reply.text);
}

/// How many requests `a` and `b` got of forty that were sent one after the other, when the first
/// have taught what there is to learn.
async fn forty(world: &VirtualWorld) -> (u64, u64) {
    for _ in 0..20 {
        join_all((0..8).map(|i| ask(world, i))).await;
    }
    let counts = || ["a", "b"].map(|id| world.providers.count(id));
    let before = counts();
    for i in 0..40 {
        ask(world, i).await;
    }
    let after = counts();
    (after[0] - before[0], after[1] - before[1])
}

fn slow() -> Step {
    Step::ok()
        .delay(Duration::from_millis(40))
        .first_token_delay(Duration::from_millis(40))
}

#[tokio::test(start_paused = true)]
async fn every_strategy_chooses_as_it_is_called() {
    let full = || {
        let step = Step::ok().header("x-ratelimit-limit-requests", "100");
        step.header("x-ratelimit-remaining-requests", "1")
            .header("x-ratelimit-reset-requests", "1h")
    };
    let few = |a: u64, b: u64| a + b == 40 && a <= 12;
    let even = |a: u64, b: u64| (a, b) == (20, 20);
    let some = |a: u64, b: u64| a + b == 40 && a > 0 && b > 0;
    let one = |a: u64, b: u64| (a, b) == (40, 0) || (a, b) == (0, 40);
    let never = |a: u64, b: u64| (a, b) == (0, 40);
    type Holds<'a> = &'a dyn Fn(u64, u64) -> bool;
    let cases: [(&str, &str, &str, Step, Holds<'_>); 15] = [
        (
            "simple-shuffle",
            "weight: 1",
            "weight: 1",
            Step::ok(),
            &some,
        ),
        (
            "simple-shuffle",
            "weight: 0",
            "weight: 1",
            Step::ok(),
            &never,
        ),
        ("least-busy", "", "", Step::ok(), &some),
        (
            "usage-based-routing",
            "rpm: 100",
            "rpm: 900",
            Step::ok(),
            &few,
        ),
        (
            "usage-based-routing-v2",
            "tpm: 10000",
            "tpm: 90000",
            Step::ok(),
            &few,
        ),
        ("latency-based-routing", "", "", slow(), &few),
        (
            "latency-based-routing, routing_strategy_args: {ttl: 60, lowest_latency_buffer: 0.1, ttft_percentile: 0.5}",
            "",
            "",
            slow(),
            &few,
        ),
        (
            "cost-based-routing",
            "input_cost_per_token: 1.0e-6, output_cost_per_token: 0",
            "input_cost_per_token: 0, output_cost_per_token: 0",
            Step::ok(),
            &never,
        ),
        ("round-robin", "", "", Step::ok(), &even),
        ("p2c", "", "", slow(), &few),
        (
            "p2c, routing_strategy_args: {decay: 5}",
            "",
            "",
            slow(),
            &few,
        ),
        ("prequal", "", "", slow(), &few),
        ("affinity", "", "", Step::ok(), &one),
        (
            "affinity, routing_strategy_args: {key: prompt, load_factor: 2}",
            "",
            "",
            Step::ok(),
            &one,
        ),
        ("headroom", "", "", full(), &few),
    ];
    for (strategy, a, b, step, holds) in cases {
        let sections = format!("router_settings: {{routing_strategy: {strategy}}}\n");
        let members = [&*format!("a {a}"), &format!("b {b}")];
        let world = VirtualWorld::new(&config(&[("gpt", &members)], &sections));
        world.providers.script("a", step);
        let (a, b) = forty(&world).await;
        assert!(holds(a, b), "{strategy}: {a} to a, {b} to b");
    }
}

#[tokio::test]
async fn least_busy_goes_round_a_stream_that_is_stuck() {
    let world = world(
        &["a", "b"],
        "router_settings: {routing_strategy: least-busy}\n",
    )
    .await;
    let stuck = || Step::ok().words(60).stall_after(5, None);
    world.providers.script("a", stuck());
    world.providers.script("b", stuck());
    let body = ziggurat_tests::chat("gpt", json!({"stream": true}));
    let request = world.client.post(world.url("/v1/chat/completions"));
    let response = request.json(&body).send().await.expect("answers");
    let busy = response.headers()["x-litellm-model-id"].clone();
    world.providers.script("a", Step::ok());
    world.providers.script("b", Step::ok());
    for _ in 0..20 {
        let reply = world.chat("gpt", json!({})).await;
        assert_ne!(served(&reply), busy);
    }
    drop(response);
}

#[tokio::test]
async fn a_routing_group_has_a_name_and_a_strategy_of_its_own() {
    let sections = "
router_settings:
  routing_strategy: round-robin
  routing_groups:
    - {group_name: both, models: [gpt], routing_strategy: cost-based-routing}
";
    let members = [
        "a input_cost_per_token: 1.0e-6, output_cost_per_token: 1.0e-6",
        "b input_cost_per_token: 1.0e-7, output_cost_per_token: 1.0e-6",
    ];
    let world = world(&members, sections).await;
    for _ in 0..10 {
        assert_eq!(served(&world.chat("both", json!({})).await), "b");
        assert_eq!(
            served(&world.chat("gpt", json!({})).await),
            "b",
            "a member is chosen likewise"
        );
    }
}

#[tokio::test]
async fn lower_orders_are_asked_first_and_the_others_when_they_fail() {
    let world = world(&["a order: 2", "b order: 1", "c"], "").await;
    for _ in 0..20 {
        assert_eq!(served(&world.chat("gpt", json!({})).await), "b");
    }
    world.providers.script("b", Step::status(500));
    assert_eq!(served(&world.chat("gpt", json!({})).await), "a");
    world.providers.script("a", Step::status(500));
    assert_eq!(served(&world.chat("gpt", json!({})).await), "c");
}

#[tokio::test]
async fn the_id_of_a_deployment_is_a_model() {
    let world = world(&["a", "b"], "").await;
    for _ in 0..20 {
        let reply = world.chat("b", json!({})).await;
        assert_eq!(served(&reply), "b");
        assert_eq!(reply.header("x-litellm-model-group"), "gpt");
    }
    assert_eq!(world.providers.count("a"), 0);
}

#[tokio::test]
async fn wildcards_pass_on_what_they_stood_for_and_the_most_specific_wins() {
    let entry = |name: &str, model: &str, id: &str| {
        format!(
            "  - {{model_name: \"{name}\", litellm_params: {{model: \"{model}\", api_base: \"{{{id}}}\", api_key: k}}, model_info: {{id: {id}}}}}\n"
        )
    };
    let config = [
        "model_list:\n".to_owned(),
        entry("openai/*", "openai/*", "a"),
        entry("openai/gpt-*", "openai/big-*", "b"),
        entry("openai/gpt-4o", "openai/exact", "c"),
    ];
    let world = World::start(&config.concat()).await;
    for (asked, id, model) in [
        ("openai/o3", "a", "o3"),
        ("openai/gpt-5", "b", "big-5"),
        ("openai/gpt-4o", "c", "exact"),
    ] {
        let before = world.providers.count(id);
        assert_eq!(served(&world.chat(asked, json!({})).await), id, "{asked}");
        let call = world.providers.calls(id).remove(before as usize);
        assert_eq!(call.json()["model"], model);
    }
    let reply = world.chat("my-openai/o3", json!({})).await;
    assert_eq!(reply.status, 404, "a pattern is anchored: {}", reply.text);
}

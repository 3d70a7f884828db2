//! How often is tried, and how much is forgiven, by the kind of error.

use serde_json::json;
use ziggurat::cooldown::State;
use ziggurat_testkit::provider::Step;

use crate::{reliability::support::asked, support::world};

/// How many attempts a request for a group makes at a provider that always does this.
async fn attempts(settings: &str, group: &str, step: Step) -> u64 {
    let world = world(&[("gpt", &["a"]), ("claude", &["b"])], settings);
    for name in ["a", "b"] {
        world.providers.script(name, step.clone());
    }
    let reply = world.chat(group, json!({})).await;
    assert_ne!(reply.status, 200, "{}", reply.text);
    world.providers.count("a") + world.providers.count("b")
}

#[tokio::test(start_paused = true)]
async fn a_retry_policy_says_how_often_for_each_kind() {
    let settings = "router_settings: {num_retries: 1, retry_policy: {InternalServerErrorRetries: 4, RateLimitErrorRetries: 0, BadRequestErrorRetries: 2}}";
    for (status, expected) in [(500, 5), (429, 1), (400, 3), (503, 2)] {
        let made = attempts(settings, "gpt", Step::status(status)).await;
        assert_eq!(made, expected, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_retry_policy_of_a_group_goes_before_that_of_all() {
    let settings = "router_settings: {retry_policy: {InternalServerErrorRetries: 1}, model_group_retry_policy: {gpt: {InternalServerErrorRetries: 3, DefaultRetries: 0}}}";
    for (group, status, expected) in [
        ("gpt", 500, 4),
        ("gpt", 503, 1),
        ("claude", 500, 2),
        ("claude", 503, 3),
    ] {
        let made = attempts(settings, group, Step::status(status)).await;
        assert_eq!(made, expected, "{group}: {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_says_its_own_number() {
    let settings =
        "router_settings: {num_retries: 1, retry_policy: {InternalServerErrorRetries: 4}}";
    let world = world(&[("gpt", &["a"])], settings);
    world.providers.script("a", Step::status(500));
    for (more, expected) in [
        (json!({"num_retries": 2}), 3),
        (json!({"num_retries": 0}), 1),
    ] {
        let reply = world.chat("gpt", more).await;
        assert_eq!(asked(&reply).len(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_allowed_fails_policy_says_how_many_failures_of_a_kind_are_forgiven() {
    let policy = "router_settings: {num_retries: 1, allowed_fails: 9, allowed_fails_policy: {RateLimitErrorAllowedFails: 2, InternalServerErrorAllowedFails: 4, BadRequestErrorAllowedFails: 1}}";
    for (status, forgiven) in [(429, 2), (500, 4), (400, 1), (503, 9)] {
        let world = world(&[("gpt", &["a order: 1", "b order: 2"])], policy);
        world.providers.script("a", Step::status(status));
        for failures in 0..=forgiven {
            let state = world.router.cooldown().state(&"a".into());
            assert_eq!(state, State::Closed, "{status} after {failures}");
            world.chat("gpt", json!({})).await;
        }
        let state = world.router.cooldown().state(&"a".into());
        let rests = matches!(state, State::Resting { .. });
        assert!(rests, "{status}: {state:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_cooldowns_nobody_rests() {
    let settings = "router_settings: {disable_cooldowns: true}";
    let world = world(&[("gpt", &["a order: 1", "b order: 2"])], settings);
    world.providers.script("a", Step::status(401));
    for _ in 0..10 {
        let reply = world.chat("gpt", json!({})).await;
        assert_eq!((reply.status, asked(&reply).as_str()), (200, "ab"));
    }
}

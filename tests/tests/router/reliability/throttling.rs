//! What a provider's 429 asks for.

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};
use ziggurat::{ErrorKind, cooldown::State};
use ziggurat_testkit::provider::{Call, Script, Step};
use ziggurat_tests::VirtualWorld;

use crate::{
    reliability::support::{asked, counts, shapes},
    support::{millis, secs, world},
};

#[tokio::test(start_paused = true)]
async fn a_provider_is_left_alone_for_as_long_as_each_retry_after_asks() {
    for (path, body) in shapes() {
        let world = world(&[("gpt", &["a"])], "router_settings: {num_retries: 3}");
        let throttled = [1, 4, 8].map(|after| Step::status(429).retry_after(after));
        let steps = throttled.into_iter().chain([Step::ok()]);
        world.providers.script("a", Script::sequence(steps));
        let reply = world.post(path, &body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        let calls = world.providers.calls("a");
        let gaps: Vec<_> = calls.windows(2).map(|two| two[1].at - two[0].at).collect();
        assert_eq!(gaps.len(), 3);
        for (gap, asked) in gaps.iter().zip([1, 4, 8]) {
            assert!(*gap >= secs(asked), "{path}: {gaps:?}");
        }
    }
}

/// Every target says 429 for a second.
fn throttled_for_a_second(world: &VirtualWorld) {
    let back = Instant::now() + secs(1);
    for name in ["a", "b", "c"] {
        let throttled = move |_: &Call| match Instant::now() < back {
            true => Step::status(429).retry_after(1).delay(millis(5)),
            false => Step::ok().delay(millis(50)),
        };
        world.providers.script(name, Script::from_fn(throttled));
    }
}

#[tokio::test(start_paused = true)]
async fn targets_that_are_throttled_for_a_second_cost_no_client_error_within_ten() {
    let one: &[(&str, &[&str])] = &[("gpt", &["a"])];
    let two: &[(&str, &[&str])] = &[("gpt", &["a", "b"])];
    let fallback: &[(&str, &[&str])] = &[("gpt", &["a", "b"]), ("claude", &["c"])];
    for (groups, fallbacks) in [(one, "[]"), (two, "[]"), (fallback, "[{gpt: [claude]}]")] {
        for burst in [1, 20, 1_000] {
            let settings = format!(
                "router_settings: {{fallbacks: {fallbacks}}}\nziggurat_settings: {{deadline: 10}}"
            );
            let world = world(groups, &settings);
            throttled_for_a_second(&world);
            let began = Instant::now();
            let replies = join_all((0..burst).map(|_| world.chat("gpt", json!({})))).await;
            for reply in &replies {
                let trail = reply.header("x-ziggurat-trail");
                assert_eq!(reply.status, 200, "{burst}: {trail}: {}", reply.text);
            }
            assert!(began.elapsed() < secs(10));
            assert_eq!(world.router.in_flight(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_runs_is_lengthened_and_never_shortened() {
    for (first, second) in [(60, 5), (5, 60)] {
        let world = world(&[("gpt", &["a order: 1", "b order: 2"])], "");
        let began = Instant::now();
        let throttled = |after| Step::status(429).retry_after(after);
        let steps = [throttled(first), throttled(second).delay(secs(2))];
        world.providers.script("a", steps);
        let both = join_all((0..2).map(|_| world.chat("gpt", json!({})))).await;
        assert!(
            both.iter()
                .all(|reply| reply.answer().starts_with("from b"))
        );
        let State::Resting { until, because } = world.router.cooldown().state(&"a".into()) else {
            panic!("it rests");
        };
        assert_eq!(because, ErrorKind::RateLimited);
        let expected = if first == 60 { secs(60) } else { secs(62) };
        assert_eq!(until - began, expected, "{first} s, then {second} s");
        sleep(secs(50)).await;
        assert_eq!(world.chat("gpt", json!({})).await.status, 200);
        assert_eq!(world.providers.count("a"), 2, "it still rests");
    }
}

/// Three deployments at one provider: `x` and `y` draw on the same quota, `z` on another.
const QUOTAS: &str = "
model_list:
  - {model_name: gpt, litellm_params: {model: openai/m, api_base: '{a}', api_key: k1}, model_info: {id: x}}
  - {model_name: gpt, litellm_params: {model: openai/m, api_base: '{a}', api_key: k1}, model_info: {id: y}}
  - {model_name: gpt, litellm_params: {model: openai/m, api_base: '{a}', api_key: k2}, model_info: {id: z}}
";

fn has_key(call: &Call, key: &str) -> bool {
    call.headers["authorization"] == format!("Bearer {key}")
}

#[tokio::test(start_paused = true)]
async fn a_429_rests_whoever_draws_on_the_same_quota_and_another_account_is_used_at_once() {
    for seed in 0..10 {
        let world = VirtualWorld::new(QUOTAS);
        fastrand::seed(seed);
        let throttled = |call: &Call| match has_key(call, "k1") {
            true => Step::status(429).retry_after(30),
            false => Step::ok(),
        };
        world.providers.script("a", Script::from_fn(throttled));
        let began = Instant::now();
        for _ in 0..20 {
            let reply = world.chat("gpt", json!({})).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            assert!(asked(&reply).ends_with('z'));
        }
        assert_eq!(began.elapsed(), secs(0), "nothing is waited for");
        let calls = world.providers.calls("a");
        let throttled = calls.iter().filter(|call| has_key(call, "k1")).count();
        assert_eq!(throttled, 1, "seed {seed}: `x` and `y` rest together");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fallback_is_asked_at_once_instead_of_waiting_for_a_throttled_group() {
    let settings = "router_settings: {num_retries: 3, fallbacks: [{gpt: [claude]}]}";
    let world = world(&[("gpt", &["a"]), ("claude", &["b"])], settings);
    world
        .providers
        .script("a", Step::status(429).retry_after(5));
    let began = Instant::now();
    let reply = world.chat("gpt", json!({})).await;
    assert!(reply.answer().starts_with("from b"));
    assert_eq!(began.elapsed(), secs(0));
    assert_eq!(counts(&world, ["a", "b"]), [1, 1]);
}

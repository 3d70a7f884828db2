//! Who is left aside, and how one comes back.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use ziggurat::LlmRequest;
use ziggurat_testkit::provider::{Call, Script, Step};
use ziggurat_tests::VirtualWorld;

use crate::{
    reliability::support::{asked, shapes},
    support::{millis, secs, world},
};

/// Ten keys of one provider, of which the last alone has not been revoked.
fn ten_keys() -> VirtualWorld {
    let member = |key| {
        format!(
            "  - {{model_name: gpt, litellm_params: {{model: openai/m, api_base: '{{a}}', api_key: key-{key}}}, model_info: {{id: key-{key}}}}}\n"
        )
    };
    let members: String = (0..10).map(member).collect();
    let world = VirtualWorld::new(&format!("model_list:\n{members}"));
    let revoked = |call: &Call| match call.headers["authorization"] == "Bearer key-9" {
        true => Step::ok(),
        false => Step::status(401),
    };
    world.providers.script("a", Script::from_fn(revoked));
    world
}

#[tokio::test(start_paused = true)]
async fn of_ten_keys_with_nine_revoked_the_very_first_request_finds_the_tenth() {
    for (path, body) in shapes() {
        for seed in 0..10 {
            let world = ten_keys();
            fastrand::seed(seed);
            let began = Instant::now();
            for _ in 0..5 {
                let reply = world.post(path, &body).await;
                assert_eq!(reply.status, 200, "{path}, seed {seed}: {}", asked(&reply));
                assert_eq!(reply.header("x-litellm-model-id"), "key-9");
            }
            assert_eq!(began.elapsed(), secs(0), "nothing is waited for");
            let calls = world.providers.count("a");
            assert!(calls <= 9 + 5, "each dead key is met once: {calls}");
        }
    }
}

const TWO: [(&str, &[&str]); 1] = [("gpt", &["a", "b"])];

/// Sends requests for so long, so many a second.
async fn offer(world: &VirtualWorld, time: Duration, rate: u32) {
    let began = Instant::now();
    let mut next = began;
    while next - began < time {
        tokio::time::sleep_until(next).await;
        let reply = world.chat("gpt", json!({})).await;
        assert_eq!(reply.status, 200, "{}: {}", asked(&reply), reply.text);
        next += secs(1) / rate;
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_always_fails_gets_five_requests_in_any_minute_at_most() {
    for (rate, step) in [
        (1, Step::status(500)),
        (5, Step::status(500).delay(millis(30))),
        (5, Step::ok().reset()),
    ] {
        let world = world(&TWO, "");
        world.providers.script("a", step);
        world.providers.script("b", Step::ok().delay(millis(40)));
        offer(&world, secs(600), rate).await;
        let calls = world.providers.calls("a");
        assert!(
            calls.len() > 10,
            "it is asked now and then: {}",
            calls.len()
        );
        for call in &calls {
            let minute = |it: &&Call| it.at >= call.at && it.at - call.at < secs(60);
            let asked = calls.iter().filter(minute).count();
            assert!(asked <= 5, "{asked} in a minute at {rate} a second");
        }
    }
}

/// The share of its traffic that `a` gets now, in percent; 100 if it is in no slow start.
fn share(world: &VirtualWorld) -> u32 {
    let explained = world.router.explain(&LlmRequest::chat("gpt", "hi"));
    let explained = explained.expect("the group is there");
    let mut members = explained.members().iter();
    let a = members.find(|it| it.deployment().id().as_str() == "a");
    let slow_start = a.expect("is a member").slow_start();
    slow_start.map_or(100, |it| it.percent.into())
}

#[tokio::test(start_paused = true)]
async fn a_target_that_recovers_comes_back_with_a_share_that_grows_to_the_whole() {
    let mut buckets = [0; 4];
    for seed in 0..5 {
        let world = world(&TWO, "ziggurat_settings: {cooldown: {slow_start: 30}}");
        fastrand::seed(seed);
        world.providers.script("a", Step::status(500));
        offer(&world, secs(3), 20).await;
        let failed = world.providers.count("a");
        assert_eq!(failed, 3, "then it rests");
        world.providers.script("a", Step::ok());
        while world.providers.count("a") == failed {
            sleep(millis(100)).await;
            assert_eq!(world.chat("gpt", json!({})).await.status, 200);
        }
        let back = Instant::now();
        assert_eq!(share(&world), 10);
        for bucket in &mut buckets {
            let before = world.providers.count("a");
            offer(&world, secs(10), 20).await;
            *bucket += world.providers.count("a") - before;
        }
        assert_eq!(share(&world), 100, "after {:?}", back.elapsed());
    }
    // Of 200 requests in each ten seconds of each run, half of them its own.
    let shares = buckets.map(|count| count as f64 / (5.0 * 100.0));
    for (share, expected) in shares.iter().zip([0.25, 0.55, 0.85, 1.0]) {
        assert!((share - expected).abs() < 0.12, "{shares:?}");
    }
}

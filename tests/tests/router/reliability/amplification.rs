//! What a failure costs the providers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::{ServiceExt as _, service_fn};
use ziggurat::{Error, ErrorKind, LlmRequest, LlmResponse, Routed, Router, config::Plan};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::chat;

use crate::{
    reliability::support::{asked, counts, shapes},
    support::{CHAT, config, millis, secs, world},
};

#[tokio::test(start_paused = true)]
async fn two_retries_at_a_provider_that_always_fails_are_exactly_three_calls() {
    for (path, body) in shapes() {
        for members in [&["a"][..], &["a", "b", "c"]] {
            let world = world(&[("gpt", members)], "router_settings: {num_retries: 2}");
            for name in members {
                world.providers.script(name, Step::status(500));
            }
            let reply = world.post(path, &body).await;
            assert_eq!(reply.status, 500, "{path}: {}", reply.text);
            let calls: u64 = counts(&world, ["a", "b", "c"]).iter().sum();
            assert_eq!(calls, 3, "{path}, {members:?}");
            assert_eq!(reply.header("x-litellm-attempted-retries"), "2");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_fallback_group_two_retries_are_three_calls_in_each() {
    let settings = "router_settings: {num_retries: 2, fallbacks: [{gpt: [claude]}]}";
    for (path, body) in shapes() {
        for (step, status, calls) in [(Step::ok(), 200, [3, 1]), (Step::status(500), 500, [3, 3])] {
            let world = world(&[("gpt", &["a"]), ("claude", &["b"])], settings);
            world.providers.script("a", Step::status(500));
            world.providers.script("b", step);
            let reply = world.post(path, &body).await;
            assert_eq!(reply.status, status, "{path}: {}", reply.text);
            assert_eq!(counts(&world, ["a", "b"]), calls, "{path}");
        }
    }
}

/// Offers a thousand requests in each of so many seconds.
async fn flood(router: &Router, seconds: usize) {
    let mut running = JoinSet::new();
    for _ in 0..seconds * 100 {
        for _ in 0..10 {
            let request = LlmRequest::chat("gpt", "hi");
            running.spawn(router.clone().oneshot(request));
        }
        sleep(millis(10)).await;
        while let Some(done) = running.try_join_next() {
            assert!(done.expect("does not panic").is_err());
        }
    }
    running.join_all().await;
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_is_down_gets_a_fifth_more_than_is_offered_and_the_minimum() {
    const SECONDS: usize = 60;
    const OFFERED: usize = SECONDS * 1_000;
    // Ten a second, of which those of ten quiet seconds may come at once; the last back-offs end
    // within ten seconds after the last request.
    const MINIMUM: usize = 10 * (SECONDS + 10 + 10);
    for ids in [&["a"][..], &["a", "b", "c"]] {
        let text = config(&[("gpt", ids)], "router_settings: {num_retries: 2}");
        let text = "abc".chars().fold(text, |text, id| {
            text.replace(&format!("{{{id}}}"), &format!("http://{id}"))
        });
        let plan = Plan::parse(&text, "test.yaml", |_| None).expect("is valid");
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let down = service_fn(move |_: Routed<LlmRequest>| {
            counted.fetch_add(1, Relaxed);
            async {
                sleep(millis(20)).await;
                Err::<LlmResponse, _>(Error::new(ErrorKind::Unavailable, "down"))
            }
        });
        let router = Router::with_leaf(&plan, down).expect("the plan is whole");
        flood(&router, SECONDS).await;
        let calls = calls.load(Relaxed);
        assert!(calls > OFFERED, "each is tried, some again: {calls}");
        let most = OFFERED * 12 / 10 + MINIMUM;
        assert!(calls <= most, "{ids:?}: {calls} calls, {most} allowed");
        assert_eq!(router.in_flight(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_malformed_request_in_a_cycle_of_fallbacks_is_one_attempt_and_takes_no_second() {
    let groups: [(&str, &[&str]); 3] =
        [("gpt", &["a", "b"]), ("claude", &["c"]), ("llama", &["d"])];
    let settings =
        "router_settings: {fallbacks: [{gpt: [claude]}, {claude: [llama]}, {llama: [gpt]}]}";
    let malformed = [
        (chat("gpt", json!({"messages": "hello"})), 1),
        (chat("gpt", json!({"temperature": "hot"})), 1),
        (Value::String("hello".to_owned()), 0),
        (json!({"messages": []}), 0),
    ];
    for (body, most) in malformed {
        let world = world(&groups, settings);
        for name in ["a", "b", "c", "d"] {
            world.providers.script(name, Step::status(400));
        }
        let began = Instant::now();
        let reply = world.post(CHAT, &body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.text);
        let calls: u64 = counts(&world, ["a", "b", "c", "d"]).iter().sum();
        assert!(calls <= most, "{body}: {}", asked(&reply));
        assert!(began.elapsed() < secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_cycle_of_fallbacks_asks_each_group_once_and_ends() {
    let groups: [(&str, &[&str]); 3] = [("gpt", &["a"]), ("claude", &["b"]), ("llama", &["c"])];
    let settings = "router_settings: {num_retries: 0, fallbacks: [{gpt: [claude]}, {claude: [llama]}, {llama: [gpt]}]}";
    let world = world(&groups, settings);
    for name in ["a", "b", "c"] {
        world.providers.script(name, Step::status(500));
    }
    let reply = world.chat("claude", json!({})).await;
    assert_eq!((reply.status, asked(&reply).as_str()), (500, "bca"));
}

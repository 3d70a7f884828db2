//! What time does to a request.

use serde_json::json;
use tokio::time::{Instant, sleep};
use ziggurat::cooldown::State;
use ziggurat_testkit::provider::{Step, healthy_text};

use crate::{
    reliability::support::{asked, counts, shapes, streams},
    support::{CHAT, secs, world},
};

const FALLBACK: [(&str, &[&str]); 2] = [("gpt", &["a"]), ("claude", &["b"])];

#[tokio::test(start_paused = true)]
async fn a_silent_provider_leaves_half_of_the_time_to_the_fallback() {
    let settings = "router_settings: {timeout: 600, num_retries: 2, fallbacks: [{gpt: [claude]}]}\nziggurat_settings: {deadline: 60, first_token_timeout: off}";
    for (path, body) in shapes() {
        let world = world(&FALLBACK, settings);
        world.providers.script("a", Step::ok().hang());
        world.providers.script("b", Step::ok().delay(secs(29)));
        let began = Instant::now();
        let reply = world.post(path, &body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        assert!(!reply.ends_in_error(), "{path}: {}", reply.text);
        assert_eq!(counts(&world, ["a", "b"]), [1, 1], "{path}");
        let left = world.providers.calls("a")[0].hung_up.expect("is left");
        assert_eq!((left - began).as_secs(), 30, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_provider_is_left_after_its_clock_and_not_asked_again() {
    for (path, body) in shapes() {
        for members in [&["a"][..], &["a order: 1", "b order: 2"]] {
            let settings = "router_settings: {timeout: 20, num_retries: 3}\nziggurat_settings: {deadline: 60, streams: {keep_alive: off}}";
            let world = world(&[("gpt", members)], settings);
            for name in ["a", "b"] {
                world.providers.script(name, Step::ok().hang());
            }
            let began = Instant::now();
            let reply = world.post(path, &body).await;
            assert_eq!(reply.status, 408, "{path}: {}", reply.text);
            assert_eq!(asked(&reply).len(), members.len(), "{path}");
            assert_eq!(world.providers.count("a"), 1, "{path}");
            assert!(began.elapsed() <= secs(20 * members.len() as u64) + secs(1) / 50);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_trickles_for_half_an_hour_survives() {
    let settings = "router_settings: {timeout: 30, stream_timeout: 20}\nziggurat_settings: {deadline: 60, idle_timeout: 5}";
    for (path, body) in streams() {
        let world = world(&[("gpt", &["a"])], settings);
        let trickle = Step::ok().words(1_800).chunk_delay(secs(1));
        world.providers.script("a", trickle);
        let began = Instant::now();
        let reply = world.post(path, &body).await;
        assert!(reply.is_whole_stream(), "{path}: {}", reply.text.len());
        assert_eq!(began.elapsed().as_secs(), 1_800);
        assert!(reply.text.contains("w1799"));
        assert_eq!(world.providers.count("a"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slow_trips_nothing() {
    let settings = "router_settings: {timeout: 5}\nziggurat_settings: {deadline: 10, idle_timeout: 5, streams: {keep_alive: off}}";
    for (path, body) in streams() {
        let world = world(&[("gpt", &["a"])], settings);
        // More than there is room for on the way.
        world.providers.script("a", Step::ok().words(3_000));
        let mut answer = world.begin(path, &body, &[]).await;
        let (_, mut text) = answer.next().await.expect("has begun");
        sleep(secs(60)).await;
        let waiting = world.providers.in_flight("a");
        assert_eq!(waiting, 1, "the provider waits for the reader");
        while let Some((_, piece)) = answer.next().await {
            text += &piece;
            sleep(secs(60)).await;
        }
        assert!(text.ends_with("data: [DONE]\n\n"), "{path}: {}", text.len());
        assert!(text.contains("w2999"), "{path}");
        assert_eq!(world.router.cooldown().state(&"a".into()), State::Closed);
        assert_eq!(world.providers.hung_up("a"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_shorten_its_deadline_and_gets_the_truth_by_then() {
    for (path, body) in shapes() {
        let world = world(&[("gpt", &["a"])], "");
        world.providers.script("a", Step::ok().hang());
        let began = Instant::now();
        let headers = [("x-ziggurat-deadline", "3")];
        let reply = world.begin(path, &body, &headers).await.read().await;
        assert_eq!(reply.status, 408, "{path}: {}", reply.text);
        assert_eq!(reply.json()["error"]["code"], "deadline_exceeded");
        assert!(began.elapsed() <= secs(3) + secs(1) / 50, "{path}");
        // A short time of its own speaks against nobody.
        assert_eq!(world.router.cooldown().state(&"a".into()), State::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn every_clock_of_a_request_may_be_in_a_header() {
    for (header, step, stream) in [
        ("x-litellm-timeout", Step::ok().hang(), false),
        ("x-litellm-stream-timeout", Step::ok().hang(), true),
        ("x-ziggurat-first-token-timeout", Step::ok().hang(), true),
        (
            "x-ziggurat-idle-timeout",
            Step::ok().stall_after(2, None),
            true,
        ),
    ] {
        let world = world(&[("gpt", &["a"])], "router_settings: {num_retries: 0}");
        world.providers.script("a", step);
        let began = Instant::now();
        let body = ziggurat_tests::chat("gpt", json!({"stream": stream}));
        let reply = world.begin(CHAT, &body, &[(header, "4")]).await;
        let reply = reply.read().await;
        assert!(
            reply.status == 408 || reply.ends_in_error(),
            "{header}: {}",
            reply.text
        );
        assert_eq!(began.elapsed().as_secs(), 4, "{header}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_token_that_is_unusually_late_is_left_where_another_could_answer() {
    for (path, body) in streams() {
        let world = world(&FALLBACK, "router_settings: {fallbacks: [{gpt: [claude]}]}");
        world.providers.script(
            "a",
            Step::ok().role_chunk_first().first_token_delay(secs(300)),
        );
        world.providers.script("b", Step::ok().words(3));
        let began = Instant::now();
        let reply = world.post(path, &body).await;
        assert!(reply.is_whole_stream(), "{path}: {}", reply.text);
        assert!((10..12).contains(&began.elapsed().as_secs()), "{path}");
        assert!(reply.text.contains(&healthy_text("b", 1)));
        assert_eq!(counts(&world, ["a", "b"]), [1, 1]);
    }
}

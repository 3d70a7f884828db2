//! Comments that keep a connection alive while there is nothing better to send.

use std::time::Duration;

use serde_json::json;
use ziggurat_testkit::provider::Step;
use ziggurat_tests::Answer;

use crate::{
    reliability::support::streams,
    support::{secs, world},
};

const COMMENT: &str = ": keep-alive\n\n";

/// Reads an answer: when each comment came, and what else there was.
async fn read(mut answer: Answer) -> (Vec<u64>, String) {
    let (mut comments, mut rest) = (Vec::new(), String::new());
    while let Some((at, piece)) = answer.next().await {
        if piece.starts_with(COMMENT) {
            comments.push(at.as_secs());
        }
        rest += piece.trim_start_matches(COMMENT);
    }
    (comments, rest)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_begin_gets_a_comment_after_fifteen_seconds_and_every_fifteen() {
    for (path, body) in streams() {
        for (delay, comments) in [(14, &[][..]), (16, &[15]), (50, &[15, 30, 45])] {
            let world = world(&[("gpt", &["a"])], "");
            world.providers.script("a", Step::ok().delay(secs(delay)));
            let answer = world.begin(path, &body, &[]).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.headers["content-type"], "text/event-stream");
            let (came, rest) = read(answer).await;
            assert_eq!(came, comments, "{path}");
            // But for them it is the same stream.
            assert!(rest.starts_with("data: {"), "{path}: {rest}");
            assert!(rest.ends_with("data: [DONE]\n\n"), "{path}: {rest}");
            assert!(rest.contains("from a") && !rest.contains("keep-alive"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_silent_in_the_middle_gets_them_too() {
    for (path, body) in streams() {
        let world = world(&[("gpt", &["a"])], "");
        world
            .providers
            .script("a", Step::ok().words(3).chunk_delay(secs(40)));
        let (came, rest) = read(world.begin(path, &body, &[]).await).await;
        let gaps = [15, 30, 55, 70, 95, 110];
        assert_eq!(came, gaps, "{path}");
        assert!(rest.ends_with("data: [DONE]\n\n") && rest.contains("w2"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_after_a_comment_is_an_error_event_and_a_retry_is_not_seen() {
    for (path, body) in streams() {
        let late = || Step::status(500).delay(secs(20));
        for (steps, retries) in [(vec![late()], 0), (vec![late(), Step::ok()], 1)] {
            let settings = format!("router_settings: {{num_retries: {retries}}}");
            let world = world(&[("gpt", &["a"])], &settings);
            world.providers.script("a", steps);
            let reply = world.begin(path, &body, &[]).await.read().await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.ends_in_error(), retries == 0, "{}", reply.text);
            assert_eq!(reply.is_whole_stream(), retries == 1, "{}", reply.text);
            assert!(!reply.text.contains("[DONE]") || retries == 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn comments_do_not_reset_the_limit_to_the_first_token() {
    let settings = "router_settings: {num_retries: 0, fallbacks: [{gpt: [claude]}]}\nziggurat_settings: {first_token_timeout: 35}";
    for (path, body) in streams() {
        let world = world(&[("gpt", &["a"]), ("claude", &["b"])], settings);
        // What the provider sends to keep its own connection alive is no token either.
        let pings = Step::ok().comments().role_chunk_first();
        world
            .providers
            .script("a", pings.first_token_delay(secs(500)));
        let (came, rest) = read(world.begin(path, &body, &[]).await).await;
        assert_eq!(came, [15, 30], "{path}");
        assert!(rest.contains("from b") && rest.ends_with("data: [DONE]\n\n"));
        let call = world.providers.calls("a").remove(0);
        let left = call.hung_up.expect("is left") - call.at;
        assert_eq!(left, secs(35), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn they_may_come_at_another_pace_or_not_at_all() {
    for (setting, expected) in [("2", 9), ("off", 0)] {
        let settings = format!("ziggurat_settings: {{streams: {{keep_alive: {setting}}}}}");
        let world = world(&[("gpt", &["a"])], &settings);
        let late = Step::ok().delay(Duration::from_millis(19_500));
        world.providers.script("a", late);
        let (path, body) = streams().remove(0);
        let (came, _) = read(world.begin(path, &body, &[]).await).await;
        assert_eq!(came.len(), expected, "{setting}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_streamed_gets_none() {
    let world = world(&[("gpt", &["a"])], "");
    world.providers.script("a", Step::ok().delay(secs(40)));
    let reply = world.chat("gpt", json!({})).await;
    assert!(reply.text.starts_with('{'), "{}", reply.text);
}

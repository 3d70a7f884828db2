//! Requests that wait for room.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::support::world;

#[tokio::test(start_paused = true)]
async fn with_pacing_requests_wait_for_room_and_all_are_answered() {
    let sections = "ziggurat_settings: {limits: {pacing: 20, rules: [{for: all, requests: 1, per: 1, window: smooth}]}}";
    let world = world(&[("gpt", &["a"])], sections);
    let began = Instant::now();
    let replies = join_all((0..10).map(|_| world.chat("gpt", json!({})))).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    assert_eq!(began.elapsed().as_secs(), 9);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_patience_of_the_configuration_or_the_deadline() {
    for (settings, header) in [
        ("limits: {pacing: 30, rules: [{for: all, rpm: 1}]}", "60"),
        (
            "deadline: 50, limits: {pacing: 90, rules: [{for: all, rpm: 1}]}",
            "60",
        ),
    ] {
        let world = world(
            &[("gpt", &["a"])],
            &format!("ziggurat_settings: {{{settings}}}"),
        );
        assert_eq!(world.chat("gpt", json!({})).await.status, 200);
        let began = Instant::now();
        let reply = world.chat("gpt", json!({})).await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, header));
        assert_eq!(began.elapsed(), Duration::ZERO, "{settings}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_full_is_waited_for_before_its_fallback_is_asked() {
    let sections = "router_settings: {fallbacks: [{gpt: [claude]}]}
ziggurat_settings: {limits: {pacing: 5, rules: [{for: group, name: gpt, requests: 1, per: 4}]}}";
    let world = world(&[("gpt", &["a"]), ("claude", &["b"])], sections);
    let began = Instant::now();
    for _ in 0..2 {
        assert_eq!(world.chat("gpt", json!({})).await.status, 200);
    }
    assert_eq!(
        (began.elapsed().as_secs(), world.providers.count("b")),
        (4, 0)
    );
}

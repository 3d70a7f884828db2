//! One call for all who ask the same at the same time, and no answer for two tenants.

use futures_util::future::join_all;
use serde_json::json;
use ziggurat::Caller;
use ziggurat_testkit::provider::Step;

use crate::caching::support::{ON, ask, ask_as, config, is_hit, world};

const TOGETHER: &str =
    "litellm_settings: {cache: true}\nziggurat_settings: {cache: {single_flight: true}}\n";

#[tokio::test(start_paused = true)]
async fn a_hundred_who_ask_the_same_at_once_are_one_call() {
    for stream in [false, true] {
        let (world, recent) = world(&["a"], TOGETHER);
        world.providers.script(
            "a",
            Step::ok()
                .words(20)
                .chunk_delay(std::time::Duration::from_secs(1)),
        );
        let asks = (0..100).map(|_| ask(&world, json!({ "stream": stream })));
        let replies = join_all(asks).await;
        assert_eq!(world.providers.count("a"), 1);
        let text = |text: &str| text.replace(": keep-alive\n\n", "");
        assert!(
            replies
                .iter()
                .all(|it| text(&it.text) == text(&replies[0].text))
        );
        let rows = recent.take();
        let cached = rows.iter().filter(|row| row.outcome().as_str() == "cached");
        assert_eq!((rows.len(), cached.count()), (100, 99));
    }
}

#[tokio::test(start_paused = true)]
async fn if_the_one_who_calls_hangs_up_the_others_are_served() {
    let (world, _) = world(&["a"], TOGETHER);
    let slow = Step::ok()
        .words(20)
        .chunk_delay(std::time::Duration::from_secs(1));
    world.providers.script("a", slow);
    let body = ziggurat_tests::chat("a", json!({"stream": true}));
    let mut leader = world.begin("/v1/chat/completions", &body, &[]).await;
    leader.next().await.expect("has begun");
    let followers = join_all((0..10).map(|_| ask(&world, json!({"stream": true}))));
    let hangs_up = async {
        leader.next().await;
        drop(leader);
    };
    let ((), replies) = tokio::join!(hangs_up, followers);
    assert!(replies.iter().all(ziggurat_tests::Reply::is_whole_stream));
    assert_eq!(world.providers.count("a"), 2, "one of the others calls");
}

#[tokio::test(start_paused = true)]
async fn two_keys_never_share_unless_they_are_told_to() {
    let key = |key: &str| Caller::new().with_key(key).with_team("t");
    for (tenants, expected) in [
        ("key", [false, false, true, false]),
        ("team", [false, true, true, false]),
        ("all", [false, true, true, true]),
    ] {
        let sections = format!("{ON}ziggurat_settings: {{cache: {{tenants: {tenants}}}}}\n");
        let (world, _) = world(&["a"], &sections);
        let mut hits = Vec::new();
        let other = Caller::new().with_key("c").with_team("u");
        for caller in [key("a"), key("b"), key("a"), other] {
            hits.push(ask_as(&world, caller).await);
        }
        assert_eq!(hits, expected, "{tenants}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_without_a_key_of_its_own_shares_with_the_like() {
    let (world, _) = world(&["a"], ON);
    assert!(!is_hit(&ask(&world, json!({})).await));
    assert!(is_hit(&ask(&world, json!({})).await));
    assert!(!ask_as(&world, Caller::new().with_key("a")).await);
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_is_kept_and_turning_it_off_forgets_it() {
    let (world, _) = world(&["a"], ON);
    ask(&world, json!({})).await;
    let other = format!("{ON}router_settings: {{num_retries: 7}}\n");
    world.reload(&config(&["a"], &other));
    assert!(is_hit(&ask(&world, json!({})).await));
    world.router.reset_cache();
    assert!(!is_hit(&ask(&world, json!({})).await));
    world.reload(&config(&["a"], ""));
    ask(&world, json!({})).await;
    world.reload(&config(&["a"], ON));
    assert!(!is_hit(&ask(&world, json!({})).await));
}

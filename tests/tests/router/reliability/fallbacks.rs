//! Which other groups are asked, by whose word.

use serde_json::{Value, json};
use tower::ServiceExt as _;
use ziggurat::{Caller, HasLedger as _, LlmRequest};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::VirtualWorld;

use crate::{
    reliability::support::{asked, counts, shapes},
    support::world,
};

const GROUPS: [(&str, &[&str]); 5] = [
    ("gpt", &["a"]),
    ("claude", &["b"]),
    ("llama", &["c"]),
    ("gemini", &["d"]),
    ("mistral", &["e"]),
];

/// All groups, of which those of these letters are down.
fn without(down: &str, settings: &str) -> VirtualWorld {
    let world = world(&GROUPS, settings);
    for name in down.chars() {
        world.providers.script(&name.to_string(), Step::status(500));
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_client_may_send_lists_of_its_own() {
    let settings = "router_settings: {num_retries: 0, fallbacks: [{gpt: [claude]}]}";
    for (fallbacks, expected) in [
        (json!(["llama"]), "ac"),
        (json!(["claude", "llama"]), "abc"),
        (json!([{"gpt": ["gemini", "claude"]}]), "ad"),
        (json!([{"model": "llama", "temperature": 0}]), "ac"),
    ] {
        for (path, mut body) in shapes() {
            let world = without("ab", settings);
            body["fallbacks"] = fallbacks.clone();
            let reply = world.post(path, &body).await;
            assert_eq!(reply.status, 200, "{path}: {}", reply.text);
            assert_eq!(asked(&reply), expected, "{path}: {fallbacks}");
            let sent = world.providers.calls("a").remove(0).json();
            assert_eq!(sent["fallbacks"], Value::Null, "is not sent on");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_may_want_no_fallback() {
    let settings = "router_settings: {num_retries: 0, fallbacks: [{gpt: [claude]}]}";
    let world = without("a", settings);
    let reply = world.chat("gpt", json!({"disable_fallbacks": true})).await;
    assert_eq!((reply.status, asked(&reply).as_str()), (500, "a"));
}

#[tokio::test(start_paused = true)]
async fn not_more_than_max_fallbacks_are_asked_and_every_one_counts() {
    let list = "fallbacks: [{gpt: [claude, llama]}, {llama: [gemini, mistral]}]";
    for (max, own, expected) in [
        ("", None, "abcde"),
        ("max_fallbacks: 2, ", None, "abc"),
        ("max_fallbacks: 0, ", None, "a"),
        ("max_fallbacks: 2, ", Some(3), "abcd"),
        ("", Some(1), "ab"),
    ] {
        let settings = format!("router_settings: {{num_retries: 0, {max}{list}}}");
        let world = without("abcde", &settings);
        let more = own.map_or(json!({}), |own| json!({"max_fallbacks": own}));
        let reply = world.chat("gpt", more).await;
        assert_eq!(reply.status, 500);
        assert_eq!(asked(&reply), expected, "{max}{own:?}");
        let fallbacks = (expected.len() - 1).to_string();
        assert_eq!(reply.header("x-litellm-attempted-fallbacks"), fallbacks);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_or_a_team_may_have_lists_of_its_own() {
    let settings = "
router_settings: {num_retries: 0, fallbacks: [{gpt: [claude]}]}
ziggurat_settings:
  fallbacks_for:
    teams: {red: {fallbacks: [{gpt: [llama]}]}, blue: {context_window_fallbacks: [{gpt: [gemini]}]}}
    keys: {batch: {fallbacks: [{gpt: [mistral]}]}}
";
    let world = without("a", settings);
    for (caller, expected) in [
        (None, "b"),
        (Some(Caller::new().with_team("red")), "c"),
        (Some(Caller::new().with_team("blue")), "b"),
        (Some(Caller::new().with_team("green")), "b"),
        (Some(Caller::new().with_team("red").with_key("batch")), "e"),
        (Some(Caller::new().with_team("red").with_key("other")), "c"),
    ] {
        let mut request = LlmRequest::chat("gpt", "hi");
        if let Some(caller) = caller.clone() {
            request = request.with_caller(caller);
        }
        let ledger = request.ledger().expect("has one").clone();
        let answer = world.router.clone().oneshot(request).await;
        assert!(answer.is_ok(), "{caller:?}: {answer:?}");
        let served = ledger.tried().pop().expect("somebody served");
        assert_eq!(served.as_str(), expected, "{caller:?}");
    }
}

const ALLOWED: &str = "general_settings: {dangerously_allow_mock_testing_request_params: true}\n";

#[tokio::test(start_paused = true)]
async fn failures_may_be_played_to_test_a_configuration() {
    let lists = "fallbacks: [{gpt: [claude]}], context_window_fallbacks: [{gpt: [llama]}], content_policy_fallbacks: [{gpt: [gemini]}]";
    for (switch, lists, expected, retries) in [
        ("mock_testing_fallbacks", lists, [0, 1, 0, 0], "0"),
        ("mock_testing_context_fallbacks", lists, [0, 0, 1, 0], "0"),
        (
            "mock_testing_content_policy_fallbacks",
            lists,
            [0, 0, 0, 1],
            "0",
        ),
        ("mock_testing_rate_limit_error", "", [1, 0, 0, 0], "1"),
        // As after any 429, a fallback is sooner there than the group.
        ("mock_testing_rate_limit_error", lists, [0, 1, 0, 0], "0"),
    ] {
        for (path, mut body) in shapes() {
            let settings = format!("{ALLOWED}router_settings: {{{lists}}}");
            let world = world(&GROUPS, &settings);
            body[switch] = true.into();
            let reply = world.post(path, &body).await;
            assert_eq!(reply.status, 200, "{switch}, {path}: {}", reply.text);
            assert_eq!(counts(&world, ["a", "b", "c", "d"]), expected, "{switch}");
            assert_eq!(reply.header("x-litellm-attempted-retries"), retries);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_played_where_it_is_not_allowed() {
    let world = world(&GROUPS, "");
    for (path, mut body) in shapes() {
        body["mock_testing_fallbacks"] = true.into();
        let reply = world.post(path, &body).await;
        assert_eq!(reply.status, 400);
        assert_eq!(reply.json()["error"]["param"], "mock_testing_fallbacks");
    }
    assert_eq!(world.providers.count("a"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_may_tell_why_the_groups_before_it_failed() {
    let settings = "router_settings: {num_retries: 0, fallbacks: [{gpt: [claude, llama]}]}";
    for (path, body) in shapes() {
        let world = world(&GROUPS, settings);
        world
            .providers
            .script("a", Step::status(500).error_message("first"));
        world
            .providers
            .script("b", Step::status(503).error_message("second"));
        let reply = world.post(path, &body).await;
        assert_eq!(reply.header("x-litellm-fallback-errors"), "", "{path}");
        let mut asking = body;
        asking["include_fallback_errors"] = true.into();
        let reply = world.post(path, &asking).await;
        assert_eq!(reply.status, 200);
        let told = reply.header("x-litellm-fallback-errors");
        let told: Value = serde_json::from_str(told).expect("is JSON");
        let messages: Vec<_> = told.as_array().expect("is a list").iter().collect();
        assert_eq!(messages.len(), 2, "{told}");
        for (error, words) in messages.iter().zip(["first", "second"]) {
            let message = error["message"].as_str().unwrap_or_default();
            assert!(message.contains(words), "{told}");
        }
    }
}

//! What one provider has no place for goes to those that have: nothing was sent, so nothing is lost.

use serde_json::{Value, json};
use ziggurat::config::Strategy;
use ziggurat_testkit::provider::Step;
use ziggurat_tests::{Reply, VirtualWorld, chat};

use crate::{
    reliability::support::{asked, counts},
    support::CHAT,
};

/// A deployment of a group, behind the simulated provider of the name that is its id.
fn member(group: &str, id: &str, model: &str, more: &str) -> String {
    format!(
        "  - {{model_name: {group}, litellm_params: {{model: {model}, api_base: '{{{id}}}', api_key: key-{id}{more}}}, model_info: {{id: {id}}}}}\n",
    )
}

/// A group `gpt` of three deployments, of which only that of OpenAI can give probabilities of
/// tokens and run a stored conversation.
fn mixed(settings: &str) -> VirtualWorld {
    fastrand::seed(7);
    let members = [
        member("gpt", "c", "anthropic/claude-sonnet-4-5", ""),
        member("gpt", "o", "openai/gpt-4o", ""),
        member("gpt", "b", "ollama_chat/llama", ""),
    ];
    let text = format!("model_list:\n{}{settings}", members.concat());
    VirtualWorld::new(&text)
}

fn with_logprobs(model: &str) -> Value {
    chat(model, json!({"logprobs": true}))
}

fn error(reply: &Reply) -> Value {
    reply.json()["error"].clone()
}

#[tokio::test(start_paused = true)]
async fn who_has_a_place_for_a_parameter_answers_whatever_the_strategy() {
    for strategy in Strategy::all() {
        let world = mixed(&format!(
            "router_settings: {{routing_strategy: {strategy}, num_retries: 0}}"
        ));
        for turn in 0..12 {
            let body = chat(
                "gpt",
                json!({"logprobs": true, "stream": turn % 2 == 0, "user": format!("u{turn}")}),
            );
            let reply = world.post(CHAT, &body).await;
            assert_eq!(
                (reply.status, asked(&reply).as_str()),
                (200, "o"),
                "{strategy}: {}",
                reply.text
            );
        }
        assert_eq!(counts(&world, ["c", "o", "b"]), [0, 12, 0], "{strategy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_counts_as_no_attempt_and_rests_nobody() {
    let world = mixed(
        "router_settings: {num_retries: 0, allowed_fails: 0}\nlitellm_settings: {num_retries_per_request: 1}",
    );
    for _ in 0..20 {
        assert_eq!(world.post(CHAT, &with_logprobs("gpt")).await.status, 200);
    }
    // All three still serve what they can.
    for id in ["c", "b"] {
        world.providers.script(id, Step::status(503));
        world.providers.script("o", Step::status(503));
        let mut reached = false;
        for _ in 0..20 {
            world.post(CHAT, &chat("gpt", json!({}))).await;
            reached |= counts(&world, [id]) > [0];
        }
        assert!(reached, "{id} rests for what it was never sent");
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_has_a_place_the_client_is_told_of_the_parameter_and_the_provider() {
    let text = member("gpt", "c", "anthropic/model-of-the-house", "");
    let world = VirtualWorld::new(&format!("model_list:\n{text}"));
    let reply = world.post(CHAT, &with_logprobs("gpt")).await;
    assert_eq!(reply.status, 400, "{}", reply.text);
    let told = error(&reply);
    assert_eq!(
        (&told["type"], &told["param"], &told["code"]),
        (
            &json!("invalid_request_error"),
            &json!("logprobs"),
            &json!("unsupported_parameter")
        )
    );
    let message = told["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("`logprobs`") && message.contains("`anthropic`"),
        "{message}"
    );
    assert_eq!(counts(&world, ["c"]), [0]);

    let body = json!({"model": "gpt", "input": "x"});
    let reply = world.post("/v1/embeddings", &body).await;
    assert_eq!(
        (reply.status, &error(&reply)["code"]),
        (400, &json!("unsupported_operation"))
    );

    let body = json!({"model": "gpt", "input": "x", "previous_response_id": "resp_1"});
    let reply = world.post("/v1/responses", &body).await;
    assert_eq!(
        (reply.status, &error(&reply)["param"]),
        (400, &json!("previous_response_id"))
    );
}

#[tokio::test(start_paused = true)]
async fn another_group_takes_over_and_its_failure_is_told_rather_than_the_refusal() {
    let groups = [
        member("gpt", "c", "anthropic/claude-sonnet-4-5", ""),
        member("spare", "o", "openai/gpt-4o", ""),
        member("third", "b", "ollama_chat/llama", ""),
    ];
    let settings = "router_settings: {num_retries: 0, fallbacks: [{gpt: [third, spare]}]}";
    let world = VirtualWorld::new(&format!("model_list:\n{}{settings}", groups.concat()));
    let reply = world.post(CHAT, &with_logprobs("gpt")).await;
    assert_eq!(
        (reply.status, asked(&reply).as_str()),
        (200, "o"),
        "{}",
        reply.text
    );
    assert_eq!(counts(&world, ["c", "b"]), [0, 0]);

    world.providers.script("o", Step::status(503));
    let reply = world.post(CHAT, &with_logprobs("gpt")).await;
    assert_eq!(
        reply.status, 503,
        "who could take it may do so later: {}",
        reply.text
    );

    // What a provider says of the request is the end, as ever.
    world
        .providers
        .script("o", Step::status(400).error_message("no such thing"));
    let reply = world.post(CHAT, &with_logprobs("gpt")).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.contains("no such thing"), "{}", reply.text);
    let reply = world.post(CHAT, &chat("spare", json!({}))).await;
    assert_eq!(reply.status, 400);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_everywhere_ends_the_request_at_once() {
    let groups = [
        member("gpt", "c", "anthropic/claude-sonnet-4-5", ""),
        member("spare", "o", "openai/gpt-4o", ""),
    ];
    let settings = "router_settings: {num_retries: 2, fallbacks: [{gpt: [spare]}]}";
    let world = VirtualWorld::new(&format!("model_list:\n{}{settings}", groups.concat()));
    let reply = world
        .post(
            CHAT,
            &json!({"model": "gpt", "messages": [{"role": "king", "content": "x"}]}),
        )
        .await;
    assert_eq!(
        (reply.status, &error(&reply)["param"]),
        (400, &json!("messages[0].role"))
    );
    assert_eq!(counts(&world, ["c", "o"]), [0, 0]);
}

#[tokio::test(start_paused = true)]
async fn one_that_can_take_it_and_rests_is_waited_for() {
    let world = mixed("router_settings: {num_retries: 0, allowed_fails: 0, cooldown_time: 30}");
    world
        .providers
        .script("o", Step::status(429).retry_after(30));
    let failed = world.post(CHAT, &with_logprobs("gpt")).await;
    assert_eq!(failed.status, 429, "{}", failed.text);
    let reply = world.post(CHAT, &with_logprobs("gpt")).await;
    assert_eq!(reply.status, 429, "not a 400: {}", reply.text);
    assert!(!reply.header("retry-after").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stored_conversation_goes_to_who_can_hold_one() {
    let text = [
        member("gpt", "c", "anthropic/claude-sonnet-4-5", ""),
        "  - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_base: '{o}', api_key: k}, model_info: {id: o, mode: responses}}\n".to_owned(),
    ];
    let world = VirtualWorld::new(&format!("model_list:\n{}", text.concat()));
    let answer = json!({
        "id": "resp_2", "object": "response", "status": "completed", "model": "m", "created_at": 1,
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "hi", "annotations": []}]}],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    });
    world
        .providers
        .script("o", Step::ok().raw(answer.to_string(), "application/json"));
    for _ in 0..8 {
        let body = json!({"model": "gpt", "input": "x", "previous_response_id": "resp_1"});
        let reply = world.post("/v1/responses", &body).await;
        assert_eq!(
            (reply.status, asked(&reply).as_str()),
            (200, "o"),
            "{}",
            reply.text
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_deployment_drops_is_dropped_for_every_shape() {
    let text = member("gpt", "o", "openai/gpt-4o", ", drop_params: true");
    let world = VirtualWorld::new(&format!("model_list:\n{text}"));
    world.providers.keep("o", 8, 4096);
    let messages = json!({
        "model": "gpt", "max_tokens": 9, "top_k": 3, "container": "c_1",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "any"},
    });
    let responses = json!({
        "model": "gpt", "input": "hi", "background": true,
        "tools": [{"type": "file_search", "vector_store_ids": ["v"]}, {"type": "function", "name": "f"}],
    });
    for (path, body) in [("/v1/messages", &messages), ("/v1/responses", &responses)] {
        let reply = world.post(path, body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    }
    let sent: Vec<_> = world
        .providers
        .calls("o")
        .iter()
        .map(|call| call.json())
        .collect();
    for field in ["container", "top_k", "tools", "tool_choice"] {
        assert_eq!(sent[0].get(field), None, "{}", sent[0]);
    }
    assert_eq!(sent[1]["tools"].as_array().map(Vec::len), Some(1));
    assert_eq!(sent[1]["tools"][0]["function"]["name"], "f");
    // A part of the conversation is never dropped.
    let body = json!({"model": "gpt", "input": "x", "previous_response_id": "resp_1"});
    assert_eq!(world.post("/v1/responses", &body).await.status, 400);
}

//! The tokens of a prompt, counted without an answer.

use serde_json::{Value, json};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::VirtualWorld;

use super::{shapes::MESSAGES, support::WITH_SPARE};

#[tokio::test(start_paused = true)]
async fn the_tokens_of_a_prompt_are_counted_by_who_can_and_estimated_otherwise() {
    let of = |group: &str, id: &str, model: &str| {
        format!(
            "  - {{model_name: {group}, litellm_params: {{model: {model}, api_base: '{{{id}}}', api_key: k}}, model_info: {{id: {id}}}}}\n"
        )
    };
    let members = [
        of("m", "a", "anthropic/claude-sonnet-4-5"),
        of("m", "b", "openai/gpt-4o"),
        of("g", "c", "gemini/gemini-2.5-pro"),
        of("spare", "d", "anthropic/claude-sonnet-4-5"),
    ];
    let settings = "router_settings: {num_retries: 0, allowed_fails: 0, fallbacks: [{m: [spare]}]}";
    let world = VirtualWorld::new(&format!("model_list:\n{}{settings}", members.concat()));
    for id in ["a", "c"] {
        world.providers.keep(id, 9, 4096);
    }
    let answer = |body: Value| Step::ok().raw(body.to_string(), "application/json");
    world
        .providers
        .script("a", answer(json!({"input_tokens": 4321})));
    world
        .providers
        .script("c", answer(json!({"totalTokens": 1234})));
    let ask = async |model: &str| {
        let body = json!({
            "model": model, "system": "be kind", "num_retries": 1,
            "messages": [{"role": "user", "content": "hello"}],
            "tools": [{"name": "f", "input_schema": {"type": "object"}}],
        });
        let reply = world.post("/v1/messages/count_tokens", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let tokens = reply.json()["input_tokens"].as_u64().expect("is a number");
        if let Some(id) = reply.headers.get("x-litellm-call-id") {
            assert_eq!(reply.headers.get("request-id"), Some(id));
        }
        (tokens, reply.headers.contains_key("x-ziggurat-estimated"))
    };
    for _ in 0..4 {
        assert_eq!(ask("m").await, (4321, false));
    }
    let calls = world.providers.calls("a");
    assert!(
        calls[0].path.ends_with("/v1/messages/count_tokens"),
        "{}",
        calls[0].path
    );
    let sent = calls[0].json();
    let names: Vec<_> = sent.as_object().expect("is one").keys().collect();
    assert_eq!(names, ["messages", "model", "system", "tools"]);
    assert_eq!(sent["model"], "claude-sonnet-4-5");

    assert_eq!(ask("g").await, (1234, false));
    let call = &world.providers.calls("c")[0];
    assert!(
        call.path.contains("gemini-2.5-pro:countTokens"),
        "{}",
        call.path
    );
    let asked = &call.json()["generateContentRequest"];
    assert_eq!(asked["model"], "models/gemini-2.5-pro");
    assert_eq!(asked["contents"][0]["parts"][0]["text"], "hello");
    assert!(asked["systemInstruction"].is_object() && asked["tools"].is_array());

    // Who counts nothing may answer well, and another group's tokens are others.
    world.providers.script("a", Step::status(404));
    for _ in 0..3 {
        let (tokens, is_estimated) = ask("m").await;
        assert!(is_estimated && (10..60).contains(&tokens), "{tokens}");
    }
    assert_eq!(world.providers.count("d"), 0);
    let before = world.providers.count("a");
    for _ in 0..12 {
        let body =
            json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        world.post("/v1/messages", &body).await;
    }
    assert!(
        world.providers.count("a") > before,
        "it rests for what it does not count"
    );
}

#[tokio::test(start_paused = true)]
async fn the_tokens_of_a_prompt_are_estimated_without_asking_anybody() {
    let world = VirtualWorld::new(WITH_SPARE);
    let mut body = (MESSAGES.body)(false);
    let count = async |path: &str, body: &Value| {
        let reply = world.post(path, body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(reply.header("x-ziggurat-estimated"), "true");
        reply.json()["input_tokens"].as_u64().expect("is a number")
    };
    let little = count("/v1/messages/count_tokens", &body).await;
    assert!((1..10).contains(&little), "{little}");
    body["messages"][0]["content"] = json!("word ".repeat(1_000));
    let long = count("/messages/count_tokens", &body).await;
    assert!((900..1_500).contains(&long), "{long}");
    let tool = json!({"name": "f", "description": "word ".repeat(1_000), "input_schema": {"type": "object"}});
    body["tools"] = json!([tool]);
    let longer = count("/anthropic/v1/messages/count_tokens", &body).await;
    assert!((900..1_500).contains(&(longer - long)), "{longer}");
    assert_eq!(world.providers.count("a") + world.providers.count("b"), 0);

    body["model"] = json!("unknown");
    let reply = world.post("/v1/messages/count_tokens", &body).await;
    MESSAGES.assert_error(&reply, 404, "not_found_error");
    let reply = world.post("/v1/messages/count_tokens", &json!([])).await;
    MESSAGES.assert_error(&reply, 400, "invalid_request_error");
    let large = json!({"model": "m", "x": "y".repeat(26 * 1024 * 1024)});
    let reply = world.post("/v1/messages/count_tokens", &large).await;
    MESSAGES.assert_error(&reply, 413, "request_too_large");
}

//! Anthropic's dialect through the leaf: asked in OpenAI's words, and in its own.

mod support;

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use support::{CANARY, Client, Read, chat, send};
use ziggurat_core::{
    Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Operation, Routed, Secret,
};

const ANSWER: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-x",
    "content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn",
    "usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":7}}"#;

const EVENTS: [&str; 7] = [
    r#"{"type":"message_start","message":{"id":"msg_1","model":"claude-x","usage":{"input_tokens":10,"output_tokens":1}}}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hello"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7}}"#,
    r#"{"type":"message_stop"}"#,
];

fn stream(events: &[&str]) -> String {
    events
        .iter()
        .map(|event| format!("event: x\ndata: {event}\n\n"))
        .collect()
}

async fn call(client: &Client, request: LlmRequest) -> Result<LlmResponse, Error> {
    let deployment = Deployment::new("a", "gpt", "claude-sonnet-4-5")
        .with_provider("anthropic")
        .with_credential(Secret::new(CANARY));
    let routed = Routed::new(request, Arc::new(deployment));
    tower::ServiceExt::oneshot(client.service(), routed).await
}

fn chat_stream() -> LlmRequest {
    let body =
        json!({"model": "gpt", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is valid")
}

#[tokio::test(start_paused = true)]
async fn a_chat_is_asked_and_answered_in_anthropics_words() {
    let client = Client::json(200, ANSWER)
        .header("request-id", "req_1")
        .header("anthropic-ratelimit-requests-limit", "60")
        .header("anthropic-ratelimit-requests-remaining", "59");
    let response = call(&client, chat()).await.expect("answers");
    let sent = client.sent();
    assert_eq!(sent.uri(), "https://api.anthropic.com/v1/messages");
    assert_eq!(sent.headers()["x-api-key"], CANARY);
    assert_eq!(sent.headers()["anthropic-version"], "2023-06-01");
    assert!(!sent.headers().contains_key("authorization"));
    let body: Value = serde_json::from_slice(sent.body()).expect("is JSON");
    assert_eq!(
        (&body["model"], &body["max_tokens"]),
        (&json!("claude-sonnet-4-5"), &json!(4096))
    );
    let usage = *response.usage().expect("is counted");
    assert_eq!((usage.input, usage.cached_input, usage.output), (15, 5, 7));
    assert_eq!(response.headers()["llm_provider-request-id"], "req_1");
    let limits = response.provider_limits().expect("are told");
    let requests = limits.requests.expect("are told");
    assert_eq!((requests.limit, requests.remaining), (60, 59));
    let read = Read::to_the_end(response).await;
    let answer: Value = serde_json::from_str(&read.text()).expect("is JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], "hello");
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_its_first_words_and_ends_with_its_last_event() {
    let client = Client::stream(EVENTS.map(|event| send(stream(&[event]))));
    let read = Read::to_the_end(call(&client, chat_stream()).await.expect("begins")).await;
    read.end.as_ref().expect("ends well");
    assert!(
        read.text().contains(r#""content":"hello""#),
        "{}",
        read.text()
    );
    assert!(read.text().trim_end().ends_with("data: [DONE]"));
    assert_eq!(read.usage().map(|usage| usage.total()), Some(17));

    let failed = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let client = Client::stream([send(stream(&[EVENTS[0], EVENTS[2], failed]))]);
    let error = call(&client, chat_stream())
        .await
        .expect_err("does not begin");
    assert_eq!(error.kind(), ErrorKind::Overloaded);

    let client = Client::stream([send(stream(&EVENTS[..4]))]);
    let read = Read::to_the_end(call(&client, chat_stream()).await.expect("begins")).await;
    let error = read.end.expect_err("is cut");
    assert_eq!(error.kind(), ErrorKind::StreamBroken);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_passed_on_as_it_is_but_for_the_model() {
    let client = Client::stream([send(stream(&EVENTS))]);
    let body = r#"{ "model":"gpt", "max_tokens":7,"stream":true, "new":{"a":1}, "messages":[]}"#;
    let request = LlmRequest::from_bytes(Operation::Messages, body).expect("is valid");
    let read = Read::to_the_end(call(&client, request).await.expect("begins")).await;
    read.end.as_ref().expect("ends well");
    assert_eq!(read.text(), stream(&EVENTS));
    assert_eq!(read.usage().map(|usage| usage.total()), Some(17));
    let sent = client.sent();
    assert_eq!(sent.uri(), "https://api.anthropic.com/v1/messages");
    let expected = body.replace(r#""gpt""#, r#""claude-sonnet-4-5""#);
    assert_eq!(sent.body(), expected.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_keeps_its_kind_its_wait_and_no_secret() {
    let refusal = format!(
        r#"{{"type":"error","error":{{"type":"rate_limit_error","message":"key {CANARY}"}}}}"#
    );
    let client = Client::json(429, &refusal).header("retry-after", "3");
    let error = call(&client, chat()).await.expect_err("is refused");
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    assert!(!format!("{error:?} {error}").contains(CANARY));
}

//! Anthropic's dialect through the leaf: asked in OpenAI's words, and in its own.

use std::time::Duration;

use crate::support::{CANARY, Client, Read, chat, send};
use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::{
    ByteBudget, Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Operation, Secret,
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
    client.ask(deployment, request).await
}

fn chat_stream() -> LlmRequest {
    let body =
        json!({"model": "gpt", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is valid")
}

#[tokio::test(start_paused = true)]
async fn a_long_chat_is_translated_by_another_thread_and_a_short_one_at_once() {
    for (words, at_once) in [(100, true), (100_000, false)] {
        let client = Client::json(200, ANSWER);
        let request = LlmRequest::chat("gpt", &"word ".repeat(words));
        let mut calling = Box::pin(call(&client, request));
        let first = std::future::poll_fn(|cx| {
            let polled = calling.as_mut().poll(cx);
            std::task::Poll::Ready(polled)
        });
        let first = first.await;
        assert_eq!(first.is_ready(), at_once, "the client answers at once");
        let response = match first {
            std::task::Poll::Ready(response) => response,
            std::task::Poll::Pending => calling.await,
        };
        response.expect("answers");
        let body: Value = serde_json::from_slice(client.sent().body()).expect("is JSON");
        let said = body["messages"][0]["content"].to_string();
        assert_eq!(said.matches("word").count(), words);
    }
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

#[tokio::test]
async fn what_is_written_for_the_provider_counts_in_the_budget_while_somebody_has_it() {
    let budget = ByteBudget::new(1 << 20);
    let client = Client::json(200, ANSWER);
    let request = LlmRequest::chat("gpt", &"word ".repeat(1_000));
    let response = call(&client, request.with_budget(budget.clone())).await;
    drop(response.expect("answers"));
    let written = budget.used();
    assert_eq!(written, client.sent().body().len() as u64);
    assert!(written > 5_000, "{written}");
    drop(client);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn what_is_passed_on_as_it_is_counts_once() {
    let body = r#"{"model":"claude-sonnet-4-5","max_tokens":7,"messages":[]}"#;
    let length = body.len() as u64;
    let budget = ByteBudget::new(1 << 20);
    let held = budget.reserve(length).expect("there is room");
    let body = held.keep(Bytes::from_static(body.as_bytes()));
    let request = LlmRequest::from_bytes(Operation::Messages, body).expect("is valid");
    let client = Client::json(200, ANSWER);
    let response = call(&client, request.with_budget(budget.clone())).await;
    drop(response.expect("answers"));
    assert_eq!(budget.used(), length);
    assert_eq!(client.sent().body().len() as u64, length);
    drop(client);
    assert_eq!(budget.used(), 0);
}

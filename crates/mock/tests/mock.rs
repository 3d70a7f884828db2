//! What the layers play.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::{Layer, ServiceExt};
use ziggurat_core::{
    Clock, Deployment, Error, ErrorKind, HasLedger, LlmRequest, LlmResponse, Operation, Routed,
    Usage,
};
use ziggurat_mock::{Failures, MockAnswerLayer, MockFailureLayer};
use ziggurat_testkit::contract::Probe;

fn read(operation: Operation, body: &Value) -> LlmRequest {
    LlmRequest::from_value(operation, body).expect("is valid")
}

fn chat(fields: &Value) -> LlmRequest {
    let mut body = json!({"model": "gpt", "messages": [{"role": "user", "content": "12345678"}]});
    for (name, value) in fields.as_object().expect("is one") {
        body[name] = value.clone();
    }
    read(Operation::ChatCompletions, &body)
}

/// Sends a request to a deployment over which answers are played.
async fn send(probe: &Probe, request: LlmRequest, own: Option<&str>) -> Result<LlmResponse, Error> {
    let mut deployment = Deployment::new("a", "gpt", "gpt-4o");
    if let Some(own) = own {
        deployment = deployment.with_mock_response(own);
    }
    let service = MockAnswerLayer::new().layer(probe.clone());
    service
        .oneshot(Routed::new(request, Arc::new(deployment)))
        .await
}

async fn answer(request: LlmRequest) -> LlmResponse {
    let probe = Probe::new();
    let response = send(&probe, request, Some("hello big world")).await;
    assert_eq!(probe.calls(), 0, "nothing is sent");
    response.expect("is played")
}

fn whole(response: &LlmResponse) -> Value {
    serde_json::from_slice(response.bytes().expect("is whole")).expect("is JSON")
}

/// The data of the events, and what the stream says it used.
async fn events(response: LlmResponse) -> (Vec<String>, Option<Usage>) {
    let (_, mut items) = response.into_parts();
    let mut events = Vec::new();
    while let Some(item) = items.next().await {
        let item = item.expect("does not break");
        assert_eq!(item.events, 1);
        let text = std::str::from_utf8(&item.bytes).expect("is text");
        let data = text.strip_prefix("data: ").expect("is an event");
        events.push(data.strip_suffix("\n\n").expect("ends").to_owned());
    }
    (events, items.usage().copied())
}

fn estimated(input: u64, output: u64) -> Usage {
    Usage {
        estimated: true,
        ..Usage::new(input, output)
    }
}

#[tokio::test]
async fn the_requested_group_fails_as_it_is_asked_to_and_the_next_is_served() {
    for (field, kind) in [
        ("mock_testing_fallbacks", ErrorKind::Internal),
        ("mock_testing_context_fallbacks", ErrorKind::ContextWindow),
        (
            "mock_testing_content_policy_fallbacks",
            ErrorKind::ContentPolicy,
        ),
    ] {
        let probe = Probe::new();
        let service = MockFailureLayer::group().layer(probe.clone());
        let request = chat(&json!({field: true}));
        let error = service.clone().oneshot(request.clone()).await;
        assert_eq!(error.expect_err("fails").kind(), kind);
        let ledger = request.ledger().expect("has one").clone();
        assert_eq!((probe.calls(), ledger.attempts()), (0, 0));
        ledger.note_fallback();
        assert!(service.clone().oneshot(request).await.is_ok());
        let other = chat(&json!({field: false}));
        assert!(service.oneshot(other).await.is_ok());
    }
}

#[tokio::test]
async fn the_first_try_is_throttled_and_the_next_is_served() {
    let service = MockFailureLayer::attempt().layer(Probe::new());
    let request = chat(&json!({"mock_testing_rate_limit_error": true}));
    let error = service.clone().oneshot(request.clone()).await;
    assert_eq!(error.expect_err("fails").kind(), ErrorKind::RateLimited);
    request.ledger().expect("has one").note_retry();
    assert!(service.oneshot(request).await.is_ok());
}

#[tokio::test]
async fn a_closure_may_say_what_fails() {
    let layer = MockFailureLayer::group()
        .failures_by(|_: &LlmRequest| Failures::none().of_group(ErrorKind::Overloaded));
    let error = layer.layer(Probe::new()).oneshot(chat(&json!({}))).await;
    assert_eq!(error.expect_err("fails").kind(), ErrorKind::Overloaded);
}

#[tokio::test]
async fn without_a_mock_the_deployment_is_asked() {
    let probe = Probe::new();
    assert!(send(&probe, chat(&json!({})), None).await.is_ok());
    assert_eq!(probe.calls(), 1);
}

#[tokio::test]
async fn a_chat_is_answered_with_the_text() {
    let request = chat(&json!({"n": 2}));
    let input = request.estimated_input_tokens();
    let response = answer(request).await;
    // Fifteen bytes, twice.
    assert_eq!(response.usage(), Some(&estimated(input, 8)));
    let body = whole(&response);
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["model"], "gpt-4o");
    assert_eq!(body["usage"]["total_tokens"], input + 8);
    for index in [0, 1] {
        let choice = &body["choices"][index];
        assert_eq!(choice["index"], index);
        assert_eq!(choice["message"]["content"], "hello big world");
        assert_eq!(choice["finish_reason"], "stop");
    }
    assert_eq!(body["choices"][2], Value::Null);
}

#[tokio::test]
async fn the_request_goes_before_the_deployment() {
    let response = answer(chat(&json!({"mock_response": "mine"}))).await;
    assert_eq!(whole(&response)["choices"][0]["message"]["content"], "mine");
}

#[tokio::test]
async fn a_streamed_chat_is_answered_word_by_word() {
    let request = chat(&json!({"stream": true, "stream_options": {"include_usage": true}}));
    let input = request.estimated_input_tokens();
    let (events, usage) = events(answer(request).await).await;
    assert_eq!(usage, Some(estimated(input, 4)));
    let (done, events) = events.split_last().expect("has some");
    assert_eq!(done, "[DONE]");
    let events: Vec<Value> = (events.iter())
        .map(|event| serde_json::from_str(event).expect("is JSON"))
        .collect();
    let ids: Vec<_> = events.iter().map(|event| &event["id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.is_string()));
    let deltas: Vec<_> = (events.iter())
        .map(|event| event["choices"][0]["delta"].clone())
        .collect();
    assert_eq!(
        deltas,
        [
            json!({"role": "assistant", "content": ""}),
            json!({"content": "hello "}),
            json!({"content": "big "}),
            json!({"content": "world"}),
            json!({}),
            Value::Null,
        ]
    );
    assert_eq!(events[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(events[4]["usage"], Value::Null);
    assert_eq!(events[5]["choices"], json!([]));
    assert_eq!(events[5]["usage"]["completion_tokens"], 4);
}

#[tokio::test]
async fn the_usage_of_a_stream_is_known_and_not_shown_to_who_did_not_ask() {
    let (events, usage) = events(answer(chat(&json!({"stream": true}))).await).await;
    assert!(usage.is_some_and(|usage| usage.estimated));
    assert!(events.iter().all(|event| !event.contains("usage")));
}

#[tokio::test]
async fn the_choices_of_a_stream_come_one_after_the_other() {
    let request = chat(&json!({"stream": true, "n": 2, "mock_response": "a b"}));
    let (events, _) = events(answer(request).await).await;
    let indexes: Vec<_> = (events.iter())
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .map(|event| event["choices"][0]["index"].as_u64())
        .collect();
    let [first, second] = [Some(0), Some(1)];
    assert_eq!(
        indexes,
        [first, first, first, first, second, second, second, second]
    );
}

#[tokio::test]
async fn completions_are_answered_in_their_own_shape() {
    let body = json!({"model": "gpt", "prompt": "hi"});
    let response = answer(read(Operation::Completions, &body)).await;
    assert_eq!(whole(&response)["choices"][0]["text"], "hello big world");
    let body = json!({"model": "gpt", "prompt": "hi", "stream": true});
    let (events, _) = events(answer(read(Operation::Completions, &body)).await).await;
    let texts: String = (events.iter())
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|event| event["choices"][0]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(texts, "hello big world");
}

#[tokio::test]
async fn each_input_of_an_embedding_gets_a_vector() {
    let body = json!({"model": "gpt", "input": ["a", "b"], "stream": true});
    let response = answer(read(Operation::Embeddings, &body)).await;
    let body = whole(&response);
    assert_eq!(body["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(body["data"][1]["index"], 1);
    assert!(body["data"][1]["embedding"][0].is_f64());
    assert!(response.usage().is_some_and(|usage| usage.estimated));
}

#[tokio::test]
async fn what_has_no_mock_answer_fails_and_is_not_sent() {
    let body = json!({"model": "gpt", "prompt": "a cat"});
    let probe = Probe::new();
    let request = read(Operation::ImageGeneration, &body);
    let error = send(&probe, request, Some("hello")).await;
    assert_eq!(error.expect_err("fails").kind(), ErrorKind::Unprocessable);
    assert_eq!(probe.calls(), 0);
}

#[tokio::test]
async fn a_text_that_names_an_error_is_a_failure_of_the_deployment() {
    let text = Some("litellm.RateLimitError");
    let error = send(&Probe::new(), chat(&json!({})), text).await;
    let error = error.expect_err("fails");
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.deployment().map(|id| id.as_str()), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_to_be_silent_never_answers() {
    let probe = Probe::new();
    let request = chat(&json!({"mock_timeout": true, "mock_response": "hello"}));
    let day = Duration::from_secs(86_400);
    let silence = timeout(day, send(&probe, request, None)).await;
    assert!(silence.is_err());
    assert_eq!(probe.calls(), 0);
    let text = Some("litellm.Timeout");
    let error = send(&probe, chat(&json!({})), text).await;
    let kind = error.expect_err("fails").kind();
    assert_eq!(kind, ErrorKind::Timeout(Clock::Attempt));
}

#[tokio::test]
async fn an_answer_is_bounded_whatever_is_asked_for() {
    let large = "x".repeat(1024 * 1024);
    let request = chat(&json!({"n": 1_000_000_000_u64, "mock_response": large}));
    let body = whole(&answer(request).await);
    assert_eq!(body["choices"].as_array().map(Vec::len), Some(4));
    let request = chat(&json!({"n": 0, "mock_response": ""}));
    let body = whole(&answer(request).await);
    assert_eq!(body["choices"].as_array().map(Vec::len), Some(1));
    let request = chat(&json!({"n": u64::MAX, "mock_response": ""}));
    let body = whole(&answer(request).await);
    assert_eq!(body["choices"].as_array().map(Vec::len), Some(128));
}

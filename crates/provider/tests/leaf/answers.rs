//! Requests and answers that are not streams.

use crate::support::{CANARY, Client, HEADER_CANARY, chat, request, routed, send};
use tower::ServiceExt;
use ziggurat_core::{ErrorKind, Operation, Usage};

const ANSWER: &str = r#"{ "id":"c1", "choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}},"unknown":[1.50]}"#;

#[tokio::test]
async fn the_request_is_the_clients_bytes_with_another_model() {
    let client = Client::json(200, ANSWER);
    let body = r#"{"temperature":0.70,  "model" : "gpt","future":{"x":[1]},"messages":[]}"#;
    let response = client.call(request(Operation::ChatCompletions, body)).await;
    response.expect("is answered");
    let sent = client.sent();
    assert_eq!(
        sent.body(),
        r#"{"temperature":0.70,  "model" : "real-model","future":{"x":[1]},"messages":[]}"#
    );
    assert_eq!(
        (sent.method().as_str(), sent.uri().to_string().as_str()),
        ("POST", "http://provider.test/v1/chat/completions")
    );
    let mut headers: Vec<_> = sent
        .headers()
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("is text")))
        .collect();
    headers.sort_unstable();
    let expected = [
        "accept-encoding: identity".to_owned(),
        format!("authorization: Bearer {CANARY}"),
        "content-type: application/json".to_owned(),
        concat!("user-agent: ziggurat/", env!("CARGO_PKG_VERSION")).to_owned(),
        format!("x-extra: {HEADER_CANARY}"),
    ];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn the_answer_is_the_providers_bytes_and_its_usage_is_exact() {
    for pieces in [1, 3, 50] {
        let size = ANSWER.len().div_ceil(pieces);
        let acts = ANSWER.as_bytes().chunks(size).map(send);
        let client = Client::new(200, "application/json", acts);
        let response = client.call(chat()).await.expect("is answered");
        assert_eq!(response.bytes().expect("is complete"), ANSWER);
        let usage = Usage {
            cached_input: 4,
            ..Usage::new(10, 5)
        };
        assert_eq!(response.usage(), Some(&usage));
    }
}

#[tokio::test]
async fn every_operation_has_its_address_and_its_answer() {
    for (operation, path, answer) in [
        (Operation::ChatCompletions, "/v1/chat/completions", ANSWER),
        (
            Operation::Completions,
            "/v1/completions",
            r#"{"choices":[{"text":"x","finish_reason":"stop"}]}"#,
        ),
        (
            Operation::Embeddings,
            "/v1/embeddings",
            r#"{"data":[{"embedding":[0.5]}],"usage":{"prompt_tokens":8,"total_tokens":8}}"#,
        ),
        (
            Operation::ImageGeneration,
            "/v1/images/generations",
            r#"{"data":[{"url":"https://x"}]}"#,
        ),
        (
            Operation::ImageEdit,
            "/v1/images/edits",
            r#"{"data":[{"b64_json":"AA=="}]}"#,
        ),
        (
            Operation::Moderation,
            "/v1/moderations",
            r#"{"results":[{"flagged":false}]}"#,
        ),
    ] {
        let client = Client::json(200, answer);
        client
            .call(request(operation, r#"{"model":"gpt"}"#))
            .await
            .expect("is answered");
        assert_eq!(client.sent().uri().path(), path);
    }
}

#[tokio::test]
async fn an_operation_that_is_not_served_is_refused_before_anything_is_sent() {
    let client = Client::json(200, ANSWER);
    let error = client
        .refusal(request(Operation::PassThrough, r#"{"model":"gpt"}"#))
        .await;
    assert_eq!(error.status(), http::StatusCode::BAD_REQUEST);
    assert!(error.message().contains("`pass_through`"), "{error}");
    assert_eq!(client.calls(), 0);
}

#[tokio::test]
async fn embeddings_without_data_are_no_answer() {
    let client = Client::json(
        200,
        r#"{"object":"list","data":[],"usage":{"prompt_tokens":8}}"#,
    );
    let error = client
        .refusal(request(
            Operation::Embeddings,
            r#"{"model":"gpt","stream":true}"#,
        ))
        .await;
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_and_let_go() {
    let client = Client::new(
        200,
        "application/json",
        [send("[1"), send(",2"), send(",3]"), crate::support::hang()],
    );
    let service = client.service().with_max_answer(5);
    let error = service
        .oneshot(routed(chat()))
        .await
        .expect_err("is too long");
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
    assert_eq!(client.open_bodies(), 0);
}

#[tokio::test]
async fn limits_of_the_provider_reach_the_client_under_another_name() {
    let client = Client::json(200, ANSWER)
        .header("x-ratelimit-remaining-tokens", "7")
        .header("x-request-id", "req_1")
        .header("set-cookie", "a=b");
    let response = client.call(chat()).await.expect("is answered");
    let headers = response.headers();
    assert_eq!(headers["llm_provider-x-ratelimit-remaining-tokens"], "7");
    assert_eq!(headers["llm_provider-x-request-id"], "req_1");
    assert_eq!(headers.len(), 2);
}

#[tokio::test]
async fn usage_is_asked_for_only_where_it_is_a_stream() {
    let client = Client::json(200, ANSWER);
    client.call(chat()).await.expect("is answered");
    assert!(!String::from_utf8_lossy(client.sent().body()).contains("include_usage"));
    client
        .call(crate::support::chat_stream())
        .await
        .expect("is answered");
    assert!(
        String::from_utf8_lossy(client.sent().body())
            .contains(r#""stream_options":{"include_usage":true}"#)
    );
}

#[test]
fn the_service_can_be_shared_and_sent() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<ziggurat_provider::LlmService>();
    shared::<ziggurat_provider::LlmService<ziggurat_provider::HyperClient>>();
    fn sent<T: Send + 'static>() {}
    sent::<ziggurat_provider::ResponseFuture>();
}

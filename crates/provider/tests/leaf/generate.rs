//! Clients of Google's shape, before providers of that shape and of others.

use crate::support::{Client, Read, deployment, send, text_and_tool_call};
use serde_json::{Value, json};
use ziggurat_core::{DefaultField, Deployment, LlmRequest, Operation, ReadOptions, Secret, Usage};

const BODY: &str =
    r#"{ "contents": [{"role":"user","parts":[{"text":"hi"}]}], "future": 1, "num_retries":1 }"#;
/// What is sent of it to who speaks the shape.
const SENT: &str = r#"{ "contents": [{"role":"user","parts":[{"text":"hi"}]}], "future": 1 }"#;

fn request(streams: bool) -> LlmRequest {
    let operation = Operation::GenerateContent;
    let request = LlmRequest::read_for(operation, BODY, "gpt", streams, ReadOptions::new());
    request.expect("is a request")
}

fn gemini() -> Deployment {
    Deployment::new("a", "gpt", "gemini-2.5-pro")
        .with_provider("gemini")
        .with_base_url("http://provider.test/v1beta")
        .with_credential(Secret::new("key"))
}

async fn stream(client: &Client, deployment: Deployment) -> Read {
    let response = client.ask(deployment, request(true)).await;
    Read::to_the_end(response.expect("begins")).await
}

/// The events of a stream.
fn events(text: &str) -> Vec<Value> {
    let data = text.split_terminator("\r\n\r\n");
    let data = data.map(|event| event.strip_prefix("data: ").expect("is data"));
    data.map(|data| serde_json::from_str(data).expect("is JSON"))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_openai_becomes_one_of_google_s_wherever_it_is_cut() {
    let text = text_and_tool_call();
    let client = Client::stream([send(text.clone())]);
    let expected = stream(&client, deployment()).await;
    expected.end.as_ref().expect("is whole");
    let told = events(&expected.text());
    let parts: Vec<_> = told
        .iter()
        .map(|event| event["candidates"][0]["content"]["parts"].clone())
        .collect();
    let called = json!([{"functionCall": {"id": "c", "name": "f", "args": {}}}]);
    assert_eq!(
        parts,
        [json!([{"text": "he"}]), json!([{"text": "llo"}]), called]
    );
    let last = &told[2];
    assert_eq!(last["candidates"][0]["finishReason"], "STOP");
    assert_eq!(last["usageMetadata"]["totalTokenCount"], 15);
    let sent: Value = serde_json::from_slice(client.sent().body()).expect("is JSON");
    assert_eq!(
        (&sent["model"], &sent["stream"]),
        (&json!("real-model"), &json!(true))
    );
    assert_eq!(sent["stream_options"], json!({"include_usage": true}));
    for cut in 1..text.len() {
        let (head, tail) = text.as_bytes().split_at(cut);
        let client = Client::stream([send(head.to_vec()), send(tail.to_vec())]);
        let read = stream(&client, deployment()).await;
        read.end.as_ref().expect("is whole");
        assert_eq!(read.text(), expected.text(), "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn google_gets_the_client_s_own_bytes_and_its_answer_passes_as_it_is() {
    let answer = r#"{ "candidates": [{"content": {"parts": [{"text": "hello"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5} }"#;
    let client = Client::json(200, answer);
    let response = client
        .ask(gemini(), request(false))
        .await
        .expect("is an answer");
    assert_eq!(response.usage(), Some(&Usage::new(3, 2)));
    assert_eq!(response.bytes().expect("is whole"), answer);
    let sent = client.sent();
    assert_eq!(
        sent.uri(),
        "http://provider.test/v1beta/models/gemini-2.5-pro:generateContent"
    );
    assert_eq!(sent.body(), SENT);

    // Who asks for a stream gets one, even if it is answered in one piece.
    let client = Client::json(200, answer);
    let read = stream(&client, gemini()).await;
    read.end.as_ref().expect("is whole");
    assert_eq!(
        events(&read.text())[0]["candidates"][0]["content"]["parts"],
        json!([{"text": "hello"}])
    );
    let expected =
        "http://provider.test/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse";
    assert_eq!(client.sent().uri(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_a_deployment_adds_has_its_place() {
    let defaults = [
        ("temperature", json!(0.2)),
        ("max_tokens", json!(7)),
        ("stop", json!("x")),
    ];
    let defaults = defaults
        .iter()
        .filter_map(|(name, value)| DefaultField::new(name, value));
    let deployment = defaults.fold(gemini(), Deployment::with_default_field);
    let client = Client::json(
        200,
        r#"{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}]}"#,
    );
    client
        .ask(deployment, request(false))
        .await
        .expect("is an answer");
    let sent: Value = serde_json::from_slice(client.sent().body()).expect("is JSON");
    assert_eq!(
        sent["generationConfig"],
        json!({"temperature": 0.2, "maxOutputTokens": 7, "stopSequences": ["x"]})
    );
    assert!(sent.get("temperature").is_none());
}

#[tokio::test(start_paused = true)]
async fn anthropic_s_models_at_google_are_asked_in_their_own_words() {
    let deployment = Deployment::new("a", "gpt", "claude-sonnet-4-5")
        .with_provider("vertex_ai")
        .with_base_url("http://provider.test")
        .with_drop_params(true)
        .with_param("vertex_project", Secret::new("p"))
        .with_credential(Secret::new("token"));
    let answer = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"hello"}],
        "stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#;
    let client = Client::json(200, answer);
    let response = client
        .ask(deployment, request(false))
        .await
        .expect("is an answer");
    let told: Value = serde_json::from_slice(response.bytes().expect("is whole")).expect("is JSON");
    assert_eq!(
        told["candidates"][0]["content"]["parts"],
        json!([{"text": "hello"}])
    );
    assert!(
        client
            .sent()
            .uri()
            .path()
            .ends_with("/claude-sonnet-4-5:rawPredict")
    );
}

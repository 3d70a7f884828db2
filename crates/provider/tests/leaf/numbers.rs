//! Rankings and embeddings, and what is not OpenAI's, through the leaf.

use crate::support::{Act, Client, Read, request, send};
use ziggurat_core::{
    Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Operation, Secret, Usage,
};

const RERANK: &str =
    r#"{"top_n":1, "model": "gpt","query":"q","documents":["a","b"],"stream":true}"#;

async fn call(client: &Client, provider: &str, request: LlmRequest) -> Result<LlmResponse, Error> {
    let deployment = Deployment::new("a", "gpt", "real-model")
        .with_provider(provider)
        .with_credential(Secret::new("k"));
    client.ask(deployment, request).await
}

async fn body(response: LlmResponse) -> String {
    Read::to_the_end(response).await.text()
}

#[tokio::test]
async fn a_ranking_passes_as_it_is_where_it_is_spoken() {
    let answer = r#"{"model":"m", "results":[{"index":1,"relevance_score":0.50}],"usage":{"total_tokens":7}}"#;
    let client = Client::json(200, answer);
    let response = call(&client, "jina_ai", request(Operation::Rerank, RERANK)).await;
    let response = response.expect("is answered");
    assert_eq!(response.usage(), Some(&Usage::new(7, 0)));
    assert_eq!(body(response).await, answer);
    let sent = client.sent();
    assert_eq!(sent.uri(), "https://api.jina.ai/v1/rerank");
    assert_eq!(
        sent.body(),
        r#"{"top_n":1, "model": "real-model","query":"q","documents":["a","b"],"stream":true}"#
    );
}

#[tokio::test]
async fn an_answer_that_ranks_nothing_is_none() {
    for answer in ["{}", r#"{"results":[]}"#, r#"{"data":[{"index":1}]}"#] {
        let client = Client::json(200, answer);
        let error = call(&client, "jina_ai", request(Operation::Rerank, RERANK)).await;
        let error = error.expect_err("is none");
        assert_eq!(error.kind(), ErrorKind::BadAnswer, "{answer}");
    }
}

#[tokio::test]
async fn a_ranking_is_translated_where_it_is_not() {
    let client = Client::json(200, r#"{"data":[{"index":1,"relevance_score":0.5}]}"#);
    let response = call(&client, "voyage", request(Operation::Rerank, RERANK)).await;
    let text = body(response.expect("is answered")).await;
    assert!(
        text.contains(r#""results":[{"index":1,"relevance_score":0.5}]"#),
        "{text}"
    );
    assert_eq!(client.sent().uri(), "https://api.voyageai.com/v1/rerank");
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_ollama_is_one_of_openai_s() {
    let lines = [
        r#"{"model":"m","message":{"role":"assistant","content":"hi"},"done":false}"#,
        r#"{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":10,"eval_count":5}"#,
    ];
    let acts = lines.map(|line| -> Act { send(format!("{line}\n")) });
    let client = Client::new(200, "application/x-ndjson", acts);
    let response = call(&client, "ollama_chat", crate::support::chat_stream()).await;
    let read = Read::to_the_end(response.expect("begins")).await;
    read.end.as_ref().expect("is whole");
    assert_eq!(read.usage(), Some(Usage::new(10, 5)));
    let text = read.text();
    assert!(
        text.contains(r#""content":"hi""#) && text.ends_with(crate::support::DONE),
        "{text}"
    );
    assert!(
        !text.contains("usage"),
        "the client did not ask for it: {text}"
    );
    let sent = client.sent();
    assert_eq!(sent.uri(), "http://localhost:11434/api/chat");
    assert_eq!(sent.headers()["authorization"], "Bearer k");
}

#[tokio::test]
async fn a_completion_is_asked_of_who_knows_conversations_only() {
    let line = |done: bool| {
        let end = if done {
            r#","done_reason":"stop","prompt_eval_count":10,"eval_count":5"#
        } else {
            ""
        };
        let text = if done { "" } else { "upon" };
        format!(
            r#"{{"model":"m","created_at":"2026-01-01T00:00:00Z","message":{{"role":"assistant","content":"{text}"}},"done":{done}{end}}}"#
        ) + "\n"
    };
    let client = Client::new(
        200,
        "application/x-ndjson",
        [crate::support::send(line(false) + &line(true))],
    );
    let body = r#"{"model":"gpt","prompt":"once","stream":true}"#;
    let response = call(&client, "ollama", request(Operation::Completions, body)).await;
    let read = Read::to_the_end(response.expect("begins")).await;
    read.end.as_ref().expect("is whole");
    assert_eq!(read.usage(), Some(Usage::new(10, 5)));
    let text = read.text();
    assert!(text.contains(r#""text":"upon""#), "{text}");
    assert!(text.contains("text_completion") && text.ends_with(crate::support::DONE));
    assert!(!text.contains("chat.completion"), "{text}");
    let sent = client.sent();
    assert_eq!(sent.uri(), "http://localhost:11434/api/chat");

    let body = r#"{"model":"gpt","prompt":"once","suffix":"end"}"#;
    let refused = call(&client, "ollama", request(Operation::Completions, body)).await;
    let error = refused.expect_err("is refused");
    assert_eq!(
        (error.code(), error.param()),
        ("unsupported_parameter", Some("suffix"))
    );
    assert!(error.message().contains("provider `ollama`"), "{error}");
    assert_eq!(client.calls(), 0, "nothing more was sent");
}

#[tokio::test]
async fn what_a_provider_does_not_serve_is_sent_to_nobody() {
    for provider in ["cohere", "ollama", "voyage"] {
        let client = Client::json(200, "{}");
        let body = r#"{"model":"gpt","input":"x"}"#;
        let error = call(&client, provider, request(Operation::Moderation, body)).await;
        let error = error.expect_err("is not served");
        assert_eq!(error.code(), "unsupported_operation", "{provider}");
        assert_eq!(client.calls(), 0);
    }
}

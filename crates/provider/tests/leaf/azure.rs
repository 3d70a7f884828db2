//! Azure OpenAI and Foundry: OpenAI's dialect under other addresses.

use std::{convert::Infallible, sync::Arc};

use crate::support::{CANARY, Client, DONE, Read, content, finish, request, role, send};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{ServiceExt, service_fn};
use ziggurat_core::{
    Deployment, Error, ErrorKind, LlmRequest, LlmResponse, Operation, Routed, Secret, Usage,
};
use ziggurat_provider::{LlmService, RequestBody};

const ANSWER: &str =
    r#"{"choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}]}"#;

fn deployment(provider: &str, base: &str) -> Deployment {
    Deployment::new("a", "gpt", "my gpt")
        .with_provider(provider)
        .with_base_url(base)
}

fn classic() -> Deployment {
    deployment("azure", "https://x.openai.azure.com/").with_credential(Secret::new(CANARY))
}

async fn call(client: &Client, deployment: Deployment, body: &str) -> Result<LlmResponse, Error> {
    let request = request(Operation::ChatCompletions, body);
    client.ask(deployment, request).await
}

#[tokio::test]
async fn the_bytes_are_the_client_s_and_the_deployment_is_in_the_path() {
    let client = Client::json(200, ANSWER);
    let body = r#"{"data_sources":[ 1.50 ],  "model" : "gpt","messages":[]}"#;
    let deployment = classic().with_param("api_version", Secret::new("2024-10-21"));
    call(&client, deployment, body).await.expect("is answered");
    let sent = client.sent();
    assert_eq!(
        sent.body(),
        r#"{"data_sources":[ 1.50 ],  "model" : "my gpt","messages":[]}"#
    );
    assert_eq!(
        sent.uri(),
        "https://x.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"
    );
    assert_eq!(sent.headers()["api-key"], CANARY);
    assert!(!sent.headers().contains_key("authorization"));
}

#[tokio::test]
async fn an_entra_token_is_a_bearer() {
    let client = Client::json(200, ANSWER);
    let deployment = deployment("azure_ai", "https://x.services.ai.azure.com")
        .with_param("azure_ad_token", Secret::new("token"));
    let body = r#"{"model":"gpt","messages":[]}"#;
    call(&client, deployment, body).await.expect("is answered");
    let sent = client.sent();
    assert_eq!(
        sent.uri(),
        "https://x.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview"
    );
    assert_eq!(sent.headers()["authorization"], "Bearer token");
}

#[tokio::test]
async fn an_application_shows_the_token_that_it_gets() {
    let client = service_fn(|request: Request<RequestBody>| async move {
        let body = match request.uri().host() {
            Some("login.microsoftonline.com") => r#"{"access_token":"t1","expires_in":3599}"#,
            _ => {
                assert_eq!(request.headers()["authorization"], "Bearer t1");
                assert!(!request.headers().contains_key("api-key"));
                ANSWER
            }
        };
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(body)))
    });
    let params = [
        ("tenant_id", "t"),
        ("client_id", "c"),
        ("client_secret", CANARY),
    ];
    let deployment = params.into_iter().fold(
        deployment("azure", "https://x.openai.azure.com"),
        |deployment, (name, value)| deployment.with_param(name, Secret::new(value)),
    );
    let routed = Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment));
    let answer = LlmService::with_client(client).oneshot(routed).await;
    answer.expect("is answered");
}

const STREAM: &str = r#"{"model":"gpt","stream":true,"messages":[]}"#;
/// What comes before the answer: what the filter says of the prompt.
const FILTERED_PROMPT: &str = "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n";
/// What the filter says later of what was said.
const OFFSETS: &str = "data: {\"id\":\"\",\"choices\":[{\"index\":0,\"finish_reason\":null,\"content_filter_results\":{},\"content_filter_offsets\":{\"start_offset\":0,\"end_offset\":2},\"delta\":{}}]}\n\n";

#[tokio::test(start_paused = true)]
async fn what_the_filter_says_passes_and_is_no_beginning() {
    let events = [
        FILTERED_PROMPT,
        &role(),
        &content("hi"),
        OFFSETS,
        &finish(),
        DONE,
    ];
    let client = Client::stream(events.map(|event| send(event.to_owned())));
    let response = call(&client, classic(), STREAM).await.expect("begins");
    let read = Read::to_the_end(response).await;
    read.end.as_ref().expect("is whole");
    assert_eq!(read.text(), events.concat());

    let client = Client::stream([send(FILTERED_PROMPT), send(DONE)]);
    let error = call(&client, classic(), STREAM).await.expect_err("is none");
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
}

#[tokio::test(start_paused = true)]
async fn usage_is_asked_for_where_the_version_knows_it() {
    for (version, asks) in [
        ("2024-02-01", false),
        ("2024-10-21", true),
        ("preview", true),
    ] {
        let client = Client::stream([send(content("hi") + &finish() + DONE)]);
        let deployment = classic().with_param("api_version", Secret::new(version));
        call(&client, deployment, STREAM).await.expect("begins");
        let sent = client.sent();
        let body = std::str::from_utf8(sent.body()).expect("is text");
        assert_eq!(body.contains("include_usage"), asks, "{version}");
    }
}

#[tokio::test]
async fn a_choice_that_was_filtered_needs_no_message() {
    let body = r#"{"choices":[{"index":0,"finish_reason":"content_filter","content_filter_results":{"hate":{"filtered":true}}}],
        "usage":{"prompt_tokens":15,"completion_tokens":19,"total_tokens":34}}"#;
    let client = Client::json(200, body);
    let answer = call(&client, classic(), r#"{"model":"gpt","messages":[]}"#).await;
    assert_eq!(answer.expect("is one").usage(), Some(&Usage::new(15, 19)));
}

#[tokio::test]
async fn errors_have_their_kinds() {
    for (status, body, kind) in [
        (
            400,
            r#"{"error":{"message":"no","code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ErrorKind::ContentPolicy,
        ),
        (
            401,
            r#"{"error":{"code":"401","message":"Access denied due to invalid subscription key"}}"#,
            ErrorKind::Authentication,
        ),
        (
            403,
            r#"{"error":{"code":"Forbidden","message":"Your resource has been temporarily blocked: it violates our content policy"}}"#,
            ErrorKind::ContentPolicy,
        ),
        (
            404,
            r#"{"error":{"code":"DeploymentNotFound","message":"no"}}"#,
            ErrorKind::NotFound,
        ),
        (
            404,
            r#"{"error":{"code":"404","message":"Resource not found"}}"#,
            ErrorKind::NotFound,
        ),
        (
            429,
            r#"{"error":{"code":"429","message":"Please retry after 7 seconds."}}"#,
            ErrorKind::RateLimited,
        ),
    ] {
        let client = Client::json(status, body);
        let error = call(&client, classic(), r#"{"model":"gpt","messages":[]}"#).await;
        let error = error.expect_err("fails");
        assert_eq!(
            (error.kind(), error.status().as_u16() / 100),
            (kind, 4),
            "{body}"
        );
    }
}

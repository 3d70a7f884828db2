//! Calls to be tested with, and what is sent for them.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::{Value, json};
use ziggurat_core::{Deployment, ErrorKind, LlmRequest, Operation, Secret};

use super::*;

const MODEL: &str = "claude-sonnet-4-5";

/// What `ask` makes of a call with that body, to a deployment of Anthropic's.
pub(super) fn asked<T>(body: &Value, ask: impl FnOnce(&Call<'_>) -> T) -> T {
    asked_of(Deployment::new("a", "claude", MODEL), body, ask)
}

/// The same, to that deployment.
pub(super) fn asked_of<T>(
    deployment: Deployment,
    body: &Value,
    ask: impl FnOnce(&Call<'_>) -> T,
) -> T {
    let deployment = Arc::new(deployment.with_provider("anthropic"));
    let bytes = body.to_string();
    let request = LlmRequest::chat("claude", "hi");
    ask(&Call {
        deployment: &deployment,
        operation: Operation::ChatCompletions,
        request: &request,
        body: bytes.as_bytes(),
        model: deployment.model(),
        streams: body["stream"] == true,
        now: 7,
    })
}

fn hi() -> Value {
    json!({"messages": [{"role": "user", "content": "hi"}]})
}

fn sent(deployment: Deployment, body: &Value) -> Outgoing {
    asked_of(deployment, body, |call| Anthropic.request(call)).expect("can be asked")
}

#[test]
fn a_key_and_a_token_go_different_ways() {
    let headers = |key: &str| {
        let deployment = Deployment::new("a", "claude", MODEL).with_credential(Secret::new(key));
        Anthropic.authorization(&deployment)
    };
    let key = headers(" sk-ant-api03-x\n").expect("can be sent");
    assert_eq!(key["x-api-key"], "sk-ant-api03-x");
    assert_eq!(key["anthropic-version"], "2023-06-01");
    assert!(key["x-api-key"].is_sensitive() && !key.contains_key("authorization"));
    let token = headers("sk-ant-oat01-x").expect("can be sent");
    assert_eq!(token["authorization"], "Bearer sk-ant-oat01-x");
    assert_eq!(token["anthropic-beta"], betas::OAUTH);
    assert!(!token.contains_key("x-api-key"));
    let none = Anthropic.authorization(&Deployment::new("a", "claude", MODEL));
    assert_eq!(none.expect("is nothing wrong").len(), 1);
    let error = headers("sk-ant-\u{7f}canary").expect_err("cannot be sent");
    assert!(!format!("{error:?}").contains("canary"));
}

#[test]
fn the_path_goes_on_where_the_base_url_ends() {
    for (base, path, models) in [
        (None, "/messages", Some("/models")),
        (Some("https://x.example/v1/"), "/messages", Some("/models")),
        (
            Some("https://x.example/anthropic"),
            "/v1/messages",
            Some("/v1/models"),
        ),
        (Some("https://x.example/v1/messages"), "", None),
    ] {
        let mut deployment = Deployment::new("a", "claude", MODEL);
        if let Some(base) = base {
            deployment = deployment.with_base_url(base);
        }
        if let Some(models) = models {
            assert_eq!(Anthropic.models(&deployment), models, "{base:?}");
        }
        assert_eq!(sent(deployment, &hi()).path, path, "{base:?}");
    }
}

#[test]
fn betas_are_one_header() {
    let deployment = || Deployment::new("a", "claude", MODEL);
    assert!(sent(deployment(), &hi()).headers.is_empty());
    let mut body = hi();
    body["betas"] = json!(["two"]);
    let token = deployment()
        .with_header("anthropic-beta", "one")
        .with_credential(Secret::new("sk-ant-oat01-x"));
    let headers: HeaderMap = sent(token, &body).headers.into_iter().collect();
    assert_eq!(headers[BETA], format!("one,two,{}", betas::OAUTH));
    let secret = deployment().with_header("anthropic-beta", "can\u{7f}ary");
    let error = asked_of(secret, &hi(), |call| Anthropic.request(call));
    let error = error.expect_err("cannot be sent");
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(!format!("{error:?}").contains("ary"));
}

#[test]
fn another_operation_is_not_served() {
    let error = asked(&hi(), |call| {
        let call = Call {
            operation: Operation::Embeddings,
            ..*call
        };
        Anthropic.request(&call)
    });
    let error = error.expect_err("is not served");
    assert_eq!(error.code(), "unsupported_operation");
}

#[test]
fn on_vertex_the_model_is_in_the_path_and_the_betas_are_in_the_body() {
    let mut body = hi();
    body["betas"] = json!(["one"]);
    let body = asked(&body, |call| super::body(call, Host::Vertex)).expect("can be asked");
    let body: Value = serde_json::from_slice(&body).expect("is JSON");
    assert_eq!(body.get("model"), None);
    assert_eq!(body["anthropic_version"], "vertex-2023-10-16");
    assert_eq!(body["anthropic_beta"], json!(["one"]));
}

//! Who is asked in a try.

use std::sync::Arc;

use serde_json::json;
use ziggurat_core::{Deployment, Error, LlmRequest, Operation, ReadOptions, Secret};

use crate::{
    dialect::{self, Call},
    shape,
};

/// What no message may repeat.
const CANARY: &str = "canary-0123456789";

/// A deployment of that provider which has all that it needs.
pub(super) fn deployment(provider: &str, model: &str) -> Arc<Deployment> {
    let deployment = Deployment::new("a", "gpt", model)
        .with_provider(provider)
        .with_credential(Secret::new(CANARY))
        .with_param("aws_region_name", Secret::new("eu-central-1"))
        .with_param("vertex_project", Secret::new("p"))
        .with_param("vertex_location", Secret::new("europe-west1"));
    Arc::new(deployment)
}

/// A short request.
pub(super) fn request(operation: Operation) -> LlmRequest {
    let turn = json!({"role": "user", "content": "x"});
    let body = match operation {
        Operation::Embeddings => json!({"model": "m", "input": ["a", "b"]}),
        Operation::Rerank => json!({"model": "m", "query": "q", "documents": ["a", "b"]}),
        Operation::Responses => json!({"model": "m", "input": "x"}),
        Operation::Messages => json!({"model": "m", "max_tokens": 9, "messages": [turn]}),
        Operation::GenerateContent => json!({"contents": [{"parts": [{"text": "x"}]}]}),
        Operation::Completions => json!({"model": "m", "prompt": "x"}),
        _ => json!({"model": "m", "input": "x", "prompt": "x", "messages": [turn]}),
    };
    let body = body.to_string();
    let options = ReadOptions::new();
    let read = match operation {
        Operation::GenerateContent => LlmRequest::read_for(operation, body, "m", true, options),
        _ => LlmRequest::read(operation, body, options),
    };
    read.expect("is a request")
}

/// Who sent it, if it was in another shape than the deployment is asked in.
pub(super) fn client(request: &LlmRequest, deployment: &Deployment) -> Option<shape::Client> {
    let client = shape::Client::of(request, deployment.model());
    match dialect::of_deployment(deployment) {
        Some(_) => client.or_else(|| shape::Client::over_chat(request)),
        None => client,
    }
}

/// A call of the deployment's own model.
pub(super) fn call<'a>(
    deployment: &'a Arc<Deployment>,
    request: &'a LlmRequest,
    body: &'a [u8],
) -> Call<'a> {
    Call {
        deployment,
        operation: request.operation(),
        request,
        body,
        model: deployment.model(),
        streams: request.is_stream(),
        now: 7,
    }
}

/// An error is bounded whatever a provider says, asks for no endless wait, and tells no secret.
pub(super) fn assert_is_safe(error: &Error) {
    assert_is_bounded(error);
    assert!(!format!("{error:?} {}", error.to_json()).contains(CANARY));
}

/// The same where the credential may be the client's own word.
pub(super) fn assert_is_bounded(error: &Error) {
    const MAX: usize = 4096;
    let texts = [
        error.message(),
        error.error_type(),
        error.code(),
        error.param().unwrap_or_default(),
    ];
    for text in texts {
        assert!(text.len() <= MAX, "{} bytes in {error:?}", text.len());
    }
    assert!(!error.message().is_empty(), "{error:?}");
    let day = std::time::Duration::from_secs(24 * 3600);
    assert!(error.retry_after().is_none_or(|wait| wait <= day));
    assert!((400..600).contains(&error.status().as_u16()), "{error:?}");
    assert_is_json(error.to_json().as_bytes());
}

/// Reads what must be JSON.
pub(super) fn assert_is_json(json: &[u8]) -> serde_json::Value {
    serde_json::from_slice(json)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(json)))
}

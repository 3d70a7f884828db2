//! How long a prompt in Google's shape is.

use axum::{
    Json,
    body::{Body, Bytes},
    http::Request,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use ziggurat::{Error, LlmRequest, Operation, off_reactor};

use super::{bad, no_model};
use crate::{Gateway, Identity, app::shaped, count_tokens::ESTIMATED, shape::ErrorShape};

/// The whole request may stand in a member of the body.
#[derive(Deserialize)]
struct Counted<'a> {
    #[serde(
        borrow,
        rename = "generateContentRequest",
        alias = "generate_content_request"
    )]
    request: Option<&'a RawValue>,
}

/// `:countTokens`: our estimate, without asking a provider.
pub(super) async fn count(gateway: &Gateway, model: &str, request: Request<Body>) -> Response {
    match counted(gateway, model, request).await {
        Ok(tokens) => ([ESTIMATED], Json(json!({"totalTokens": tokens}))).into_response(),
        Err(error) => shaped(&error, ErrorShape::Google),
    }
}

async fn counted(gateway: &Gateway, model: &str, request: Request<Body>) -> Result<u64, Error> {
    let (parts, body) = request.into_parts();
    gateway.may_ask(parts.extensions.get::<Identity>(), model)?;
    let body = gateway.read_body(&parts, body).await?;
    let (gateway, model) = (gateway.clone(), model.to_owned());
    off_reactor(body.len(), move || estimate(&gateway, &model, &body)).await
}

/// The estimate for a request, if its model leads somewhere.
fn estimate(gateway: &Gateway, model: &str, body: &Bytes) -> Result<u64, Error> {
    let read = |error| bad(format!("the body cannot be read: {error}"));
    let counted: Counted<'_> = serde_json::from_slice(body).map_err(read)?;
    let body = match counted.request {
        Some(request) => Bytes::copy_from_slice(request.get().as_bytes()),
        None => body.clone(),
    };
    let (operation, options) = (Operation::GenerateContent, gateway.read_options());
    let request = LlmRequest::read_for(operation, body, model, false, options)?;
    match gateway.the_router() {
        Some(router) => router.explain(&request).map(drop)?,
        None => {
            let deployments = gateway.deployments().load();
            deployments.resolve(model).map(drop).ok_or_else(no_model)?;
        }
    }
    Ok(request.estimated_input_tokens())
}

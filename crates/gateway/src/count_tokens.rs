//! How long a prompt in Anthropic's shape is.

use std::future::poll_fn;

use axum::{
    Json,
    body::{Body, Bytes},
    http::{Request, StatusCode, header::CONTENT_LENGTH, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tower_service::Service;
use ziggurat::{Error, ErrorKind, LlmRequest, LlmResponse, Operation, off_reactor};

use crate::{Endpoint, Gateway, Identity, app::shaped, shape::ErrorShape};

/// What is sent with a number that nobody counted.
pub(crate) const ESTIMATED: (&str, &str) = ("x-ziggurat-estimated", "true");

/// What a deployment of another group counts is no answer.
const ALONE: &[u8] = br#"{"disable_fallbacks":true,"#;

/// `POST /v1/messages/count_tokens`: the number that a deployment of the model counts, or our
/// estimate where none does.
pub(crate) async fn count_tokens<S>(
    gateway: Gateway,
    mut endpoint: Endpoint<S>,
    request: Request<Body>,
) -> Response
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
{
    let (mut parts, body) = request.into_parts();
    let (estimate, body) = match estimated(gateway, &parts, body).await {
        Ok(estimated) => estimated,
        Err(error) => return shaped(&error, ErrorShape::Anthropic),
    };
    // It is an object, and not an empty one.
    let members = body
        .trim_ascii_start()
        .strip_prefix(b"{")
        .unwrap_or_default();
    let longer = [ALONE, members].concat();
    drop(body);
    parts.headers.remove(CONTENT_LENGTH);
    let request = Request::from_parts(parts, Body::from(longer));
    let Ok(()) = poll_fn(|cx| Service::<Request<Body>>::poll_ready(&mut endpoint, cx)).await;
    let Ok(counted) = endpoint.call(request).await;
    match counted.status() {
        StatusCode::OK => counted.map(Body::new),
        _ => ([ESTIMATED], Json(json!({"input_tokens": estimate}))).into_response(),
    }
}

/// The estimate for a request, and its body.
async fn estimated(gateway: Gateway, parts: &Parts, body: Body) -> Result<(u64, Bytes), Error> {
    let body = gateway.read_body(parts, body).await?;
    let identity = parts.extensions.get::<Identity>().cloned();
    let length = body.len();
    let estimating = move || Ok((estimate(&gateway, identity.as_ref(), body.clone())?, body));
    off_reactor(length, estimating).await
}

/// The estimate for a request, if its model leads somewhere.
fn estimate(gateway: &Gateway, identity: Option<&Identity>, body: Bytes) -> Result<u64, Error> {
    let options = gateway.read_options();
    let request = LlmRequest::read(Operation::CountTokens, body, options)?;
    gateway.may_ask(identity, request.model())?;
    match gateway.the_router() {
        Some(router) => router.explain(&request).map(drop)?,
        None => {
            let model = request.model();
            if gateway.deployments().load().resolve(model).is_none() {
                return Err(bad("the model does not exist".to_owned())
                    .with_status(StatusCode::NOT_FOUND)
                    .with_code("model_not_found")
                    .with_param("model"));
            }
        }
    }
    Ok(request.estimated_input_tokens())
}

fn bad(message: String) -> Error {
    Error::new(ErrorKind::BadRequest, message)
}

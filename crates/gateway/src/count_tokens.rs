//! How long a prompt in Anthropic's shape is.

use std::future::poll_fn;

use axum::{
    Json,
    body::{Body, Bytes},
    extract::rejection::BytesRejection,
    http::{Request, StatusCode, header::CONTENT_LENGTH, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tower_service::Service;
use ziggurat::{Error, ErrorKind, LlmRequest, LlmResponse, Operation};

use crate::{Endpoint, Gateway, app::shaped, shape::ErrorShape};

/// What is sent with a number that nobody counted.
pub(crate) const ESTIMATED: (&str, &str) = ("x-ziggurat-estimated", "true");

/// What a deployment of another group counts is no answer.
const ALONE: &[u8] = br#"{"disable_fallbacks":true,"#;

/// `POST /v1/messages/count_tokens`: the number that a deployment of the model counts, or our
/// estimate where none does.
pub(crate) async fn count_tokens<S>(
    gateway: Gateway,
    mut endpoint: Endpoint<S>,
    mut parts: Parts,
    body: Result<Bytes, BytesRejection>,
) -> Response
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    S::Future: Send + 'static,
{
    let body = body.map_err(|rejection| bad(rejection.body_text()).with_status(rejection.status()));
    let estimated = body.and_then(|body| Ok((estimate(&gateway, body.clone())?, body)));
    let (estimate, body) = match estimated {
        Ok(estimated) => estimated,
        Err(error) => return shaped(&error, ErrorShape::Anthropic),
    };
    // It is an object, and not an empty one.
    let members = body
        .trim_ascii_start()
        .strip_prefix(b"{")
        .unwrap_or_default();
    let body = [ALONE, members].concat();
    parts.headers.remove(CONTENT_LENGTH);
    let request = Request::from_parts(parts, Body::from(body));
    let Ok(()) = poll_fn(|cx| Service::<Request<Body>>::poll_ready(&mut endpoint, cx)).await;
    let Ok(counted) = endpoint.call(request).await;
    match counted.status() {
        StatusCode::OK => counted.map(Body::new),
        _ => ([ESTIMATED], Json(json!({"input_tokens": estimate}))).into_response(),
    }
}

/// The estimate for a request, if its model leads somewhere.
fn estimate(gateway: &Gateway, body: Bytes) -> Result<u64, Error> {
    let options = gateway.read_options();
    let request = LlmRequest::read(Operation::CountTokens, body, options)?;
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

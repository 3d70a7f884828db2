//! How long a prompt in Anthropic's shape is.

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use ziggurat::{Error, ErrorKind, LlmRequest, Operation};

use crate::{Gateway, app::shaped, shape::ErrorShape};

/// What is sent with a number that nobody counted.
const ESTIMATED: (&str, &str) = ("x-ziggurat-estimated", "true");

/// The member of a body that a model reads beside the conversation.
#[derive(Debug, serde::Deserialize)]
struct Offered {
    #[serde(default)]
    tools: Value,
}

/// `POST /v1/messages/count_tokens`: our estimate, without asking a provider.
pub(crate) async fn count_tokens(
    State(gateway): State<Gateway>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = body.map_err(|rejection| bad(rejection.body_text()).with_status(rejection.status()));
    match body.and_then(|body| estimate(&gateway, body)) {
        Ok(tokens) => ([ESTIMATED], Json(json!({"input_tokens": tokens}))).into_response(),
        Err(error) => shaped(&error, ErrorShape::Anthropic),
    }
}

/// The estimate for a request, if its model leads somewhere.
fn estimate(gateway: &Gateway, body: Bytes) -> Result<u64, Error> {
    let options = gateway.read_options();
    let request = LlmRequest::read(Operation::Messages, body, options)?;
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
    let offered: Offered = serde_json::from_slice(request.body())
        .map_err(|error| bad(format!("the body cannot be read: {error}")))?;
    let tools = match &offered.tools {
        Value::Array(tools) if !tools.is_empty() => offered.tools.to_string().len() as u64,
        _ => 0,
    };
    Ok(request.estimated_input_tokens() + tools.div_ceil(4))
}

fn bad(message: String) -> Error {
    Error::new(ErrorKind::BadRequest, message)
}

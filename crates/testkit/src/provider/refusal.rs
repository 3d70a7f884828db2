use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::Step;

/// The error of a step, with what goes with its status where the step does not say.
pub(super) fn error(step: &Step, name: &str) -> Bytes {
    let fields = &step.error;
    let message = fields.message.clone().unwrap_or_else(|| {
        let status = step.status.as_u16();
        format!("scripted {status} from {name}")
    });
    let (code, kind) = (fields.code.as_deref(), fields.kind.as_deref());
    let error = error_value(step.status, code, kind, &message);
    error.to_string().into()
}

/// An error, with what goes with its status where nothing else is said.
pub(super) fn error_value(
    status: StatusCode,
    code: Option<&str>,
    kind: Option<&str>,
    message: &str,
) -> Value {
    let (usual, usual_code) = match status.as_u16() {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        400..=499 => ("invalid_request_error", None),
        _ => ("server_error", None),
    };
    error_json(message, kind.unwrap_or(usual), code.or(usual_code))
}

pub(super) fn unknown_url(method: &str, path: &str) -> Bytes {
    let message = format!("Invalid URL ({method} {path})");
    invalid(&message)
}

/// What is said of a body that is broken.
pub(super) const NOT_JSON: &str = "We could not parse the JSON body of your request.";

pub(super) fn broken_request() -> Bytes {
    invalid(NOT_JSON)
}

pub(super) fn too_long() -> Bytes {
    invalid("The request is too long.")
}

fn invalid(message: &str) -> Bytes {
    let error = error_json(message, "invalid_request_error", None);
    error.to_string().into()
}

fn error_json(message: &str, kind: &str, code: Option<&str>) -> Value {
    let param = (code == Some("context_length_exceeded")).then_some("messages");
    let error = json!({"message": message, "type": kind, "param": param, "code": code});
    json!({ "error": error })
}

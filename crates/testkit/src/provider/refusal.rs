use bytes::Bytes;
use serde_json::json;

use super::Step;

/// The error of a step, with what goes with its status where the step does not say.
pub(super) fn error(step: &Step, name: &str) -> Bytes {
    let status = step.status.as_u16();
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        404 => ("invalid_request_error", Some("model_not_found")),
        429 => ("requests", Some("rate_limit_exceeded")),
        400..=499 => ("invalid_request_error", None),
        _ => ("server_error", None),
    };
    let fields = &step.error;
    let code = fields.code.as_deref().or(code);
    let message = fields.message.clone();
    error_json(
        &message.unwrap_or_else(|| format!("scripted {status} from {name}")),
        fields.kind.as_deref().unwrap_or(kind),
        code,
    )
}

pub(super) fn unknown_url(method: &str, path: &str) -> Bytes {
    let message = format!("Invalid URL ({method} {path})");
    error_json(&message, "invalid_request_error", None)
}

pub(super) fn broken_request() -> Bytes {
    let message = "We could not parse the JSON body of your request.";
    error_json(message, "invalid_request_error", None)
}

pub(super) fn too_long() -> Bytes {
    error_json("The request is too long.", "invalid_request_error", None)
}

fn error_json(message: &str, kind: &str, code: Option<&str>) -> Bytes {
    let param = (code == Some("context_length_exceeded")).then_some("messages");
    let error = json!({"message": message, "type": kind, "param": param, "code": code});
    json!({ "error": error }).to_string().into()
}

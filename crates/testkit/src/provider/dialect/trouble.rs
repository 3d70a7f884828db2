//! What is wrong, whatever the dialect.

use http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use super::super::Step;

/// What the code of an error says, where dialects have no codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    TooLong,
    Declined,
    Other,
}

/// An error that is to be told.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// That of the step; of one that hides in a success, the status that it would have.
    pub(super) status: StatusCode,
    pub(super) code: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) message: String,
    /// Whether the status says success all the same.
    pub(super) is_hidden: bool,
    /// Seconds.
    pub(super) retry_after: Option<u64>,
    is_worded: bool,
}

/// An error as a dialect tells it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// A header of the step that the dialect does not know.
    pub(super) without: Option<HeaderName>,
    pub(super) body: Value,
    /// The events of a stream in the place of the body.
    pub(super) frames: Option<Vec<super::Frame>>,
}

impl Trouble {
    /// That of a step.
    pub(super) fn of(step: &Step, name: &str) -> Self {
        let fields = &step.error;
        let code = fields.code.as_deref();
        let status = match step.status.is_success() {
            true => status_of(code.or(fields.kind.as_deref())),
            false => step.status,
        };
        let wait = step.headers.iter().find(|(name, _)| name == RETRY_AFTER);
        let wait = wait.and_then(|(_, value)| value.to_str().ok()?.parse().ok());
        let message = fields.message.clone();
        Self {
            status,
            code: fields.code.clone(),
            kind: fields.kind.clone(),
            is_worded: message.is_some(),
            message: message
                .unwrap_or_else(|| format!("scripted {} from {name}", step.status.as_u16())),
            is_hidden: step.status.is_success(),
            retry_after: wait,
        }
    }

    /// One that is told in OpenAI's words.
    pub(super) fn told(error: &Value, name: &str) -> Self {
        let text = |member: &str| error[member].as_str().map(str::to_owned);
        let (code, kind) = (text("code"), text("type"));
        let message = text("message");
        Self {
            status: status_of(code.as_deref().or(kind.as_deref())),
            code,
            kind,
            is_worded: message.is_some(),
            message: message.unwrap_or_else(|| format!("scripted error from {name}")),
            is_hidden: true,
            retry_after: None,
        }
    }

    pub(super) fn why(&self) -> Why {
        match self.code.as_deref() {
            Some("context_length_exceeded") => Why::TooLong,
            Some("content_policy_violation" | "content_filter") => Why::Declined,
            _ => Why::Other,
        }
    }

    /// The message of a dialect that says by words what others say by a code.
    pub(super) fn in_words(&self, too_long: &str, declined: &str) -> String {
        let words = match self.why() {
            Why::TooLong => too_long,
            Why::Declined => declined,
            Why::Other => return self.message.clone(),
        };
        match self.is_worded {
            true => format!("{words}: {}", self.message),
            false => words.to_owned(),
        }
    }
}

/// The status that goes with a code or a type of OpenAI's.
fn status_of(code: Option<&str>) -> StatusCode {
    match code {
        Some("rate_limit_exceeded" | "insufficient_quota") => StatusCode::TOO_MANY_REQUESTS,
        Some("invalid_api_key") => StatusCode::UNAUTHORIZED,
        Some("model_not_found") => StatusCode::NOT_FOUND,
        Some("overloaded" | "unavailable") => StatusCode::SERVICE_UNAVAILABLE,
        Some("context_length_exceeded" | "content_policy_violation" | "invalid_request_error") => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

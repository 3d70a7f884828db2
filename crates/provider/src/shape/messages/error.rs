//! Errors as Anthropic's clients read them.

use serde_json::json;
use ziggurat_core::{Error, ErrorKind};

/// An error as the body that Anthropic's clients read.
///
/// ```
/// # use ziggurat_core::{Error, ErrorKind};
/// # use ziggurat_provider::messages::error_json;
/// let body = error_json(&Error::new(ErrorKind::RateLimited, "slow down"));
/// assert_eq!(
///     body,
///     r#"{"error":{"message":"slow down","type":"rate_limit_error"},"type":"error"}"#,
/// );
/// ```
#[must_use]
pub fn error_json(error: &Error) -> String {
    let body = json!({"type": error_type(error), "message": error.message()});
    json!({"type": "error", "error": body}).to_string()
}

/// The same as the last event of a stream that broke.
#[must_use]
pub fn error_event(error: &Error) -> String {
    format!("event: error\ndata: {}\n\n", error_json(error))
}

fn error_type(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::Budget => "billing_error",
        ErrorKind::RateLimited => "rate_limit_error",
        ErrorKind::Timeout(_) => "timeout_error",
        ErrorKind::Overloaded | ErrorKind::Unavailable => "overloaded_error",
        ErrorKind::BadRequest
        | ErrorKind::ContextWindow
        | ErrorKind::ContentPolicy
        | ErrorKind::Conflict
        | ErrorKind::Unprocessable => match error.status().as_u16() {
            404 => "not_found_error",
            413 => "request_too_large",
            _ => "invalid_request_error",
        },
        _ => match error.status().as_u16() {
            403 => "permission_error",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            400..500 => "invalid_request_error",
            _ => "api_error",
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use ziggurat_core::{Reason, Rejection, Scope};

    use super::*;

    fn read(error: &Error) -> String {
        let body: Value = serde_json::from_str(&error_json(error)).expect("is JSON");
        assert_eq!(body["type"], "error");
        assert_eq!(body["error"]["message"], error.message());
        body["error"]["type"].as_str().expect("is text").to_owned()
    }

    #[test]
    fn every_kind_has_a_type_that_goes_with_its_status() {
        for kind in ErrorKind::ALL {
            let error = Error::new(kind, "x \"y\"");
            let expected: &[&str] = match error.status().as_u16() {
                400 | 409 | 413 | 422 | 499 => &["invalid_request_error"],
                401 => &["authentication_error"],
                403 => &["permission_error"],
                404 => &["not_found_error"],
                408 => &["timeout_error"],
                429 => &["rate_limit_error", "billing_error"],
                500 | 502 => &["api_error"],
                503 => &["overloaded_error", "api_error"],
                status => panic!("{status} has no type"),
            };
            assert!(expected.contains(&read(&error).as_str()), "{kind}");
        }
    }

    #[test]
    fn a_refusal_of_ours_reads_as_its_status() {
        let busy = Rejection::new(Reason::RateLimited, Scope::Request);
        assert_eq!(read(&Error::rejected(busy, "busy")), "rate_limit_error");
        let nobody = Rejection::new(Reason::NoCandidate, Scope::Request);
        assert_eq!(read(&Error::rejected(nobody, "none")), "overloaded_error");
        let not = Rejection::new(Reason::Forbidden, Scope::Request);
        assert_eq!(read(&Error::rejected(not, "not yours")), "permission_error");
        let none = Rejection::new(Reason::Filtered, Scope::Request);
        assert_eq!(
            read(&Error::rejected(none, "none")),
            "invalid_request_error"
        );
    }

    #[test]
    fn the_last_event_of_a_broken_stream_names_itself() {
        let event = error_event(&Error::new(ErrorKind::StreamBroken, "broke"));
        let expected = r#"{"error":{"message":"broke","type":"api_error"},"type":"error"}"#;
        assert_eq!(event, format!("event: error\ndata: {expected}\n\n"));
    }
}

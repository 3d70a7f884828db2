//! Errors as Google's clients read them.

use serde_json::{Value, json};
use ziggurat_core::{Error, ErrorKind};

/// An error as the body that Google's clients read.
///
/// ```
/// # use ziggurat_core::{Error, ErrorKind};
/// # use ziggurat_provider::generate::error_json;
/// let body = error_json(&Error::new(ErrorKind::NotFound, "no such model"));
/// assert_eq!(
///     body,
///     r#"{"error":{"code":404,"message":"no such model","status":"NOT_FOUND"}}"#,
/// );
/// ```
#[must_use]
pub fn error_json(error: &Error) -> String {
    let mut body = json!({
        "code": error.status().as_u16(),
        "message": error.message(),
        "status": status(error),
    });
    if let Some(details) = details(error) {
        body["details"] = details;
    }
    json!({ "error": body }).to_string()
}

/// The same as the last event of a stream that broke.
#[must_use]
pub fn error_event(error: &Error) -> String {
    format!("data: {}\r\n\r\n", error_json(error))
}

/// Google's name of a status.
fn status(error: &Error) -> &'static str {
    match (error.kind(), error.status().as_u16()) {
        (ErrorKind::Timeout(_), _) | (_, 408 | 504) => "DEADLINE_EXCEEDED",
        (_, 401) => "UNAUTHENTICATED",
        (_, 403) => "PERMISSION_DENIED",
        (_, 404) => "NOT_FOUND",
        (_, 409) => "ABORTED",
        (_, 429) => "RESOURCE_EXHAUSTED",
        (_, 499) => "CANCELLED",
        (_, 501) => "UNIMPLEMENTED",
        (_, 502 | 503) => "UNAVAILABLE",
        (_, 400..=499) => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

/// When to come back, where that is known.
fn details(error: &Error) -> Option<Value> {
    let after = error.retry_after()?;
    if !matches!(error.status().as_u16(), 429 | 503) || error.kind() == ErrorKind::Budget {
        return None;
    }
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    Some(json!([{
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": format!("{seconds}s"),
    }]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(error: &Error) -> Value {
        let body: Value = serde_json::from_str(&error_json(error)).expect("is JSON");
        assert_eq!(body["error"]["message"], error.message());
        assert_eq!(body["error"]["code"], error.status().as_u16());
        body["error"].clone()
    }

    #[test]
    fn every_kind_has_a_name_that_goes_with_its_status() {
        for kind in ErrorKind::ALL {
            let error = Error::new(kind, "x \"y\"");
            let expected = match error.status().as_u16() {
                400 | 413 | 422 => "INVALID_ARGUMENT",
                401 => "UNAUTHENTICATED",
                403 => "PERMISSION_DENIED",
                404 => "NOT_FOUND",
                408 => "DEADLINE_EXCEEDED",
                409 => "ABORTED",
                429 => "RESOURCE_EXHAUSTED",
                499 => "CANCELLED",
                500 => "INTERNAL",
                502 | 503 => "UNAVAILABLE",
                status => panic!("{status} has no name"),
            };
            assert_eq!(read(&error)["status"], expected, "{kind}");
        }
    }

    #[test]
    fn how_long_to_wait_is_in_the_details() {
        let limited = Error::new(ErrorKind::RateLimited, "slow down");
        assert!(read(&limited).get("details").is_none());
        let limited = limited.with_retry_after(Duration::from_millis(6_100));
        assert_eq!(read(&limited)["details"][0]["retryDelay"], "7s");
    }

    #[test]
    fn the_last_event_of_a_broken_stream_begins_with_the_error() {
        let event = error_event(&Error::new(ErrorKind::StreamBroken, "broke"));
        assert!(event.starts_with("data: {\"error\":{") && event.ends_with("}\r\n\r\n"));
    }
}

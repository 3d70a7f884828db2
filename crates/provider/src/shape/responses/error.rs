//! The event with which a stream breaks off.

use serde_json::json;
use ziggurat_core::Error;

/// An error as the last event of a stream of Responses that broke.
///
/// Its members stand in an object of their own, as OpenAI sends it, and beside it, as OpenAI
/// documents it: clients read the one or the other. A whole error is
/// [that of OpenAI](Error::to_json) for Responses too.
///
/// ```
/// # use ziggurat_core::{Error, ErrorKind};
/// # use ziggurat_provider::responses::error_event;
/// let event = error_event(&Error::new(ErrorKind::RateLimited, "slow down"));
/// assert!(event.starts_with("event: error\ndata: {"));
/// assert!(event.contains(r#""message":"slow down""#));
/// ```
#[must_use]
pub fn error_event(error: &Error) -> String {
    let event = json!({
        "type": "error",
        "sequence_number": 0,
        "code": error.code(),
        "message": error.message(),
        "param": error.param(),
        "error": {
            "type": error.error_type(),
            "code": error.code(),
            "message": error.message(),
            "param": error.param(),
        },
    });
    format!("event: error\ndata: {event}\n\n")
}

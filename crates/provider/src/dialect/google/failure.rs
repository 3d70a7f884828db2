//! How long a refusal is to last.

use std::time::Duration;

use serde_json::Value;
use ziggurat_core::{Error, ErrorKind};

/// A quota of a day that is used up is not looked at again before that, whatever else is said: the
/// wait that comes with it is that of another quota.
const NEXT_LOOK: Duration = Duration::from_secs(3600);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The same failure with the wait that its details ask for.
pub(super) fn with_wait(error: Error, body: &[u8]) -> Error {
    let kind = error.kind();
    if !matches!(
        kind,
        ErrorKind::RateLimited | ErrorKind::Overloaded | ErrorKind::Unavailable
    ) {
        return error;
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return error;
    };
    // The body of a stream may be a list.
    let body = body.get(0).unwrap_or(&body);
    let details = body.pointer("/error/details").and_then(Value::as_array);
    let details = details.map(Vec::as_slice).unwrap_or_default();
    let delay = details
        .iter()
        .find_map(|detail| seconds(detail["retryDelay"].as_str()?));
    let is_of_day = |violation: &Value| {
        let quota = violation["quotaId"].as_str();
        quota.is_some_and(|quota| quota.contains("PerDay"))
    };
    let violations = details
        .iter()
        .filter_map(|detail| detail["violations"].as_array());
    let of_day = violations.flatten().any(is_of_day).then_some(NEXT_LOOK);
    match delay.max(of_day) {
        Some(wait) => error.with_retry_after(wait.min(LONGEST)),
        None => error,
    }
}

/// A duration as protocol buffers write it in JSON: `34.4s`.
fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wait(details: &Value) -> Option<Duration> {
        let error = Error::new(ErrorKind::RateLimited, "no");
        let body = json!([{"error": {"code": 429, "details": details}}]).to_string();
        with_wait(error, body.as_bytes()).retry_after()
    }

    #[test]
    fn the_wait_is_in_the_details() {
        let info =
            json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.4s"});
        assert_eq!(
            wait(&json!([{}, info])),
            Some(Duration::from_millis(34_400))
        );
        assert_eq!(wait(&json!([{"retryDelay": "soon"}])), None);
        assert_eq!(
            wait(&json!([{"retryDelay": "-1s"}, {"retryDelay": "9e9s"}])),
            Some(LONGEST)
        );
        let day = json!({"violations": [{"quotaId": "RequestsPerDayPerProject"}]});
        assert_eq!(wait(&json!([info, day])), Some(NEXT_LOOK));
    }

    #[test]
    fn only_what_passes_has_a_wait() {
        let error = Error::new(ErrorKind::BadRequest, "no");
        let body = json!({"error": {"details": [{"retryDelay": "3s"}]}}).to_string();
        assert_eq!(with_wait(error, body.as_bytes()).retry_after(), None);
    }
}

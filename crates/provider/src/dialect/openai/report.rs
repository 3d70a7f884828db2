//! The shapes in which OpenAI, and the servers that follow it, report an error.

use http::StatusCode;
use serde_json::{Map, Value};
use ziggurat_core::Deployment;

use crate::secrets::Secrets;

/// How much of a message is kept.
const MAX_MESSAGE: usize = 4096;
/// How much is shown of a body that has no message.
const MAX_EXCERPT: usize = 300;

/// What an error body says, in one shape.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) message: Option<String>,
    pub(super) error_type: Option<String>,
    pub(super) code: Option<String>,
    /// A finer code beneath the code, or a name of the status.
    pub(super) detail: Option<String>,
    pub(super) param: Option<String>,
    /// The status that the body itself names.
    pub(super) status: Option<StatusCode>,
}

impl Report {
    /// Reads a body of any kind. A credential of the deployment that it repeats is blotted out.
    pub(super) fn read(body: &[u8], deployment: &Deployment) -> Self {
        let mut report = match serde_json::from_slice(body) {
            Ok(Value::Object(body)) => Self::of_object(&body),
            // Google's servers wrap it into a list.
            Ok(Value::Array(list)) => match list.first() {
                Some(Value::Object(body)) => Self::of_object(body),
                _ => Self::default(),
            },
            _ => Self::default(),
        };
        let bare = report.message.is_none();
        if bare {
            report.message = readable(body);
        }
        let secrets = Secrets::of(deployment);
        for text in report.texts() {
            let max = if bare { MAX_EXCERPT } else { MAX_MESSAGE };
            make_safe(text, max, &secrets);
        }
        report
    }

    fn of_object(body: &Map<String, Value>) -> Self {
        let inner = body.get("error");
        let error = inner.and_then(Value::as_object).unwrap_or(body);
        let mut message = words(error.get("message"))
            .or_else(|| words(inner.filter(|inner| !inner.is_object())))
            .or_else(|| words(body.get("detail")));
        let raw = error
            .get("metadata")
            .and_then(|metadata| text(metadata.get("raw")));
        if let (Some(message), Some(raw)) = (&mut message, raw) {
            message.push_str(": ");
            message.push_str(&raw);
        }
        Self {
            message,
            // The second is Cohere's.
            error_type: text(error.get("type")).or_else(|| text(error.get("error_type"))),
            code: text(error.get("code")).filter(|code| {
                code.parse::<u16>()
                    .map_or(true, |code| status(code).is_none())
            }),
            detail: text(error.get("innererror").and_then(|inner| inner.get("code")))
                .or_else(|| reason(error.get("details")))
                .or_else(|| text(error.get("status"))),
            param: text(error.get("param")),
            status: ["status_code", "status", "raw_status_code", "code"]
                .into_iter()
                .find_map(|key| match error.get(key)? {
                    Value::Number(number) => status(number.as_u64()?.try_into().ok()?),
                    Value::String(number) => status(number.parse().ok()?),
                    _ => None,
                }),
        }
    }

    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        [
            &mut self.message,
            &mut self.error_type,
            &mut self.code,
            &mut self.detail,
            &mut self.param,
        ]
        .into_iter()
        .flatten()
    }
}

/// What a provider says, fit for an error: a credential in it is blotted out, and it is bounded.
pub(super) fn quoted(mut text: String, deployment: &Deployment) -> String {
    make_safe(&mut text, MAX_MESSAGE, &Secrets::of(deployment));
    text
}

fn make_safe(text: &mut String, max: usize, secrets: &Secrets) {
    secrets.blot(text);
    text.truncate(text.floor_char_boundary(max));
}

fn status(code: u16) -> Option<StatusCode> {
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| status.is_client_error() || status.is_server_error())
}

fn text(value: Option<&Value>) -> Option<String> {
    value?
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// What Google's details say is the reason, which is finer than its status.
fn reason(details: Option<&Value>) -> Option<String> {
    let mut details = details?.as_array()?.iter();
    details.find_map(|detail| text(detail.get("reason")))
}

/// A text, or the JSON of whatever stands in its place.
fn words(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(_) => text(value),
        other => Some(other.to_string()),
    }
}

/// The beginning of a body on one line, without control characters.
fn readable(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_MESSAGE)]);
    let words: Vec<_> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Secret;

    use super::*;

    fn read(body: &str) -> Report {
        Report::read(body.as_bytes(), &Deployment::new("a", "gpt", "m"))
    }

    #[test]
    fn every_shape_gives_its_message_and_code() {
        for (body, message, code, status) in [
            (
                r#"{"error":{"message":"no","type":"t","param":"p","code":"c"}}"#,
                "no",
                Some("c"),
                None,
            ),
            (
                r#"{"error":{"message":"no","code":429}}"#,
                "no",
                None,
                Some(429),
            ),
            (
                r#"{"error":{"message":"no","code":"404"}}"#,
                "no",
                None,
                Some(404),
            ),
            (
                r#"{"object":"error","message":"no","code":"1300","raw_status_code":429}"#,
                "no",
                Some("1300"),
                Some(429),
            ),
            (
                r#"{"code":"invalid-argument","error":"no"}"#,
                "no",
                Some("invalid-argument"),
                None,
            ),
            (r#"{"error":"no"}"#, "no", None, None),
            (r#"{"detail":"no"}"#, "no", None, None),
            (
                r#"{"detail":[{"msg":"no"}]}"#,
                r#"[{"msg":"no"}]"#,
                None,
                None,
            ),
            (
                r#"[{"error":{"message":"no","code":503,"status":"UNAVAILABLE"}}]"#,
                "no",
                None,
                Some(503),
            ),
            (
                r#"{"error":{"message":"failed","code":400,"metadata":{"raw":"no"}}}"#,
                "failed: no",
                None,
                Some(400),
            ),
            (
                "<html>\r\n<b>bad\u{1b}gateway</b>",
                "<html> <b>bad gateway</b>",
                None,
                None,
            ),
        ] {
            let report = read(body);
            assert_eq!(report.message.as_deref(), Some(message), "{body}");
            assert_eq!(report.code.as_deref(), code, "{body}");
            assert_eq!(
                report.status.map(|status| status.as_u16()),
                status,
                "{body}"
            );
        }
        assert_eq!(read("  \n").message, None);
    }

    #[test]
    fn a_message_is_bounded_at_a_whole_character() {
        let long = read(&format!(
            r#"{{"error":{{"message":"{}"}}}}"#,
            "ä".repeat(5_000)
        ));
        assert_eq!(long.message.expect("is there").len(), MAX_MESSAGE);
        let page = read(&"ü x".repeat(5_000));
        assert!(page.message.expect("is there").len() <= MAX_EXCERPT);
    }

    #[test]
    fn a_credential_that_comes_back_is_blotted_out() {
        let deployment = Deployment::new("a", "gpt", "m")
            .with_credential(Secret::new("sk-canary\n"))
            .with_header("api-key", "second-canary")
            .with_param("client_secret", Secret::new("third-canary"));
        let body = br#"{"error":{"message":"wrong: sk-canary, second-canary, third-canary","code":"sk-canary"}}"#;
        let report = Report::read(body, &deployment);
        assert_eq!(report.message.as_deref(), Some("wrong: ***, ***, ***"));
        assert_eq!(report.code.as_deref(), Some("***"));
    }
}

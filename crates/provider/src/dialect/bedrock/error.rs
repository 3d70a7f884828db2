//! What Bedrock says when it fails, in the shape that the one table of errors reads.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use ziggurat_core::{Deployment, Error};

use super::frame::Frame;
use crate::dialect::openai;

/// The error that an answer with a status other than success stands for.
pub(super) fn failure(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    deployment: &Deployment,
    now: SystemTime,
) -> Error {
    let fields: Option<Map<String, Value>> = serde_json::from_slice(body).ok();
    let header = headers.get("x-amzn-errortype");
    let header = header.and_then(|value| value.to_str().ok());
    let written = fields.as_ref().and_then(|fields| {
        let kind = fields.get("__type").or_else(|| fields.get("code"));
        kind.and_then(Value::as_str)
    });
    let (Some(kind), Some(fields)) = (header.or(written).map(name), &fields) else {
        return openai::failure(status, headers, body, deployment, now);
    };
    let report = report(kind, message(fields));
    openai::failure(status, headers, &report, deployment, now)
}

/// The error that a frame tells, if it does: the stream has ended then.
pub(super) fn in_frame(frame: &Frame, deployment: &Deployment) -> Option<Error> {
    let header = |name| frame.header(name).unwrap_or_default();
    let (kind, said) = match header(":message-type") {
        "exception" => (header(":exception-type"), None),
        "error" => (header(":error-code"), frame.header(":error-message")),
        _ => return None,
    };
    let fields: Map<String, Value> = serde_json::from_slice(&frame.payload).unwrap_or_default();
    let report = report(name(kind), message(&fields).or(said));
    Some(openai::in_band(&report, deployment))
}

/// The name of an exception, without the namespaces before `#` and behind `:`.
fn name(kind: &str) -> &str {
    let kind = kind.rsplit('#').next().unwrap_or(kind);
    kind.split(':').next().unwrap_or(kind).trim()
}

fn message(fields: &Map<String, Value>) -> Option<&str> {
    let message = fields.get("message").or_else(|| fields.get("Message"));
    message.and_then(Value::as_str)
}

fn report(kind: &str, message: Option<&str>) -> Vec<u8> {
    let error = json!({"error": {"code": kind, "message": message}});
    error.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use ziggurat_core::{Clock, ErrorKind, Secret};

    use super::{
        super::frame::{Frames, frame},
        *,
    };

    fn deployment() -> Deployment {
        Deployment::new("a", "gpt", "m")
            .with_param("aws_secret_access_key", Secret::new("secret-canary"))
            .with_param("aws_session_token", Secret::new("token-canary\n"))
    }

    fn of(status: u16, kind: Option<&'static str>, body: &str) -> Error {
        let kind = kind.map(|kind| ("x-amzn-errortype", HeaderValue::from_static(kind)));
        let headers = kind.map(|(name, value)| (name.parse().expect("is a name"), value));
        let headers = HeaderMap::from_iter(headers);
        let status = StatusCode::from_u16(status).expect("is a status");
        let now = SystemTime::UNIX_EPOCH;
        failure(status, &headers, body.as_bytes(), &deployment(), now)
    }

    #[test]
    fn every_exception_has_its_kind() {
        use ErrorKind::*;
        let timeout = Timeout(Clock::Attempt);
        for (status, kind, message, expected) in [
            (403, "UnrecognizedClientException", "x", Authentication),
            (403, "ExpiredTokenException:http://x/", "x", Authentication),
            (
                403,
                "InvalidSignatureException",
                "Signature expired",
                Authentication,
            ),
            (403, "IncompleteSignature", "x", Authentication),
            (403, "AccessDeniedException:http://x/", "x", Permission),
            (
                400,
                "ValidationException",
                "The provided model identifier is invalid.",
                NotFound,
            ),
            (
                400,
                "ValidationException",
                "Invocation of model ID x with on-demand throughput isn't supported.",
                NotFound,
            ),
            (
                400,
                "ValidationException",
                "Input is too long for requested model.",
                ContextWindow,
            ),
            (
                400,
                "ValidationException",
                "The model returned the following errors: prompt is too long: 9 tokens > 8 maximum",
                ContextWindow,
            ),
            (
                400,
                "ValidationException",
                "Malformed input request: #: extraneous key",
                BadRequest,
            ),
            (404, "ResourceNotFoundException", "x", NotFound),
            (408, "ModelTimeoutException", "x", timeout),
            (424, "ModelErrorException", "x", Internal),
            (
                429,
                "ThrottlingException:http://x/",
                "Too many tokens, please wait",
                RateLimited,
            ),
            (429, "ModelNotReadyException", "x", Unavailable),
            (400, "ServiceQuotaExceededException", "x", RateLimited),
            (500, "InternalServerException", "x", Internal),
            (503, "ServiceUnavailableException", "x", Unavailable),
        ] {
            let body = json!({"message": message}).to_string();
            let error = of(status, Some(kind), &body);
            assert_eq!(error.kind(), expected, "{kind}: {message}");
            assert_eq!(error.message(), message);
            let body = json!({"__type": format!("com.amazon#{kind}"), "Message": message});
            assert_eq!(of(status, None, &body.to_string()).kind(), expected);
        }
    }

    #[test]
    fn a_failure_that_is_not_bedrocks_is_read_as_any_other() {
        let error = of(502, None, "<html>bad gateway</html>");
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(error.message(), "<html>bad gateway</html>");
        let error = of(429, None, r#"{"message":"slow down"}"#);
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::RateLimited, "slow down")
        );
        let error = of(503, Some("ServiceUnavailableException"), "[]");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn keys_that_are_repeated_are_blotted_out() {
        let message = "the canonical string was 'x-amz-security-token:token-canary secret-canary'";
        let body = json!({ "message": message }).to_string();
        let error = of(403, Some("InvalidSignatureException"), &body);
        assert!(!format!("{error:?}").contains("canary"), "{error}");
        let error = in_stream("validationException", &body);
        assert!(!format!("{error:?}").contains("canary"), "{error}");
    }

    #[test]
    fn an_exception_in_a_stream_has_the_kind_of_its_name() {
        use ErrorKind::*;
        for (kind, message, expected) in [
            (
                "throttlingException",
                "Too many tokens, please wait",
                RateLimited,
            ),
            (
                "validationException",
                "Input is too long for requested model.",
                ContextWindow,
            ),
            ("validationException", "no", BadRequest),
            ("serviceUnavailableException", "no", Unavailable),
            ("internalServerException", "no", Internal),
            ("modelStreamErrorException", "no", Internal),
            ("modelTimeoutException", "no", Timeout(Clock::Attempt)),
            ("InternalFailure", "no", Internal),
            ("somethingNew", "no", BadAnswer),
        ] {
            let payload = json!({"message": message, "originalStatusCode": 424}).to_string();
            let error = in_stream(kind, &payload);
            assert_eq!(
                (error.kind(), error.message()),
                (expected, message),
                "{kind}"
            );
            let headers = [
                (":message-type", "error"),
                (":error-code", kind),
                (":error-message", message),
            ];
            let error = in_frame(&read(&frame(&headers, b"")), &deployment()).expect("fails");
            assert_eq!(
                (error.kind(), error.message()),
                (expected, message),
                "{kind}"
            );
        }
        let event = frame(&[(":message-type", "event"), (":event-type", "x")], b"{}");
        assert!(in_frame(&read(&event), &deployment()).is_none());
    }

    fn in_stream(kind: &str, payload: &str) -> Error {
        let headers = [(":message-type", "exception"), (":exception-type", kind)];
        let frame = read(&frame(&headers, payload.as_bytes()));
        in_frame(&frame, &deployment()).expect("fails")
    }

    fn read(bytes: &[u8]) -> Frame {
        let mut frames = Frames::default();
        frames.push(bytes);
        frames.next().expect("is not damaged").expect("is whole")
    }
}

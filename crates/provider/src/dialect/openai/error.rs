//! What an error answer means: status, code and wording to a kind.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use ziggurat_core::{Blame, Clock, Deployment, Error, ErrorKind};

use super::report::Report;
use crate::retry_after;

/// The error that an answer with a status other than success stands for.
pub(crate) fn failure(
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    deployment: &Deployment,
    now: SystemTime,
) -> Error {
    let report = Report::read(body, deployment);
    let kind = kind(Some(status), &report);
    let error = build(kind, Some(status), &report, headers, now);
    let final_word = headers
        .get("x-should-retry")
        .is_some_and(|value| value == "false");
    // What another credential or deployment may well serve is not final for a router.
    let elsewhere = matches!(kind, ErrorKind::RateLimited | ErrorKind::NotFound);
    if final_word && !elsewhere && kind.rule().blame != Blame::Credential {
        return error.with_replayable(false);
    }
    error
}

/// The error that stands inside a success, whole or in a stream.
pub(crate) fn in_band(body: &[u8], deployment: &Deployment) -> Error {
    let report = Report::read(body, deployment);
    let kind = kind(report.status, &report);
    build(
        kind,
        report.status,
        &report,
        &HeaderMap::new(),
        SystemTime::UNIX_EPOCH,
    )
}

fn build(
    kind: ErrorKind,
    status: Option<StatusCode>,
    report: &Report,
    headers: &HeaderMap,
    now: SystemTime,
) -> Error {
    let said = report.message.as_deref().unwrap_or_default();
    let message = match status {
        _ if !said.is_empty() => said.to_owned(),
        Some(status) => format!("the provider answered with status {}", status.as_u16()),
        None => "the provider answered with an error".to_owned(),
    };
    let limited = kind == ErrorKind::RateLimited;
    let retry_after = retry_after::wanted(headers, said, limited, now);
    let mut error = Error::new(kind, message);
    if let Some(wait) = retry_after {
        error = error.with_retry_after(wait);
    }
    if limited {
        let limits = retry_after::limits(headers, Instant::now(), now);
        error = error.with_provider_limits(limits);
    }
    if let Some(param) = &report.param {
        error = error.with_param(param.as_str());
    }
    // A recognised kind speaks with the status and code that clients of OpenAI know.
    if matches!(kind, ErrorKind::ContextWindow | ErrorKind::ContentPolicy) {
        return error;
    }
    if let Some(code) = &report.code {
        error = error.with_code(code.as_str());
    }
    if let Some(error_type) = &report.error_type {
        error = error.with_type(error_type.as_str());
    }
    match status {
        Some(status)
            if status != StatusCode::PAYMENT_REQUIRED
                && (by_status(status, said) == kind || kind == ErrorKind::BadAnswer) =>
        {
            error.with_status(status)
        }
        _ => error,
    }
}

/// The kind: what the code says, else what the words say, else what the status says.
fn kind(status: Option<StatusCode>, report: &Report) -> ErrorKind {
    let message = report
        .message
        .as_deref()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let codes = [&report.code, &report.detail, &report.error_type];
    let codes = || {
        codes
            .into_iter()
            .flatten()
            .map(|code| code.to_ascii_lowercase())
    };
    codes()
        .find_map(|code| by_code(&code))
        .or_else(|| by_words(status, &message, report.param.as_deref()))
        .or_else(|| status.map(|status| by_status(status, &message)))
        .or_else(|| codes().find_map(|code| by_vague_code(&code)))
        .unwrap_or(ErrorKind::BadAnswer)
}

/// Codes and types that say what happened whatever the status is.
fn by_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "context_length_exceeded"
        | "context_window_exceeded"
        | "exceed_context_size_error"
        | "too_many_prompt_tokens"
        | "too_many_tokens"
        | "request_too_large" => ErrorKind::ContextWindow,
        "content_policy_violation"
        | "content_filter"
        | "moderation_blocked"
        | "image_content_policy_violation"
        | "invalid_prompt"
        | "responsibleaipolicyviolation" => ErrorKind::ContentPolicy,
        "rate_limit_exceeded"
        | "rate_limit_error"
        | "rate_limited"
        | "ratelimitreached"
        | "model_rate_limit"
        | "too_many_requests"
        | "resource_exhausted"
        | "insufficient_quota"
        | "billing_hard_limit_reached"
        | "billing_error"
        | "credit_limit"
        | "throttlingexception"
        | "servicequotaexceededexception"
        | "1300" => ErrorKind::RateLimited,
        "invalid_api_key"
        | "authentication_error"
        | "account_deactivated"
        | "unauthenticated"
        | "api_key_invalid"
        | "unrecognizedclientexception"
        | "expiredtokenexception"
        | "expiredtoken"
        | "invalidsignatureexception"
        | "incompletesignature"
        | "incompletesignatureexception"
        | "missingauthenticationtoken"
        | "missingauthenticationtokenexception" => ErrorKind::Authentication,
        "permission_error"
        | "failed_precondition"
        | "unsupported_country_region_territory"
        | "accessdeniedexception" => ErrorKind::Permission,
        "model_not_found"
        | "deploymentnotfound"
        | "notfounderror"
        | "not_found_error"
        | "resourcenotfoundexception" => ErrorKind::NotFound,
        "overloaded_error" | "engine_overloaded" => ErrorKind::Overloaded,
        "insufficient_system_resource"
        | "modelnotreadyexception"
        | "serviceunavailableexception" => ErrorKind::Unavailable,
        "modeltimeoutexception" | "deadline_exceeded" => ErrorKind::Timeout(Clock::Attempt),
        "internalfailure"
        | "internalserverexception"
        | "modelerrorexception"
        | "modelstreamerrorexception" => ErrorKind::Internal,
        // The model called a tool in a way that cannot be passed on; the next try may not.
        "tool_use_failed" => ErrorKind::BadAnswer,
        _ => return None,
    })
}

/// Codes and types that count only where no status says it better.
fn by_vague_code(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "server_error"
        | "internal_error"
        | "internal_server_error"
        | "internalservererror"
        | "internal"
        | "api_error" => ErrorKind::Internal,
        "service_unavailable" | "unavailable" => ErrorKind::Unavailable,
        "timeout" | "request_timeout" | "timeout_error" => ErrorKind::Timeout(Clock::Attempt),
        "requests" | "tokens" => ErrorKind::RateLimited,
        "permission_denied" => ErrorKind::Permission,
        "invalid_request_error" | "badrequesterror" | "validationexception" => {
            ErrorKind::BadRequest
        }
        // Those of Responses, of images that cannot be read.
        "invalid_image"
        | "invalid_image_format"
        | "invalid_image_mode"
        | "invalid_image_url"
        | "invalid_base64_image"
        | "image_parse_error"
        | "image_too_large"
        | "image_too_small"
        | "image_file_too_large"
        | "image_file_not_found"
        | "empty_image_file"
        | "failed_to_download_image"
        | "unsupported_image_media_type" => ErrorKind::BadRequest,
        _ => return None,
    })
}

/// Wordings of servers that have no code for it.
const TOO_LONG: &[&str] = &[
    "maximum context length",
    "model's context length",
    "exceeds the context window",
    "exceeds the context length",
    "exceeded max context length",
    "exceeds the available context size",
    "exceed context limit",
    "prompt is too long",
    "input is too long",
    "input tokens exceeded",
    "input tokens exceed the configured limit",
    "too many input tokens",
    "too many tokens",
    "exceeds the maximum number of tokens allowed",
    "request payload size exceeds",
    "expected maxlength",
    "`inputs` tokens + `max_new_tokens` must be",
];

const POLICY: &[&str] = &[
    "violating our usage policy",
    "violates usage guidelines",
    "our safety system",
    "content management policy",
    "content filtering policy",
];

/// Bedrock's.
const NO_MODEL: &[&str] = &[
    "model identifier is invalid",
    "with on-demand throughput isn",
];

const UNPAID: &[&str] = &["credit balance is too low"];

const BAD_KEY: &[&str] = &[
    "incorrect api key",
    "invalid api key",
    "api key not valid",
    "unregistered callers",
];

fn by_words(status: Option<StatusCode>, message: &str, param: Option<&str>) -> Option<ErrorKind> {
    // Where the status says more than "bad request", it says it better than any word.
    if !matches!(
        status.map(|status| status.as_u16()),
        None | Some(400 | 403 | 413 | 422)
    ) {
        return None;
    }
    let any = |words: &[&str]| words.iter().any(|words| message.contains(words));
    let both = |one, other| message.contains(one) && message.contains(other);
    let too_long = any(TOO_LONG)
        || both("maximum input length is", "tokens")
        || both("current length is", "while limit is")
        || (message.contains("string too long. expected a string with maximum length")
            && param != Some("user"));
    if too_long {
        Some(ErrorKind::ContextWindow)
    } else if any(POLICY) || both("temporarily blocked", "content policy") {
        Some(ErrorKind::ContentPolicy)
    } else if any(UNPAID) {
        Some(ErrorKind::RateLimited)
    } else if any(BAD_KEY) {
        Some(ErrorKind::Authentication)
    } else if any(NO_MODEL) {
        Some(ErrorKind::NotFound)
    } else {
        None
    }
}

fn by_status(status: StatusCode, message: &str) -> ErrorKind {
    let starved = || {
        let message = message.to_ascii_lowercase();
        message.contains("overloaded") || message.contains("capacity")
    };
    match status.as_u16() {
        // A redirect is not followed: it would take the credential along.
        300..=399 => ErrorKind::BadAnswer,
        401 => ErrorKind::Authentication,
        402 | 429 => ErrorKind::RateLimited,
        403 | 451 => ErrorKind::Permission,
        404 | 405 | 410 => ErrorKind::NotFound,
        408 | 504 | 524 => ErrorKind::Timeout(Clock::Attempt),
        409 => ErrorKind::Conflict,
        422 => ErrorKind::Unprocessable,
        498 | 529 => ErrorKind::Overloaded,
        425 | 499 | 520..=530 => ErrorKind::Unavailable,
        400..=499 => ErrorKind::BadRequest,
        500 | 503 if starved() => ErrorKind::Overloaded,
        503 => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use proptest::prelude::*;
    use ziggurat_core::Secret;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn of(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).expect("is a status");
        let deployment = Deployment::new("a", "gpt", "m");
        failure(status, &HeaderMap::new(), body.as_bytes(), &deployment, NOW)
    }

    fn openai(code: &str, message: &str) -> String {
        format!(
            r#"{{"error":{{"message":"{message}","type":"invalid_request_error","param":null,"code":{code}}}}}"#
        )
    }

    #[test]
    fn a_status_alone_gives_a_kind_and_stays() {
        use ErrorKind::*;
        for (status, kind, out) in [
            (301, BadAnswer, 502),
            (400, BadRequest, 400),
            (401, Authentication, 401),
            (402, RateLimited, 429),
            (403, Permission, 403),
            (404, NotFound, 404),
            (408, Timeout(Clock::Attempt), 408),
            (409, Conflict, 409),
            (413, BadRequest, 413),
            (418, BadRequest, 418),
            (422, Unprocessable, 422),
            (429, RateLimited, 429),
            (500, Internal, 500),
            (502, Internal, 502),
            (503, Unavailable, 503),
            (504, Timeout(Clock::Attempt), 504),
            (521, Unavailable, 503),
            (529, Overloaded, 503),
        ] {
            let error = of(status, "");
            assert_eq!(
                (error.kind(), error.status().as_u16()),
                (kind, out),
                "{status}"
            );
            assert_eq!(
                error.message(),
                format!("the provider answered with status {status}")
            );
        }
    }

    #[test]
    fn codes_say_more_than_a_status() {
        use ErrorKind::*;
        for (status, code, kind, out) in [
            (400, r#""context_length_exceeded""#, ContextWindow, 400),
            (400, r#""content_policy_violation""#, ContentPolicy, 400),
            (400, r#""invalid_prompt""#, ContentPolicy, 400),
            (400, r#""model_not_found""#, NotFound, 404),
            (400, r#""invalid_type""#, BadRequest, 400),
            (400, r#""tool_use_failed""#, BadAnswer, 400),
            (413, r#""rate_limit_exceeded""#, RateLimited, 429),
            (429, r#""insufficient_quota""#, RateLimited, 429),
        ] {
            let error = of(status, &openai(code, "no"));
            assert_eq!(
                (error.kind(), error.status().as_u16()),
                (kind, out),
                "{code}"
            );
        }
    }

    #[test]
    fn wordings_of_servers_without_codes_are_known() {
        for message in [
            "This model's maximum context length is 8192 tokens. However, you requested 9000",
            "The input (9000 tokens) is longer than the model's context length (8192 tokens).",
            "prompt too long; exceeded max context length by 7 tokens",
            "Please reduce the length of the messages: current length is 9000 while limit is 8192",
        ] {
            let error = of(400, &openai("400", message));
            assert_eq!(
                (error.kind(), error.code()),
                (ErrorKind::ContextWindow, "context_length_exceeded"),
                "{message}"
            );
        }
        assert_eq!(
            of(429, &openai("null", "Too many tokens for team")).kind(),
            ErrorKind::RateLimited
        );
        assert_eq!(
            of(400, &openai("null", "Incorrect API key provided")).kind(),
            ErrorKind::Authentication
        );
        assert_eq!(
            of(
                400,
                &openai("null", "Your credit balance is too low to access the API")
            )
            .kind(),
            ErrorKind::RateLimited
        );
        assert_eq!(
            of(503, &openai("null", "The engine is currently overloaded")).kind(),
            ErrorKind::Overloaded
        );
    }

    #[test]
    fn the_providers_own_words_reach_the_client() {
        let body = r#"{"error":{"message":"Bad 'x'.","type":"invalid_request_error","param":"x","code":"invalid_value"}}"#;
        assert_eq!(of(400, body).to_json(), body);
    }

    #[test]
    fn an_error_without_a_status_is_classified_by_whatever_it_has() {
        let deployment = Deployment::new("a", "gpt", "m");
        let kind = |body: &str| in_band(body.as_bytes(), &deployment).kind();
        assert_eq!(
            kind(r#"{"error":{"code":502,"message":"x"}}"#),
            ErrorKind::Internal
        );
        assert_eq!(
            kind(r#"{"error":{"type":"server_error","message":"x"}}"#),
            ErrorKind::Internal
        );
        assert_eq!(
            kind(r#"{"error":{"type":"invalid_request_error","message":"x"}}"#),
            ErrorKind::BadRequest
        );
        assert_eq!(
            kind(r#"{"error":{"type":"tokens","code":"rate_limit_exceeded"}}"#),
            ErrorKind::RateLimited
        );
        assert_eq!(
            kind(r#"{"error":{"message":"something"}}"#),
            ErrorKind::BadAnswer
        );
        assert_eq!(kind("not JSON"), ErrorKind::BadAnswer);
    }

    #[test]
    fn a_provider_may_forbid_another_try_but_not_a_try_elsewhere() {
        let mut headers = HeaderMap::new();
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
        let deployment = Deployment::new("a", "gpt", "m");
        let replayable = |status| failure(status, &headers, b"", &deployment, NOW).is_replayable();
        assert!(!replayable(StatusCode::INTERNAL_SERVER_ERROR));
        assert!(!replayable(StatusCode::CONFLICT));
        assert!(replayable(StatusCode::TOO_MANY_REQUESTS));
        assert!(replayable(StatusCode::UNAUTHORIZED));
        assert!(replayable(StatusCode::NOT_FOUND));
    }

    #[test]
    fn the_wait_comes_along() {
        let error = of(429, &openai("null", "Please try again in 1.5s."));
        assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn recorded_errors_have_the_kind_of_their_file_name() {
        use ErrorKind::*;
        for recorded in crate::fixtures::errors() {
            let name = recorded.name.rsplit('/').next().expect("has a name");
            let expected = match name {
                _ if name.contains("context-length") => ContextWindow,
                _ if name.contains("content-filter") => ContentPolicy,
                _ if name.contains("api-key") => Authentication,
                _ if name.contains("model-not-found") => NotFound,
                _ if name.contains("tool-use-failed") => BadAnswer,
                _ => by_status(recorded.status, ""),
            };
            let deployment =
                Deployment::new("a", "gpt", "m").with_credential(Secret::new("sk-canary"));
            let error = failure(
                recorded.status,
                &HeaderMap::new(),
                &recorded.body,
                &deployment,
                NOW,
            );
            assert_eq!(error.kind(), expected, "{}: {error}", recorded.name);
            assert!(
                !error.message().starts_with("the provider answered"),
                "{}",
                recorded.name
            );
        }
    }

    proptest! {
        #[test]
        fn any_body_gives_an_error(status in 300_u16..1000, body in prop::collection::vec(any::<u8>(), 0..200)) {
            let deployment = Deployment::new("a", "gpt", "m");
            let status = StatusCode::from_u16(status).expect("is a status");
            let error = failure(status, &HeaderMap::new(), &body, &deployment, NOW);
            prop_assert!(!error.message().is_empty());
        }

        #[test]
        fn any_json_gives_an_error(
            member in "error|message|code|type|detail|status|metadata",
            value in "null|7|429|\"x\"|\"\"|\\[\\]|\\[\\{\\}\\]|\\{\\}|\\{\"message\":7\\}|\\{\"raw\":\"x\"\\}|-1e400",
        ) {
            let body = format!(r#"{{"{member}":{value},"error":{{"{member}":{value}}}}}"#);
            let deployment = Deployment::new("a", "gpt", "m");
            prop_assert!(!in_band(body.as_bytes(), &deployment).message().is_empty());
        }
    }
}

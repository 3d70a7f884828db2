use std::time::SystemTime;

use http::StatusCode;
use ziggurat_core::Deployment;

use super::{
    input::Input,
    subject::{self, assert_is_json, assert_is_safe},
};
use crate::{dialect, dialect::openai, messages, responses, tokens};

const PROVIDERS: [&str; 8] = [
    "openai",
    "anthropic",
    "gemini",
    "bedrock",
    "cohere",
    "ollama",
    "voyage",
    "vertex_ai",
];

/// The decoders of errors: whatever a provider answers is an error that is bounded, repeats no
/// credential and can be told to every client.
///
/// The first line chooses the provider, the second is the status, then come headers, an empty line,
/// and the body.
pub fn errors(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let deployment = subject::deployment(input.one_of(&PROVIDERS), "m");
    let status = status(input.line());
    let headers = input.headers();
    let body = input.rest();
    let now = SystemTime::UNIX_EPOCH;

    let told = failure(status, &headers, body, &deployment, now);
    let in_band = openai::in_band(body, &deployment);
    let refused = tokens::refusal(status, body);
    for error in [told, in_band, refused] {
        assert_is_safe(&error);
        assert_is_json(messages::error_json(&error).as_bytes());
        for event in [
            messages::error_event(&error),
            responses::error_event(&error),
        ] {
            let data = event.strip_prefix("event: error\ndata: ");
            assert_is_json(data.expect("is an event").as_bytes());
        }
    }
    tokens::is_granted(body);
}

fn failure(
    status: StatusCode,
    headers: &http::HeaderMap,
    body: &[u8],
    deployment: &Deployment,
    now: SystemTime,
) -> ziggurat_core::Error {
    match dialect::of(deployment.provider()) {
        Some(dialect) => dialect.failure(status, headers, body, deployment, now),
        None => openai::failure(status, headers, body, deployment, now),
    }
}

/// Any status but success.
fn status(line: &[u8]) -> StatusCode {
    let status = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.parse().ok());
    let status = status.filter(|status| (300..1000).contains(status));
    StatusCode::from_u16(status.unwrap_or(500)).expect("has three digits")
}

//! Error answers, and errors in the middle of streams.

use serde_json::Value;
use ziggurat::{Error, ErrorKind};

use crate::{
    answers::{Shape, asked},
    call::Recorded,
    fixture::Fixture,
    frames::documents,
    route,
};

/// The kind that the name of a case promises.
fn expected(fixture: &Fixture) -> ErrorKind {
    use ErrorKind::{
        Authentication, BadAnswer, BadRequest, ContentPolicy, ContextWindow, Internal, NotFound,
        Overloaded, Permission, RateLimited,
    };
    let case = &*fixture.case;
    let is = |words: &[&str]| words.iter().any(|word| case.contains(word));
    match fixture.status.as_u16() {
        400 if is(&[
            "context-length",
            "too-long",
            "tokens-exceeded",
            "too-many-tokens",
        ]) =>
        {
            ContextWindow
        }
        400 if is(&["content-filter"]) => ContentPolicy,
        // Google's word for a request without a key is that its sender is not permitted.
        400 | 403 if is(&["api-key", "expired-token", "permission-denied"]) => Authentication,
        400 if is(&["model-not-found", "invalid-model"]) => NotFound,
        _ if is(&["tool-use-failed"]) => BadAnswer,
        _ if is(&["overloaded"]) => Overloaded,
        _ if is(&["insufficient-quota", "rate-limit-exceeded"]) => RateLimited,
        400 => BadRequest,
        401 => Authentication,
        403 => Permission,
        404 => NotFound,
        402 | 429 => RateLimited,
        // A stream that ends with the words of a refused request, else with a failure.
        200 if is(&["error-object"]) => BadRequest,
        _ => Internal,
    }
}

pub(crate) async fn check(fixture: &Fixture) -> Result<(), String> {
    let recorded = Recorded::new(fixture, route::deployment(fixture));
    let is_in_stream = fixture.status.is_success();
    let shapes: &[Shape] = match &*fixture.provider {
        _ if is_in_stream && fixture.case.ends_with("-responses") => &[Shape::Responses],
        "anthropic" => &[Shape::Chat, Shape::Messages],
        _ => &[Shape::Chat],
    };
    for shape in shapes {
        for streams in [true, false] {
            if is_in_stream && !streams {
                continue;
            }
            let request = asked(*shape, streams, 1)?;
            let last = match is_in_stream {
                true => fixture.body.len(),
                false => 1,
            };
            for cut in (1..=last).step_by(last.div_ceil(512)) {
                let Err(error) = recorded.call(&request, cut).await else {
                    return Err(format!("{shape:?}: it is an answer"));
                };
                failed(fixture, &error).map_err(|why| format!("{shape:?}: {why}"))?;
            }
        }
    }
    Ok(())
}

/// Whether an error is the one that was recorded.
fn failed(fixture: &Fixture, error: &Error) -> Result<(), String> {
    let kind = expected(fixture);
    if error.kind() != kind {
        return Err(format!("{error} is {}, not {kind}", error.kind()));
    }
    let status = error.status();
    // In a stream there may be one in the words of the error.
    let is_own = match fixture.status.is_success() {
        true => status.is_client_error() || status.is_server_error(),
        false => status == fixture.status,
    };
    if !is_own && status != kind.rule().status {
        return Err(format!("{error} has the status {status}"));
    }
    let told = documents(fixture);
    if error.message().is_empty() || !told.iter().any(|told| says(told, error.message())) {
        let message = error.message();
        return Err(format!("{message:?} is not what the provider said"));
    }
    Ok(())
}

/// Whether the words of a message stand somewhere in it.
fn says(value: &Value, message: &str) -> bool {
    match value {
        Value::String(text) => {
            !text.is_empty() && (text.contains(message) || message.contains(&**text))
        }
        Value::Array(all) => all.iter().any(|value| says(value, message)),
        Value::Object(all) => all.values().any(|value| says(value, message)),
        _ => false,
    }
}

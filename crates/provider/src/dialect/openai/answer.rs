//! Whether a success is an answer.

use bytes::Bytes;
use serde_json::Value;
use ziggurat_core::{Deployment, Error, ErrorKind, Operation, Usage};

use super::{arguments, chunk::Chunk, error, report};

/// Makes sure that the body of a success is an answer, and reads what it used.
///
/// A deployment whose every answer counts fails only with an error in the place of one.
///
/// # Errors
///
/// [`ErrorKind::BadAnswer`] for anything that is no answer, the kind of the error that stands in
/// its place, or [`ErrorKind::ContentPolicy`] if all of it declines and `takes_refusals` is set.
pub(crate) fn check(
    operation: Operation,
    body: &[u8],
    deployment: &Deployment,
    takes_refusals: bool,
) -> Result<Option<Usage>, Error> {
    let bad = |message: &'static str| Err(Error::new(ErrorKind::BadAnswer, message));
    let any = deployment.takes_any_answer();
    let Some(chunk) = Chunk::read(body) else {
        return match body.trim_ascii() {
            _ if any => Ok(None),
            [] => bad("the provider's answer is empty"),
            _ => bad("the provider's answer is not JSON"),
        };
    };
    if chunk.is_error() {
        return Err(error::in_band(body, deployment));
    }
    let (usage, choices) = (chunk.usage(), chunk.choices);
    if takes_refusals && choices.all_refuse() {
        return Err(billed(declined(refusal(body), deployment), usage));
    }
    if any {
        return Ok(usage);
    }
    let (holds, what) = match operation {
        Operation::Embeddings => (
            chunk.has_data(),
            "the provider's answer holds no embeddings",
        ),
        Operation::Rerank => (
            chunk.has_results(),
            "the provider's answer holds no ranking",
        ),
        Operation::Moderation => (
            chunk.has_results(),
            "the provider's answer holds no results",
        ),
        Operation::ImageGeneration | Operation::ImageEdit | Operation::ImageVariation => {
            (chunk.has_data(), "the provider's answer holds no images")
        }
        Operation::Transcription | Operation::Translation => {
            (chunk.has_text(), "the provider's answer holds no text")
        }
        _ => (choices.count > 0, "the provider's answer holds no choices"),
    };
    if !holds {
        return bad(what);
    }
    if choices.count == 0 {
        return Ok(usage);
    }
    let failed = if let Some(kind) = choices.failure {
        Error::new(kind, FAILED)
    } else if !choices.substance && usage.is_none_or(|usage| usage.output == 0) {
        Error::new(ErrorKind::BadAnswer, EMPTY)
    } else if choices.calls && arguments::are_cut(body) {
        Error::new(ErrorKind::BadAnswer, CUT)
    } else {
        return Ok(usage);
    };
    Err(billed(failed, usage))
}

/// A failure for which the provider bills all the same.
fn billed(error: Error, usage: Option<Usage>) -> Error {
    match usage {
        Some(usage) => error.with_usage(usage),
        None => error,
    }
}

/// What an answer, or an event of one, says that it used.
pub(crate) fn usage_of(json: &[u8]) -> Option<Usage> {
    Chunk::read(json)?.usage()
}

pub(super) const FAILED: &str = "the provider gave up in the middle of the answer";
pub(super) const EMPTY: &str = "the provider's answer has no content";
pub(super) const CUT: &str = "the arguments of a tool call break off in the provider's answer";

/// The words with which an answer, or an event of one, declines.
pub(super) fn refusal(json: &[u8]) -> String {
    let Ok(answer) = serde_json::from_slice::<Value>(json) else {
        return String::new();
    };
    let choices = answer.get("choices").and_then(Value::as_array);
    let words = |choice: &Value| {
        let message = choice.get("message").or_else(|| choice.get("delta"))?;
        message.get("refusal")?.as_str().map(str::to_owned)
    };
    choices.into_iter().flatten().filter_map(words).collect()
}

/// The failure that an answer is which declines, in those words.
pub(super) fn declined(words: String, deployment: &Deployment) -> Error {
    let words = match words.trim() {
        "" => "the provider's content filter declines the answer".to_owned(),
        _ => report::quoted(words, deployment),
    };
    Error::new(ErrorKind::ContentPolicy, words)
}

/// The events of an answer that came whole although a stream was asked for: all of it in one, then
/// its usage. `None` if it is no answer.
pub(crate) fn as_events(body: &[u8]) -> Option<Bytes> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    let members = answer.as_object_mut()?;
    let usage = members.remove("usage").filter(Value::is_object);
    for choice in members.get_mut("choices")?.as_array_mut()? {
        let Some(mut message) = choice.as_object_mut()?.remove("message") else {
            continue;
        };
        let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
        for (index, call) in calls.into_iter().flatten().enumerate() {
            call.as_object_mut()?
                .insert("index".to_owned(), index.into());
        }
        choice["delta"] = message;
    }
    if members
        .get("object")
        .is_some_and(|object| object == "chat.completion")
    {
        members.insert("object".to_owned(), "chat.completion.chunk".into());
    }
    let mut events = format!("data: {answer}\n\n");
    if let Some(usage) = usage {
        answer["choices"] = Value::Array(Vec::new());
        answer["usage"] = usage;
        events += &format!("data: {answer}\n\n");
    }
    events += "data: [DONE]\n\n";
    Some(events.into())
}

/// The events of a body that is taken for an answer whatever it is: one, which holds all of it.
pub(crate) fn as_one_event(body: &[u8]) -> Bytes {
    let mut events = Vec::with_capacity(body.len() + 32);
    for line in body.split(|byte| matches!(byte, b'\n' | b'\r')) {
        events.extend_from_slice(b"data: ");
        events.extend_from_slice(line);
        events.push(b'\n');
    }
    events.extend_from_slice(b"\ndata: [DONE]\n\n");
    events.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<Option<Usage>, Error> {
        let deployment = Deployment::new("a", "gpt", "m");
        check(
            Operation::ChatCompletions,
            body.as_bytes(),
            &deployment,
            false,
        )
    }

    fn kind(body: &str) -> ErrorKind {
        chat(body).expect_err("is no answer").kind()
    }

    #[test]
    fn a_success_that_is_no_answer_is_a_failure() {
        for body in [
            "",
            "\n\n",
            "<html>sign in</html>",
            "{}",
            "null",
            r#"{"choices":[]}"#,
            r#"{"choices":null,"usage":{"prompt_tokens":3}}"#,
            r#"{"choices":[{"message":{"content":"half"#,
            r#"{"choices":[{"message":{"role":"assistant","content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":0}}"#,
            r#"{"choices":[{"message":{"content":null},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"message":{"content":"so far"},"finish_reason":"error"}]}"#,
            r#"{"error":{"message":"something"}}"#,
        ] {
            assert_eq!(kind(body), ErrorKind::BadAnswer, "{body}");
        }
    }

    #[test]
    fn an_error_in_the_place_of_an_answer_keeps_its_kind() {
        assert_eq!(
            kind(r#"{"error":{"code":429,"message":"slow down"}}"#),
            ErrorKind::RateLimited
        );
        let context = r#"{"id":"x","choices":[],"error":{"code":"context_length_exceeded","message":"too long"}}"#;
        assert_eq!(kind(context), ErrorKind::ContextWindow);
        let flat = r#"{"object":"error","message":"no","type":"BadRequestError","code":400}"#;
        assert_eq!(kind(flat), ErrorKind::BadRequest);
    }

    #[test]
    fn whatever_a_model_says_is_an_answer() {
        for body in [
            r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"error":null}"#,
            r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c"}]},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}"#,
            r#"{"choices":[{"message":{"content":""},"finish_reason":"stop"}],"usage":{"completion_tokens":64}}"#,
            r#"{"choices":[{"text":"hi","finish_reason":"length"}]}"#,
        ] {
            assert!(chat(body).is_ok(), "{body}");
        }
    }

    #[test]
    fn arguments_that_break_off_are_no_answer_and_wrong_ones_are_the_models_doing() {
        let body = |arguments: &str, reason: &str| {
            serde_json::json!({"choices": [{
                "message": {"tool_calls": [
                    {"id": "c", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "d", "function": {"name": "f", "arguments": arguments}},
                ]},
                "finish_reason": reason,
            }]})
            .to_string()
        };
        for arguments in ["{\"city\":\"Ber", "{\"city\"", "[{}"] {
            let whole = body(arguments, "tool_calls");
            assert_eq!(kind(&whole), ErrorKind::BadAnswer, "{arguments}");
            for reason in ["length", "content_filter"] {
                assert!(chat(&body(arguments, reason)).is_ok(), "{reason}");
            }
        }
        for arguments in ["", " ", "{}", "Berlin", "{'city'}", "{\"a\":1}}"] {
            let answer = chat(&body(arguments, "tool_calls"));
            assert!(answer.is_ok(), "{arguments}");
        }
    }

    #[test]
    fn a_refusal_is_a_failure_where_somebody_else_could_answer() {
        let deployment = Deployment::new("a", "gpt", "m");
        let read = |body: &str, takes| {
            check(
                Operation::ChatCompletions,
                body.as_bytes(),
                &deployment,
                takes,
            )
        };
        let long = "n\\u00e4 ".repeat(2_000);
        let refusal = format!(r#"{{"choices":[{{"message":{{"refusal":"{long}"}}}}]}}"#);
        for (body, words) in [
            (refusal.as_str(), "nä n"),
            (
                r#"{"choices":[{"message":{"content":"half"},"finish_reason":"content_filter"}]}"#,
                "the provider's content filter",
            ),
        ] {
            let error = read(body, true).expect_err("declines");
            assert_eq!(error.kind(), ErrorKind::ContentPolicy);
            assert!(error.message().starts_with(words), "{error}");
            assert!(error.message().len() <= 4096);
            assert!(read(body, false).is_ok());
        }
        let one_answers =
            r#"{"choices":[{"message":{"refusal":"no"}},{"message":{"content":"x"}}]}"#;
        assert!(read(one_answers, true).is_ok());
    }

    #[test]
    fn a_deployment_may_answer_whatever_it_wants_but_an_error() {
        let deployment = Deployment::new("a", "gpt", "m").with_any_answer(true);
        let read = |operation, body: &str| check(operation, body.as_bytes(), &deployment, false);
        for body in [
            "",
            "<html>sign in</html>",
            "{}",
            r#"{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}"#,
        ] {
            assert!(read(Operation::ChatCompletions, body).is_ok(), "{body}");
            assert!(read(Operation::Embeddings, body).is_ok(), "{body}");
        }
        let error = read(Operation::ChatCompletions, r#"{"error":{"code":429}}"#);
        assert_eq!(error.expect_err("fails").kind(), ErrorKind::RateLimited);
    }

    #[test]
    fn a_whole_answer_becomes_a_short_stream() {
        let body = br#"{"object":"chat.completion","choices":[{"index":0,"message":{"content":"hi","tool_calls":[{"id":"c"}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#;
        let expected = [
            r#"data: {"choices":[{"delta":{"content":"hi","tool_calls":[{"id":"c","index":0}]},"finish_reason":"stop","index":0}],"object":"chat.completion.chunk"}"#,
            r#"data: {"choices":[],"object":"chat.completion.chunk","usage":{"prompt_tokens":1}}"#,
            "data: [DONE]\n\n",
        ];
        assert_eq!(
            as_events(body).expect("is an answer"),
            expected.join("\n\n")
        );
    }

    #[test]
    fn recorded_answers_are_answers_with_exact_usage() {
        for answer in crate::fixtures::answers() {
            let deployment = Deployment::new("a", "gpt", "m");
            let usage = check(answer.operation, &answer.body, &deployment, false);
            let usage = usage.unwrap_or_else(|error| panic!("{}: {error}", answer.name));
            let Some(usage) = usage else { continue };
            let value: Value = serde_json::from_slice(&answer.body).expect("is JSON");
            let total = value["usage"]["total_tokens"]
                .as_u64()
                .expect("has a total");
            assert_eq!(usage.total(), total, "{}", answer.name);
        }
    }
}

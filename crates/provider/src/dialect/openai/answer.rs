//! Whether a success is an answer.

use bytes::Bytes;
use serde_json::Value;
use ziggurat_core::{Deployment, Error, ErrorKind, Operation, Usage};

use super::{chunk::Chunk, error};

/// Makes sure that the body of a success is an answer, and reads what it used.
///
/// # Errors
///
/// [`ErrorKind::BadAnswer`] for anything that is no answer, or the kind of the error that stands in
/// its place.
pub(crate) fn check(
    operation: Operation,
    body: &[u8],
    deployment: &Deployment,
) -> Result<Option<Usage>, Error> {
    let Some(chunk) = Chunk::read(body) else {
        let message = if body.trim_ascii().is_empty() {
            "the provider's answer is empty"
        } else {
            "the provider's answer is not JSON"
        };
        return Err(Error::new(ErrorKind::BadAnswer, message));
    };
    if chunk.is_error() {
        return Err(error::in_band(body, deployment));
    }
    let usage = chunk.usage();
    let flaw = match operation {
        Operation::Embeddings if !chunk.has_data() => "the provider's answer holds no embeddings",
        Operation::Embeddings => return Ok(usage),
        _ if chunk.choices.count == 0 => "the provider's answer holds no choices",
        _ => match chunk.choices.failure {
            Some(kind) => return Err(Error::new(kind, FAILED)),
            None if !chunk.choices.substance && usage.is_none_or(|usage| usage.output == 0) => {
                EMPTY
            }
            None => return Ok(usage),
        },
    };
    Err(Error::new(ErrorKind::BadAnswer, flaw))
}

pub(super) const FAILED: &str = "the provider gave up in the middle of the answer";
pub(super) const EMPTY: &str = "the provider's answer has no content";

/// The events of an answer that came whole although a stream was asked for: all of it in one, then
/// its usage.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(body: &str) -> Result<Option<Usage>, Error> {
        let deployment = Deployment::new("a", "gpt", "m");
        check(Operation::ChatCompletions, body.as_bytes(), &deployment)
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
            let usage = check(answer.operation, &answer.body, &deployment);
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

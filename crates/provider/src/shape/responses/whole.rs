//! A whole response, as a provider writes it.

use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::{Deployment, Error, ErrorKind};

use crate::{
    chat::{Answer, Choice, Finish, Tokens, ToolCall},
    dialect::openai,
};

/// A response as an answer of chat, for what is to be known of it. What is no response stays as it
/// is.
///
/// # Errors
///
/// The failure that stands in its place.
pub(crate) fn to_chat_answer(body: &Bytes, deployment: &Deployment) -> Result<Bytes, Error> {
    let Ok(response) = serde_json::from_slice::<Value>(body) else {
        return Ok(body.clone());
    };
    let ended = end(&response, deployment)?;
    if !response["output"].is_array() {
        return Ok(body.clone());
    }
    let text = |name: &str| response[name].as_str().unwrap_or_default().to_owned();
    let mut choice = Choice {
        finish: ended,
        ..Choice::default()
    };
    for item in list(&response["output"]) {
        add(&mut choice, item);
    }
    // That it is made in the background is all there is to say.
    if let Some(status @ ("queued" | "in_progress")) = response["status"].as_str() {
        choice.images.push(json!({ "type": status }));
    }
    if choice.finish == Finish::Stop && !choice.tool_calls.is_empty() {
        choice.finish = Finish::ToolCalls;
    }
    let answer = Answer {
        id: Some(text("id")),
        model: text("model"),
        created: response["created_at"].as_f64().unwrap_or_default() as u64,
        choices: vec![choice],
        usage: tokens(&response["usage"]),
        ..Answer::default()
    };
    Ok(answer.into_json().into())
}

/// How a response ended.
///
/// # Errors
///
/// The failure that it tells.
pub(super) fn end(response: &Value, deployment: &Deployment) -> Result<Finish, Error> {
    let error = &response["error"];
    let failed = response["status"] == "failed";
    if failed || error.is_object() || error.is_string() {
        return Err(failure(error, deployment));
    }
    match response["status"].as_str() {
        Some("cancelled") => {
            let message = "the provider cancelled the answer";
            Err(Error::new(ErrorKind::StreamBroken, message))
        }
        Some("incomplete") => Ok(match response["incomplete_details"]["reason"].as_str() {
            Some("content_filter") => Finish::ContentFilter,
            _ => Finish::Length,
        }),
        _ => Ok(Finish::Stop),
    }
}

/// The failure that a provider tells in these words.
pub(super) fn failure(error: &Value, deployment: &Deployment) -> Error {
    openai::in_band(json!({ "error": error }).to_string().as_bytes(), deployment)
}

/// Adds an item of the output.
fn add(choice: &mut Choice, item: &Value) {
    match item["type"].as_str() {
        Some("message") => {
            for part in list(&item["content"]) {
                if let Some(words) = part["refusal"].as_str() {
                    choice.refusal.get_or_insert_default().push_str(words);
                }
                choice.content += part["text"].as_str().unwrap_or_default();
            }
        }
        Some("reasoning") => {
            for part in list(&item["summary"]).chain(list(&item["content"])) {
                choice.reasoning += part["text"].as_str().unwrap_or_default();
            }
        }
        Some("function_call") => {
            let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
            choice.tool_calls.push(ToolCall {
                id: text("call_id"),
                name: text("name"),
                arguments: text("arguments"),
                extra: None,
            });
        }
        // A call of another kind is something, though chat has no word for it.
        Some(kind) => choice.images.push(json!({ "type": kind })),
        None => {}
    }
}

/// What a response used.
pub(super) fn tokens(usage: &Value) -> Option<Tokens> {
    let count = |value: &Value| value.as_f64().map(|count| count as u64);
    let input = count(&usage["input_tokens"]);
    let output = count(&usage["output_tokens"]);
    input.or(output)?;
    let details = &usage["input_tokens_details"];
    let reasoning = &usage["output_tokens_details"]["reasoning_tokens"];
    Some(Tokens {
        input: input.unwrap_or_default(),
        cached: count(&details["cached_tokens"]).unwrap_or_default(),
        cache_write: count(&details["cache_write_tokens"]).unwrap_or_default(),
        output: output.unwrap_or_default(),
        reasoning: count(reasoning).unwrap_or_default(),
        ..Tokens::default()
    })
}

pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{Operation, Usage};

    use super::*;

    fn check(body: &Bytes, deployment: &Deployment) -> Result<Option<Usage>, Error> {
        let chat = to_chat_answer(body, deployment)?;
        openai::check(Operation::ChatCompletions, &chat, deployment, true)
    }

    fn read(response: &Value) -> Result<Option<Usage>, Error> {
        let deployment = Deployment::new("a", "gpt", "m");
        check(&response.to_string().into(), &deployment)
    }

    fn response(status: &str, output: &Value) -> Value {
        json!({"id": "resp_1", "object": "response", "model": "m", "created_at": 7.5, "status": status,
            "error": null, "incomplete_details": null, "output": output,
            "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4},
                "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 5}, "total_tokens": 17}})
    }

    fn message(part: &Value) -> Value {
        json!([{"type": "message", "role": "assistant", "content": [part]}])
    }

    #[test]
    fn a_response_is_an_answer_of_chat() {
        let output = json!([
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "so"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"},
        ]);
        let body: Bytes = response("completed", &output).to_string().into();
        let deployment = Deployment::new("a", "gpt", "m");
        let chat = to_chat_answer(&body, &deployment).expect("is one");
        let chat: Value = serde_json::from_slice(&chat).expect("is JSON");
        let choice = &chat["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls");
        assert_eq!(choice["message"]["content"], "so");
        assert_eq!(choice["message"]["reasoning_content"], "hm");
        assert_eq!(choice["message"]["tool_calls"][0]["id"], "c");
        assert_eq!(
            (&chat["id"], &chat["created"]),
            (&json!("resp_1"), &json!(7))
        );
        let usage = check(&body, &deployment)
            .expect("is one")
            .expect("has some");
        assert_eq!(
            (usage.cached_input, usage.reasoning, usage.total()),
            (4, 5, 17)
        );
    }

    #[test]
    fn what_is_no_answer_is_a_failure() {
        let refusal = message(&json!({"type": "refusal", "refusal": "no"}));
        let failed = json!({"status": "failed", "output": [],
            "error": {"code": "rate_limit_exceeded", "message": "slow down"}});
        let mut nothing = response("completed", &json!([]));
        nothing["usage"]["output_tokens"] = 0.into();
        for (body, kind) in [
            (response("completed", &refusal), ErrorKind::ContentPolicy),
            (failed, ErrorKind::RateLimited),
            (
                json!({"status": "failed", "error": null}),
                ErrorKind::BadAnswer,
            ),
            (response("cancelled", &json!([])), ErrorKind::StreamBroken),
            (
                json!({"error": {"code": "invalid_prompt"}}),
                ErrorKind::ContentPolicy,
            ),
            (
                json!({"error": {"code": "server_error"}}),
                ErrorKind::Internal,
            ),
            (json!({"object": "page"}), ErrorKind::BadAnswer),
            (nothing, ErrorKind::BadAnswer),
        ] {
            assert_eq!(read(&body).expect_err("fails").kind(), kind, "{body}");
        }
        let deployment = Deployment::new("a", "gpt", "m");
        let page = Bytes::from_static(b"<html>");
        assert!(check(&page, &deployment).is_err());
        assert!(check(&page, &deployment.with_any_answer(true)).is_ok());
    }

    #[test]
    fn whatever_a_provider_does_is_an_answer() {
        let mut cut = response(
            "incomplete",
            &json!([{"type": "function_call", "arguments": "{\"a"}]),
        );
        cut["incomplete_details"] = json!({"reason": "max_output_tokens"});
        for body in [
            cut,
            response(
                "completed",
                &json!([{"type": "computer_call", "action": {}}]),
            ),
            response("queued", &json!([])),
            response("in_progress", &json!([])),
        ] {
            assert!(read(&body).is_ok(), "{body}");
        }
    }
}

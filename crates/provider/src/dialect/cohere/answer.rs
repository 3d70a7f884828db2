//! A whole answer.

use serde_json::{Value, json};
use ziggurat_core::Error;

use super::{annotations, arguments, finish, logprobs, no_answer, usage};
use crate::{
    chat::{Answer, Choice, ToolCall},
    dialect::Call,
};

pub(super) fn chat(call: &Call<'_>, answer: &Value) -> Result<Answer, Error> {
    let message = &answer["message"];
    if !message.is_object() {
        return Err(no_answer());
    }
    let list = |name: &str| message[name].as_array().into_iter().flatten();
    let mut choice = Choice {
        finish: finish(&answer["finish_reason"]),
        logprobs: logprobs(&answer["logprobs"]),
        ..Choice::default()
    };
    choice
        .reasoning
        .push_str(message["tool_plan"].as_str().unwrap_or_default());
    for part in list("content") {
        choice
            .content
            .push_str(part["text"].as_str().unwrap_or_default());
        choice
            .reasoning
            .push_str(part["thinking"].as_str().unwrap_or_default());
    }
    for call in list("tool_calls") {
        let function = &call["function"];
        let written = function["arguments"].as_str().unwrap_or_default();
        choice.tool_calls.push(ToolCall {
            id: call["id"].as_str().unwrap_or_default().to_owned(),
            name: function["name"].as_str().unwrap_or_default().to_owned(),
            arguments: arguments(written).to_owned(),
            extra: None,
        });
    }
    choice.annotations = list("citations").flat_map(annotations).collect();
    if !choice.annotations.is_empty() {
        choice.extra = Some(json!({"citations": message["citations"]}));
    }
    let mut written = Answer {
        id: answer["id"].as_str().map(str::to_owned),
        model: call.model.to_owned(),
        created: call.now,
        choices: vec![choice],
        usage: usage(&answer["usage"]),
        ..Answer::default()
    };
    let billed = &answer["usage"]["billed_units"];
    if billed.is_object() {
        written
            .other
            .insert("billed_units".to_owned(), billed.clone());
    }
    Ok(written)
}

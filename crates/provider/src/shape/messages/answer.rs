//! A whole answer, and what one has in common with a stream.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Value, json};
use ziggurat_core::{Error, ErrorKind, Usage};

use super::object;
use crate::{chat::ToolCall, dialect::openai};

/// The answer as a message.
///
/// # Errors
///
/// [`ErrorKind::BadAnswer`] if it holds no choice.
pub(super) fn answer(request: &[u8], chat: &[u8]) -> Result<Bytes, Error> {
    let usage = openai::usage_of(chat);
    let mut chat: Value = serde_json::from_slice(chat).unwrap_or_default();
    let Some(choice) = chat["choices"].get_mut(0) else {
        let message = "the provider's answer holds no choices";
        return Err(Error::new(ErrorKind::BadAnswer, message));
    };
    let mut choice = choice.take();
    let mut message = choice["message"].take();
    let mut content = Vec::new();
    match message["thinking_blocks"].take() {
        Value::Array(blocks) if !blocks.is_empty() => content.extend(blocks),
        _ => {
            let words = thoughts(&message);
            if !words.is_empty() {
                content.push(json!({"type": "thinking", "thinking": words, "signature": ""}));
            }
        }
    }
    let refusal = message["refusal"].as_str().unwrap_or_default();
    for text in [said(&message["content"]), refusal.to_owned()] {
        if !text.is_empty() {
            content.push(object([("type", "text".into()), ("text", text.into())]));
        }
    }
    let mut finish = Finish {
        refused: !refusal.is_empty(),
        ..Finish::default()
    };
    for call in calls(&mut message) {
        finish.called = true;
        content.push(object([
            ("type", "tool_use".into()),
            ("id", call_id(&call.id).into()),
            ("input", call.input()),
            ("name", call.name.into()),
        ]));
    }
    finish.read(&choice, &stops(request));
    let (reason, stop) = finish.reason();
    let answer = object([
        (
            "id",
            message_id(chat["id"].as_str().unwrap_or_default()).into(),
        ),
        ("type", "message".into()),
        ("role", "assistant".into()),
        ("model", chat["model"].as_str().unwrap_or_default().into()),
        ("content", content.into()),
        ("stop_reason", reason.into()),
        ("stop_sequence", stop.into()),
        ("usage", usage_json(usage)),
    ]);
    Ok(answer.to_string().into())
}

/// The calls of a message, or of a piece of one.
fn calls(message: &mut Value) -> Vec<ToolCall> {
    let mut calls = match message["tool_calls"].take() {
        Value::Array(calls) => calls,
        _ => Vec::new(),
    };
    if let function @ Value::Object(_) = message["function_call"].take() {
        calls.push(json!({"function": function}));
    }
    let read = |call: Value| {
        let function = &call["function"];
        ToolCall {
            id: call["id"].as_str().unwrap_or_default().to_owned(),
            name: function["name"].as_str().unwrap_or_default().to_owned(),
            arguments: arguments(&function["arguments"]),
            extra: None,
        }
    };
    calls.into_iter().map(read).collect()
}

/// Arguments, of which some servers forget that they are a text.
pub(in crate::shape) fn arguments(arguments: &Value) -> String {
    match arguments {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// What the model thought, in words. Some servers write thoughts as parts of what it says.
pub(in crate::shape) fn thoughts(message: &Value) -> String {
    let words = ["reasoning_content", "reasoning"];
    let words = words.iter().find_map(|name| message[*name].as_str());
    if let Some(words) = words {
        return words.to_owned();
    }
    let parts = message["content"].as_array().into_iter().flatten();
    let thinking = parts.filter(|part| part["type"] == "thinking");
    thinking.map(|part| said(&part["thinking"])).collect()
}

/// What the model said, in words.
pub(in crate::shape) fn said(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter_map(|part| part["text"].as_str());
            texts.collect()
        }
        _ => String::new(),
    }
}

/// Why an answer ended.
#[derive(Debug, Default)]
pub(super) struct Finish {
    pub(super) called: bool,
    pub(super) refused: bool,
    reason: String,
    stop: Option<String>,
}

impl Finish {
    /// Takes what a choice says, if it says something.
    pub(super) fn read(&mut self, choice: &Value, stops: &[String]) {
        if let Some(reason) = choice["finish_reason"].as_str() {
            reason.clone_into(&mut self.reason);
        }
        // The places of vLLM and SGLang. What they say may also be a token, or a word of theirs.
        let places = ["stop_reason", "matched_stop"];
        let stop = places.iter().find_map(|name| choice[*name].as_str());
        if let Some(stop) = stop.filter(|stop| stops.iter().any(|known| known == stop)) {
            self.stop = Some(stop.to_owned());
        }
    }

    /// The reason, and the sequence that ended it if one did.
    pub(super) fn reason(&self) -> (&'static str, Option<&str>) {
        match (self.reason.as_str(), self.stop.as_deref()) {
            ("length", _) => ("max_tokens", None),
            ("content_filter" | "sensitive", _) => ("refusal", None),
            _ if self.refused => ("refusal", None),
            // With a named function, OpenAI says that it stopped.
            _ if self.called => ("tool_use", None),
            (_, Some(stop)) => ("stop_sequence", Some(stop)),
            _ => ("end_turn", None),
        }
    }
}

/// The sequences at which a request wants to stop.
pub(super) fn stops(request: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Asked {
        stop_sequences: Vec<String>,
    }
    // Most have none, and may be long.
    if memmem::find(request, b"stop_sequences").is_none() {
        return Vec::new();
    }
    serde_json::from_slice::<Asked>(request)
        .map_or_else(|_| Vec::new(), |asked| asked.stop_sequences)
}

/// What an answer used. What nobody counted is zero.
pub(super) fn usage_json(usage: Option<Usage>) -> Value {
    let usage = usage.unwrap_or_default();
    let cached = usage.cached_input.saturating_add(usage.cache_write);
    json!({
        "input_tokens": usage.input.saturating_sub(cached),
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached_input,
        "output_tokens": usage.output,
    })
}

/// The id of a message, after that of an answer.
pub(super) fn message_id(id: &str) -> String {
    let id = ["msg_", "chatcmpl-"]
        .iter()
        .find_map(|prefix| id.strip_prefix(prefix))
        .unwrap_or(id);
    match id {
        "" => format!("msg_{:032x}", fastrand::u128(..)),
        id => format!("msg_{}", plain(id)),
    }
}

/// The id of a call, in the letters that Anthropic allows.
pub(super) fn call_id(id: &str) -> String {
    match id {
        "" => format!("toolu_{:032x}", fastrand::u128(..)),
        id => plain(id),
    }
}

fn plain(id: &str) -> String {
    let allowed = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => letter,
        _ => '_',
    };
    id.chars().map(allowed).collect()
}

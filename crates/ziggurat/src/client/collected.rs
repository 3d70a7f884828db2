//! Puts the pieces of a streamed chat together.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use ziggurat_core::Error;

use super::bounded;

/// What has come of an answer.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// `id`, `created`, `model`, …
    head: Map<String, Value>,
    choices: BTreeMap<u64, Choice>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Choice {
    message: Map<String, Value>,
    calls: BTreeMap<u64, Map<String, Value>>,
    finish_reason: Option<Value>,
}

impl Collected {
    /// Adds an event of that many bytes.
    ///
    /// # Errors
    ///
    /// If it gets too long.
    pub(super) fn add(&mut self, chunk: &Map<String, Value>, bytes: usize) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(bytes);
        bounded(self.bytes)?;
        for (name, value) in chunk {
            let is_known = self.head.get(name) == Some(value);
            if name != "choices" && !value.is_null() && !is_known {
                self.head.insert(name.clone(), value.clone());
            }
        }
        for piece in list(chunk.get("choices")) {
            let index = piece["index"].as_u64().unwrap_or_default();
            let choice = self.choices.entry(index).or_default();
            if piece["finish_reason"].is_string() {
                choice.finish_reason = Some(piece["finish_reason"].clone());
            }
            for (name, value) in piece["delta"].as_object().into_iter().flatten() {
                match name.as_str() {
                    "tool_calls" => choice.add_calls(value),
                    "role" => drop(choice.message.insert(name.clone(), value.clone())),
                    _ => join(
                        choice.message.entry(name.clone()).or_insert(Value::Null),
                        value,
                    ),
                }
            }
        }
        Ok(())
    }

    /// The answer as it would have come in one piece.
    pub(super) fn into_json(mut self) -> Value {
        self.head
            .insert("object".to_owned(), "chat.completion".into());
        let choices = self.choices.into_iter().map(|(index, choice)| {
            let mut message = choice.message;
            if !choice.calls.is_empty() {
                let calls = choice.calls.into_values().map(Value::Object).collect();
                message.insert("tool_calls".to_owned(), calls);
            }
            message.entry("content").or_insert(Value::Null);
            json!({"index": index, "message": message, "finish_reason": choice.finish_reason})
        });
        self.head.insert("choices".to_owned(), choices.collect());
        Value::Object(self.head)
    }
}

impl Choice {
    fn add_calls(&mut self, pieces: &Value) {
        for piece in list(Some(pieces)) {
            let index = piece["index"].as_u64().unwrap_or_default();
            let call = self.calls.entry(index).or_default();
            for (name, value) in piece.as_object().into_iter().flatten() {
                match (name.as_str(), call.get_mut(name)) {
                    ("index", _) => {}
                    ("function", Some(Value::Object(function))) => {
                        let pieces = value.as_object().into_iter().flatten();
                        pieces.for_each(|(name, piece)| {
                            join(function.entry(name.clone()).or_insert(Value::Null), piece);
                        });
                    }
                    (_, Some(_)) if value.is_null() => {}
                    _ => drop(call.insert(name.clone(), value.clone())),
                }
            }
        }
    }
}

/// The items of a list, if it is one.
pub(super) fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// Adds a piece to what came before: texts and lists go on, the members of an object are new, but for
/// those of sound, which go on.
fn join(so_far: &mut Value, piece: &Value) {
    match (so_far, piece) {
        (_, Value::Null) => {}
        (Value::String(text), Value::String(more)) => text.push_str(more),
        (Value::Array(items), Value::Array(more)) => items.extend_from_slice(more),
        (Value::Object(members), Value::Object(more)) => {
            for (name, value) in more {
                match members.get_mut(name) {
                    Some(before) if matches!(name.as_str(), "data" | "transcript") => {
                        join(before, value)
                    }
                    _ => drop(members.insert(name.clone(), value.clone())),
                }
            }
        }
        (so_far, piece) => *so_far = piece.clone(),
    }
}

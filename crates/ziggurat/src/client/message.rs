//! A message of a model.

use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Map, Value};
use ziggurat_core::Error;

use super::not_json;

/// A message of a model.
///
/// It serialises to what came, so it can be sent back as it is:
/// [`ChatRequest::message`](super::ChatRequest::message).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "Map<String, Value>")]
pub struct ChatMessage {
    raw: Map<String, Value>,
    text: String,
    tool_calls: Vec<ToolCall>,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// What the result is to name.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What the model wrote, which is meant to be JSON.
    pub arguments: String,
}

impl ToolCall {
    /// The arguments as a type of your own. None at all are `{}`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`](ziggurat_core::ErrorKind::BadAnswer) if they are not; its source is a
    /// [`NotJson`](super::NotJson).
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let arguments = self.arguments.trim();
        not_json::parse(if arguments.is_empty() {
            "{}"
        } else {
            arguments
        })
    }

    fn of(call: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let called = &call["function"];
        Self {
            id: text(&call["id"]),
            name: text(&called["name"]),
            arguments: match &called["arguments"] {
                Value::String(arguments) => arguments.clone(),
                Value::Null => String::new(),
                // Some write the object itself.
                other => other.to_string(),
            },
        }
    }
}

impl ChatMessage {
    /// The text; empty if there is none.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tools that are to be called.
    #[must_use]
    pub fn tool_calls(&self) -> &[ToolCall] {
        &self.tool_calls
    }

    /// What the model thought, as far as it says so.
    #[must_use]
    pub fn reasoning(&self) -> Option<&str> {
        self.said("reasoning_content").or(self.said("reasoning"))
    }

    /// Why the model declines.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.said("refusal")
    }

    /// Any member of it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.raw.get(name)
    }

    /// The text as JSON.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadAnswer`](ziggurat_core::ErrorKind::BadAnswer) if it is not; its source is a
    /// [`NotJson`](super::NotJson), which keeps the text.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        not_json::parse(&self.text)
    }

    fn said(&self, name: &str) -> Option<&str> {
        self.raw.get(name)?.as_str().filter(|text| !text.is_empty())
    }
}

impl From<Map<String, Value>> for ChatMessage {
    fn from(raw: Map<String, Value>) -> Self {
        let calls = raw.get("tool_calls").and_then(Value::as_array);
        Self {
            text: raw.get("content").map(text_of).unwrap_or_default(),
            tool_calls: calls.into_iter().flatten().map(ToolCall::of).collect(),
            raw,
        }
    }
}

impl Serialize for ChatMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

/// The text of what may be a text or a list of parts.
pub(super) fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

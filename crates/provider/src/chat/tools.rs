//! Tools, their calls, and the form of an answer.

use serde_json::{Map, Value};
use ziggurat_core::Error;

use super::request::{Fields, wrong};

/// Something that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tool {
    /// A function of the client's.
    Function {
        name: String,
        description: Option<String>,
        /// A JSON schema.
        parameters: Option<Value>,
        strict: Option<bool>,
        /// `cache_control`, as Anthropic marks what is to be cached.
        cache: Option<Value>,
    },
    /// Something of the provider's own, as it was written.
    Other(Map<String, Value>),
}

impl Tool {
    pub(super) fn read(value: Value, at: &str) -> Result<Self, Error> {
        let Value::Object(mut tool) = value else {
            return Err(wrong(at, "an object"));
        };
        let is_other = tool.get("type").is_some_and(|kind| kind != "function");
        if is_other || !tool.contains_key("function") {
            return Ok(Self::Other(tool));
        }
        let cache = tool.remove("cache_control");
        let at = format!("{at}.function");
        let mut function = Fields::of(tool.remove("function"), &at)?;
        let Some(name) = function.text("name")? else {
            return Err(wrong(&format!("{at}.name"), "a string"));
        };
        Ok(Self::Function {
            name,
            description: function.text("description")?,
            parameters: function.take("parameters"),
            strict: function.flag("strict")?,
            cache: cache.or_else(|| function.take("cache_control")),
        })
    }
}

/// Whether and what the model is to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

impl ToolChoice {
    pub(super) fn read(value: &Value) -> Result<Self, Error> {
        const EXPECTED: &str = "`auto`, `none`, `required` or a function";
        match value {
            Value::String(text) => match text.as_str() {
                "auto" => Ok(Self::Auto),
                "none" => Ok(Self::None),
                "required" | "any" => Ok(Self::Required),
                _ => Err(wrong("tool_choice", EXPECTED)),
            },
            Value::Object(choice) => {
                let named = choice.get("function").unwrap_or(value);
                match named.get("name").and_then(Value::as_str) {
                    Some(name) => Ok(Self::Named(name.to_owned())),
                    None => Err(wrong("tool_choice", EXPECTED)),
                }
            }
            _ => Err(wrong("tool_choice", EXPECTED)),
        }
    }
}

/// A call of a tool, in a question or an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ToolCall {
    /// Empty if there is none.
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON, as it was written; perhaps empty, perhaps wrong.
    pub(crate) arguments: String,
    /// What only the provider that made the call understands: `provider_specific_fields`.
    pub(crate) extra: Option<Value>,
}

impl ToolCall {
    pub(super) fn read(value: Value, at: &str) -> Result<Self, Error> {
        let mut call = Fields::of(Some(value), at)?;
        let function = call.take("function").or_else(|| call.take("custom"));
        let mut function = Fields::of(function, &format!("{at}.function"))?;
        let arguments = match function
            .take("arguments")
            .or_else(|| function.take("input"))
        {
            None => String::new(),
            Some(Value::String(text)) => text,
            // Some clients forget that it is a text.
            Some(value) => value.to_string(),
        };
        let extra = function.take("provider_specific_fields");
        Ok(Self {
            id: call.text("id")?.unwrap_or_default(),
            name: function.text("name")?.unwrap_or_default(),
            arguments,
            extra: extra.or_else(|| call.take("provider_specific_fields")),
        })
    }

    /// The arguments as an object: `{}` if there are none, what was written under `input` if it is
    /// no object.
    pub(crate) fn input(&self) -> Value {
        let text = self.arguments.trim();
        match serde_json::from_str(text) {
            Ok(Value::Object(input)) => Value::Object(input),
            _ if text.is_empty() => Value::Object(Map::new()),
            Ok(value) => serde_json::json!({ "input": value }),
            Err(_) => serde_json::json!({ "input": text }),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut call = serde_json::json!({
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": self.arguments},
        });
        if let Some(extra) = &self.extra {
            call["provider_specific_fields"] = extra.clone();
        }
        call
    }
}

/// What form the answer is to have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema {
        name: String,
        schema: Value,
        strict: Option<bool>,
    },
}

impl ResponseFormat {
    pub(super) fn read(value: Value) -> Result<Self, Error> {
        const AT: &str = "response_format";
        let mut format = Fields::of(Some(value), AT)?;
        match format.text("type")?.as_deref() {
            Some("text") => Ok(Self::Text),
            Some("json_object") => Ok(match format.take("schema") {
                // As some servers write a schema.
                Some(schema) => Self::JsonSchema {
                    name: "answer".to_owned(),
                    schema,
                    strict: None,
                },
                None => Self::JsonObject,
            }),
            Some("json_schema") => {
                let at = "response_format.json_schema";
                let mut inner = Fields::of(format.take("json_schema"), at)?;
                let name = inner.text("name")?;
                let schema = inner.take("schema");
                Ok(Self::JsonSchema {
                    name: name.unwrap_or_else(|| "answer".to_owned()),
                    schema: schema.unwrap_or_else(|| Value::Object(Map::new())),
                    strict: inner.flag("strict")?,
                })
            }
            _ => Err(wrong(
                "response_format.type",
                "`text`, `json_object` or `json_schema`",
            )),
        }
    }
}

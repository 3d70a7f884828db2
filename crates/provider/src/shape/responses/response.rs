//! The response object, and what it repeats of its request.

use serde_json::{Map, Value, json};

use super::items::{Status, new_id};
use crate::dialect::openai;

/// Members that a response repeats, with what they are where a request does not say it.
///
/// Those that clients cannot do without are here and in [`Response::write`]: the model of OpenAI's
/// Python client (3.54) requires `id`, `created_at`, `model`, `object`, `output`,
/// `parallel_tool_calls`, `tool_choice` and `tools`; the schema that the others are made from, these
/// as well: `error`, `incomplete_details`, `instructions`, `metadata`, `temperature` and `top_p`.
const REPEATED: &[(&str, &str)] = &[
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", "null"),
    ("temperature", "null"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "null"),
    ("user", "null"),
];

/// What every state of a response has in common.
#[derive(Debug)]
pub(super) struct Response {
    repeated: Map<String, Value>,
    /// The tools that take any text.
    custom: Vec<String>,
    pub(super) id: String,
    pub(super) model: String,
    /// Seconds since 1970.
    pub(super) created: u64,
}

/// How a response ended, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    /// Cut off, for that reason.
    Incomplete(&'static str),
    /// Broken, with a code and a message.
    Failed(&'static str, &'static str),
}

impl End {
    /// What a finish reason of chat means.
    pub(super) fn of(finish_reason: Option<&str>) -> Self {
        match finish_reason {
            Some("length" | "max_tokens" | "model_length") => Self::Incomplete("max_output_tokens"),
            Some("content_filter" | "sensitive") => Self::Incomplete("content_filter"),
            _ => Self::Completed,
        }
    }

    /// What it makes of an item that was open.
    pub(super) const fn status(self) -> Status {
        match self {
            Self::Completed => Status::Completed,
            Self::Incomplete(_) | Self::Failed(..) => Status::Incomplete,
        }
    }
}

impl Response {
    /// The response to a request, of which nothing else is known yet.
    pub(super) fn new(request: &[u8]) -> Self {
        let request = serde_json::from_slice(request);
        let Ok(Value::Object(mut request)) = request else {
            return Self::with(Map::new(), Vec::new());
        };
        let mut custom = Vec::new();
        for tool in request
            .get_mut("tools")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            if tool["type"] == "custom"
                && let Some(name) = tool["name"].as_str()
            {
                custom.push(name.to_owned());
            }
            // Where these are missing, strict clients fail.
            if tool["type"] == "function"
                && let Value::Object(tool) = tool
            {
                for name in ["parameters", "strict"] {
                    tool.entry(name).or_insert(Value::Null);
                }
            }
        }
        Self::with(request, custom)
    }

    fn with(mut request: Map<String, Value>, custom: Vec<String>) -> Self {
        let model = request.get("model").and_then(Value::as_str);
        let model = model.unwrap_or_default().to_owned();
        let repeat = |&(name, usual): &(&str, &str)| {
            let given = request.remove(name).filter(|value| !value.is_null());
            let usual = || serde_json::from_str(usual).unwrap_or_default();
            (name.to_owned(), given.unwrap_or_else(usual))
        };
        Self {
            repeated: REPEATED.iter().map(repeat).collect(),
            custom,
            id: new_id("resp"),
            model,
            created: 0,
        }
    }

    /// Takes the model and the time from a chat answer, or an event of it.
    pub(super) fn head(&mut self, chat: &Value) {
        if let Some(model) = chat["model"].as_str() {
            model.clone_into(&mut self.model);
        }
        if let Some(created) = chat["created"].as_f64() {
            self.created = created as u64;
        }
        if let Some(tier) = chat.get("service_tier").filter(|tier| tier.is_string()) {
            self.repeated
                .insert("service_tier".to_owned(), tier.clone());
        }
    }

    /// Whether a tool takes any text.
    pub(super) fn is_custom(&self, tool: &str) -> bool {
        self.custom.iter().any(|name| name == tool)
    }

    /// The object.
    pub(super) fn write(&self, end: Option<End>, output: &[Value], usage: Option<Value>) -> Value {
        let mut written = Value::Object(self.repeated.clone());
        let (mut details, mut error) = (Value::Null, Value::Null);
        let status = match end {
            None => "in_progress",
            Some(End::Completed) => "completed",
            Some(End::Incomplete(reason)) => {
                details = json!({ "reason": reason });
                "incomplete"
            }
            Some(End::Failed(code, message)) => {
                error = json!({"code": code, "message": message});
                "failed"
            }
        };
        written["id"] = self.id.as_str().into();
        written["object"] = "response".into();
        written["created_at"] = self.created.into();
        written["model"] = self.model.as_str().into();
        written["status"] = status.into();
        written["error"] = error;
        written["incomplete_details"] = details;
        written["output"] = output.into();
        written["usage"] = usage.unwrap_or_default();
        // Nothing is stored, and nothing is cut out of a request.
        written["store"] = false.into();
        written["truncation"] = "disabled".into();
        written
    }
}

/// What chat says of usage, in the words of Responses.
pub(super) fn usage(chat: &[u8]) -> Option<Value> {
    let usage = openai::usage_of(chat)?;
    Some(json!({
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input,
            "cache_write_tokens": usage.cache_write,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_all_that_clients_require() {
        const REQUIRED: &[&str] = &[
            "id",
            "object",
            "created_at",
            "error",
            "incomplete_details",
            "instructions",
            "model",
            "tools",
            "output",
            "parallel_tool_calls",
            "metadata",
            "tool_choice",
            "temperature",
            "top_p",
            "status",
            "text",
            "usage",
            "previous_response_id",
            "reasoning",
            "truncation",
        ];
        for request in ["", "[]", r#"{"model":"m","input":"hi"}"#] {
            let written = Response::new(request.as_bytes()).write(None, &[], None);
            for name in REQUIRED {
                assert!(written.get(name).is_some(), "{name}");
            }
            assert_eq!(written["status"], "in_progress");
            assert_eq!(written["tool_choice"], "auto");
            assert_eq!(written["metadata"], json!({}));
            // Who answers is told by the answer; it may not.
            assert_eq!(written["model"] == "m", request.contains("\"m\""));
        }
    }

    #[test]
    fn a_response_repeats_its_request() {
        let request = json!({"model": "group", "instructions": "be kind", "temperature": 0.5, "user": null,
            "metadata": {"a": "b"}, "store": true, "truncation": "auto",
            "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "sh"}]});
        let mut response = Response::new(request.to_string().as_bytes());
        response.head(&json!({"model": "gpt-4o-mini", "created": 7.0, "service_tier": "flex"}));
        let written = response.write(Some(End::Incomplete("content_filter")), &[], None);
        for (name, value) in [
            ("model", json!("gpt-4o-mini")),
            ("created_at", json!(7)),
            ("instructions", json!("be kind")),
            ("temperature", json!(0.5)),
            ("metadata", json!({"a": "b"})),
            ("service_tier", json!("flex")),
            ("incomplete_details", json!({"reason": "content_filter"})),
            ("store", json!(false)),
            ("truncation", json!("disabled")),
        ] {
            assert_eq!(written[name], value, "{name}");
        }
        let function = json!({"type": "function", "name": "f", "parameters": null, "strict": null});
        assert_eq!(written["tools"][0], function);
        assert!(response.is_custom("sh") && !response.is_custom("f"));
    }

    #[test]
    fn usage_is_that_of_chat() {
        let chat = json!({"choices": [], "usage": {"prompt_tokens": 654, "completion_tokens": 25, "total_tokens": 731,
            "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 52}}});
        let expected = json!({
            "input_tokens": 654, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens": 77, "output_tokens_details": {"reasoning_tokens": 52}, "total_tokens": 731,
        });
        assert_eq!(usage(chat.to_string().as_bytes()), Some(expected));
        assert_eq!(usage(br#"{"usage":null}"#), None);
    }
}

//! What is asked.

use serde_json::{Map, Number, Value};
use ziggurat_core::{Error, ErrorKind};

use super::{Message, ResponseFormat, Tool, ToolChoice};

/// A chat request, read for translation. What is read is taken out of `other`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ChatRequest {
    pub(crate) messages: Vec<Message>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: Option<ToolChoice>,
    pub(crate) parallel_tool_calls: Option<bool>,
    pub(crate) response_format: Option<ResponseFormat>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stop: Vec<String>,
    pub(crate) temperature: Option<Number>,
    pub(crate) top_p: Option<Number>,
    pub(crate) top_k: Option<Number>,
    pub(crate) n: Option<u64>,
    pub(crate) seed: Option<Number>,
    pub(crate) presence_penalty: Option<Number>,
    pub(crate) frequency_penalty: Option<Number>,
    pub(crate) logprobs: Option<bool>,
    pub(crate) top_logprobs: Option<u64>,
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or whatever was written.
    pub(crate) reasoning_effort: Option<String>,
    /// As Anthropic writes it.
    pub(crate) thinking: Option<Value>,
    pub(crate) user: Option<String>,
    /// Whether the answer is to be streamed.
    pub(crate) stream: bool,
    /// Every other field, as it was written: what only some providers know.
    pub(crate) other: Map<String, Value>,
}

impl ChatRequest {
    /// Reads a body in the shape of OpenAI's chat.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::BadRequest`], with the place of what is wrong.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            let message = format!("the body cannot be read: {error}");
            Error::new(ErrorKind::BadRequest, message)
        })?;
        let mut body = Fields::of(Some(body), "")?;
        let mut messages = Vec::new();
        for (index, message) in body.list("messages")?.into_iter().enumerate() {
            messages.push(Message::read(message, &format!("messages[{index}]"))?);
        }
        let mut tools = Vec::new();
        for (index, tool) in body.list("tools")?.into_iter().enumerate() {
            tools.push(Tool::read(tool, &format!("tools[{index}]"))?);
        }
        for function in body.list("functions")? {
            let tool = serde_json::json!({"type": "function", "function": function});
            tools.push(Tool::read(tool, "functions")?);
        }
        let choice = body.take("tool_choice");
        let choice = choice.or_else(|| body.take("function_call"));
        let format = body.take("response_format");
        let stop = stops(body.take("stop"))?;
        let longest = body.count("max_completion_tokens")?;
        let max_tokens = body.count("max_tokens")?;
        for name in ["model", "stream_options"] {
            body.take(name);
        }
        Ok(Self {
            messages,
            tools,
            tool_choice: choice.as_ref().map(ToolChoice::read).transpose()?,
            parallel_tool_calls: body.flag("parallel_tool_calls")?,
            response_format: format.map(ResponseFormat::read).transpose()?,
            max_tokens: longest.or(max_tokens),
            stop,
            temperature: body.number("temperature")?,
            top_p: body.number("top_p")?,
            top_k: body.number("top_k")?,
            n: body.count("n")?,
            seed: body.number("seed")?,
            presence_penalty: body.number("presence_penalty")?,
            frequency_penalty: body.number("frequency_penalty")?,
            logprobs: body.flag("logprobs")?,
            top_logprobs: body.count("top_logprobs")?,
            reasoning_effort: body.text("reasoning_effort")?,
            thinking: body.take("thinking"),
            user: body.text("user")?,
            stream: body.flag("stream")?.unwrap_or(false),
            other: body.rest(),
        })
    }

    /// Whether an earlier message calls a tool or holds a result.
    pub(crate) fn has_tool_history(&self) -> bool {
        let mut messages = self.messages.iter();
        messages.any(|message| !message.tool_calls.is_empty() || message.tool_call_id.is_some())
    }

    /// The name of the function that an earlier call of that id called.
    pub(crate) fn name_of_call(&self, id: &str) -> Option<&str> {
        let calls = self.messages.iter().flat_map(|message| &message.tool_calls);
        let mut named = calls.filter(|call| call.id == id);
        named.next_back().map(|call| call.name.as_str())
    }
}

fn stops(stop: Option<Value>) -> Result<Vec<String>, Error> {
    let no_stop = || wrong("stop", "a string or a list of strings");
    match stop {
        None => Ok(Vec::new()),
        Some(Value::String(stop)) => Ok(vec![stop]),
        Some(Value::Array(list)) => {
            let texts = list.into_iter().map(|stop| match stop {
                Value::String(stop) => Ok(stop),
                _ => Err(no_stop()),
            });
            texts.collect()
        }
        Some(_) => Err(no_stop()),
    }
}

/// A field that is not what it should be.
pub(crate) fn wrong(at: &str, expected: &str) -> Error {
    let message = format!("`{at}` must be {expected}");
    Error::new(ErrorKind::BadRequest, message)
        .with_param(at)
        .with_code("invalid_type")
}

/// The fields of an object, taken out one by one. Null is as good as absent.
pub(crate) struct Fields {
    fields: Map<String, Value>,
    at: String,
}

impl Fields {
    pub(crate) fn new(fields: Map<String, Value>, at: &str) -> Self {
        let at = at.to_owned();
        Self { fields, at }
    }

    pub(crate) fn of(value: Option<Value>, at: &str) -> Result<Self, Error> {
        match value {
            None | Some(Value::Null) => Ok(Self::new(Map::new(), at)),
            Some(Value::Object(fields)) => Ok(Self::new(fields, at)),
            Some(_) => Err(wrong(at, "an object")),
        }
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Value> {
        let value = self.fields.remove(name);
        value.filter(|value| !value.is_null())
    }

    /// What was not taken.
    pub(crate) fn rest(self) -> Map<String, Value> {
        self.fields
    }

    fn wrong(&self, name: &str, expected: &str) -> Error {
        match self.at.is_empty() {
            true => wrong(name, expected),
            false => wrong(&format!("{}.{name}", self.at), expected),
        }
    }

    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "a string")),
        }
    }

    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.wrong(name, "true or false")),
        }
    }

    pub(crate) fn number(&mut self, name: &str) -> Result<Option<Number>, Error> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(_) => Err(self.wrong(name, "a number")),
        }
    }

    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>, Error> {
        match self.number(name)? {
            None => Ok(None),
            Some(number) => match number.as_u64() {
                Some(count) => Ok(Some(count)),
                None => Err(self.wrong(name, "a whole number from 0")),
            },
        }
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<Value>, Error> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(_) => Err(self.wrong(name, "a list")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::chat::{Media, Part, Role, ToolCall};

    fn read(body: &Value) -> Result<ChatRequest, Error> {
        ChatRequest::read(body.to_string().as_bytes())
    }

    #[test]
    fn a_request_is_read_in_all_its_parts_and_keeps_what_it_does_not_know() {
        let request = read(&json!({
            "model": "m", "stream": true, "stop": "x", "max_tokens": 5, "max_completion_tokens": 7,
            "temperature": 0.5, "new_field": {"a": 1},
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "web_search"}],
            "messages": [
                {"role": "developer", "content": "be kind"},
                {"role": "user", "content": [
                    {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "image_url", "image_url": "https://x/y.png"},
                    {"type": "file", "file": {"file_id": "f1"}},
                    {"type": "video_url", "video_url": {"url": "u"}},
                ]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                ]},
                {"role": "tool", "tool_call_id": "c", "content": "42"},
            ],
        }))
        .expect("is valid");
        assert_eq!(
            (request.max_tokens, &request.stop[..]),
            (Some(7), &["x".to_owned()][..])
        );
        assert_eq!(request.tool_choice, Some(ToolChoice::Named("f".to_owned())));
        assert_eq!(request.other.keys().collect::<Vec<_>>(), ["new_field"]);
        assert!(matches!(request.tools[1], Tool::Other(_)));
        let [system, user, assistant, tool] = &request.messages[..] else {
            panic!("four messages")
        };
        assert_eq!(
            (system.role, system.text().as_str()),
            (Role::System, "be kind")
        );
        assert!(matches!(
            &user.content[0],
            Part::Text { cache: Some(_), .. }
        ));
        let data = Media::of("data:image/png;base64,AAAA".to_owned());
        assert!(matches!(data, Media::Data { .. }));
        assert!(matches!(&user.content[1], Part::Image { media, .. } if *media == data));
        assert!(matches!(
            &user.content[2],
            Part::Image {
                media: Media::Url(_),
                ..
            }
        ));
        assert!(matches!(
            &user.content[3],
            Part::File {
                media: Media::Id(_),
                ..
            }
        ));
        assert!(matches!(&user.content[4], Part::Other(_)));
        assert_eq!(assistant.tool_calls[0].input(), json!({"a": 1}));
        assert_eq!(tool.tool_call_id.as_deref(), Some("c"));
        assert_eq!(request.name_of_call("c"), Some("f"));
    }

    #[test]
    fn arguments_that_are_no_object_become_one() {
        let input = |arguments: &str| {
            let arguments = arguments.to_owned();
            let call = ToolCall {
                arguments,
                ..ToolCall::default()
            };
            call.input()
        };
        assert_eq!(input(""), json!({}));
        assert_eq!(input("[1]"), json!({"input": [1]}));
        assert_eq!(input("{\"a\""), json!({"input": "{\"a\""}));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let image = json!({"role": "user", "content": [{"type": "image_url"}]});
        for (body, at) in [
            (json!({"messages": 7}), "messages"),
            (json!({"messages": [{"role": "king"}]}), "messages[0].role"),
            (
                json!({"messages": [{"role": "user", "content": 7}]}),
                "messages[0].content",
            ),
            (
                json!({"messages": [{"role": "user", "content": [7]}]}),
                "messages[0].content[0]",
            ),
            (
                json!({"messages": [image]}),
                "messages[0].content[0].image_url.url",
            ),
            (
                json!({"tools": [{"type": "function", "function": {}}]}),
                "tools[0].function.name",
            ),
            (json!({"temperature": "hot"}), "temperature"),
            (json!({"max_tokens": -1}), "max_tokens"),
            (json!({"stop": [1]}), "stop"),
            (
                json!({"response_format": {"type": "xml"}}),
                "response_format.type",
            ),
        ] {
            let error = read(&body).expect_err("is wrong");
            assert_eq!(
                (error.kind(), error.param()),
                (ErrorKind::BadRequest, Some(at))
            );
        }
    }
}

//! What Converse answers, as a whole.

use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind};

use crate::{
    chat::{Answer, Choice, Finish, Tokens, ToolCall},
    dialect::{Call, anthropic::form},
};

/// Members of an answer that are passed on as they are.
const PASSED: &[&str] = &["additionalModelResponseFields", "trace"];

/// Reads an answer.
///
/// # Errors
///
/// [`ErrorKind::BadAnswer`] if it holds no message.
pub(super) fn read(call: &Call<'_>, body: &[u8]) -> Result<Answer, Error> {
    let bad = |message: &'static str| Error::new(ErrorKind::BadAnswer, message);
    let mut body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|_| bad("the provider's answer is not a JSON object"))?;
    let mut output = body.remove("output").unwrap_or_default();
    let content = output.pointer_mut("/message/content").map(Value::take);
    let Some(Value::Array(content)) = content else {
        return Err(bad("the provider's answer holds no message"));
    };
    let mut message = Message::default();
    for block in content {
        if let Value::Object(block) = block {
            message.add(block);
        }
    }
    let choice = message.into_choice(body.get("stopReason").and_then(Value::as_str));
    let usage = body.get("usage").and_then(tokens);
    let other = PASSED.iter().filter_map(|name| body.remove_entry(*name));
    Ok(Answer {
        id: None,
        model: call.model.to_owned(),
        created: call.now,
        choices: vec![choice],
        usage,
        other: other.collect(),
    })
}

#[derive(Debug, Default)]
struct Message {
    choice: Choice,
    /// What only Bedrock's clients know: where an answer comes from, and what the provider's own
    /// tools did for it.
    citations: Vec<Value>,
    server_tools: Vec<Value>,
}

impl Message {
    fn add(&mut self, mut block: Map<String, Value>) {
        if let Some(Value::String(text)) = block.get("text") {
            self.choice.content.push_str(text);
        } else if let Some(tool) = block.remove("toolUse") {
            self.call(&tool);
        } else if let Some(result) = block.remove("toolResult") {
            self.server_tools.push(json!({ "toolResult": result }));
        } else if let Some(reasoning) = block.remove("reasoningContent") {
            self.reason(&reasoning);
        } else if let Some(cited) = block.remove("citationsContent") {
            self.cite(&cited);
        } else if let Some(image) = block.get("image").and_then(image) {
            self.choice.images.push(image);
        }
    }

    fn call(&mut self, tool: &Value) {
        if is_server_tool(tool) {
            self.server_tools.push(json!({ "toolUse": tool }));
            return;
        }
        let text = |name: &str| tool[name].as_str().unwrap_or_default().to_owned();
        let arguments = match &tool["input"] {
            Value::Null => "{}".to_owned(),
            input => input.to_string(),
        };
        if tool["name"] == form::TOOL {
            self.choice.content.push_str(&arguments);
            return;
        }
        self.choice.tool_calls.push(ToolCall {
            id: text("toolUseId"),
            name: text("name"),
            arguments,
            extra: None,
        });
    }

    fn reason(&mut self, reasoning: &Value) {
        if let Some(data) = reasoning["redactedContent"].as_str() {
            self.choice.thinking.push(redacted(data));
            return;
        }
        let said = &reasoning["reasoningText"];
        let text = said["text"].as_str().unwrap_or_default();
        self.choice.reasoning.push_str(text);
        if let Some(signature) = said["signature"].as_str() {
            self.choice.thinking.push(thought(text, signature));
        }
    }

    fn cite(&mut self, cited: &Value) {
        let start = self.choice.content.chars().count();
        for text in cited["content"].as_array().into_iter().flatten() {
            self.choice
                .content
                .push_str(text["text"].as_str().unwrap_or_default());
        }
        let end = self.choice.content.chars().count();
        for citation in cited["citations"].as_array().into_iter().flatten() {
            self.choice
                .annotations
                .extend(annotation(citation, start, end));
            self.citations.push(citation.clone());
        }
    }

    fn into_choice(mut self, reason: Option<&str>) -> Choice {
        let calls = !self.choice.tool_calls.is_empty();
        self.choice.finish = reason.map_or(Finish::Unknown, |reason| finish(reason, calls));
        let lists = [
            ("citations", self.citations),
            ("server_tools", self.server_tools),
        ];
        let extra = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let extra: Map<_, _> = extra
            .map(|(name, list)| (name.to_owned(), list.into()))
            .collect();
        self.choice.extra = (!extra.is_empty()).then(|| extra.into());
        self.choice
    }
}

/// Whether the provider runs a tool itself: the client has nothing to do with its call.
pub(super) fn is_server_tool(tool: &Value) -> bool {
    tool["type"] == "server_tool_use"
}

/// A thought with the signature of its maker, as Anthropic writes it.
pub(super) fn thought(text: &str, signature: &str) -> Value {
    json!({"type": "thinking", "thinking": text, "signature": signature})
}

/// A thought that is not shown.
pub(super) fn redacted(data: &str) -> Value {
    json!({"type": "redacted_thinking", "data": data})
}

/// A citation of a page of the web as OpenAI has it, for the characters between two places; `None`
/// for one of a document.
pub(super) fn annotation(citation: &Value, start: usize, end: usize) -> Option<Value> {
    let web = &citation["location"]["web"];
    let url = web["url"].as_str()?;
    let title = citation["title"]
        .as_str()
        .or_else(|| web["domain"].as_str());
    let cited =
        json!({"url": url, "title": title.unwrap_or(url), "start_index": start, "end_index": end});
    Some(json!({"type": "url_citation", "url_citation": cited}))
}

fn image(image: &Value) -> Option<Value> {
    let (format, data) = (
        image["format"].as_str()?,
        image["source"]["bytes"].as_str()?,
    );
    let url = format!("data:image/{format};base64,{data}");
    Some(json!({"type": "image_url", "image_url": {"url": url}}))
}

/// Why an answer ended. An answer that calls tools of the client's ends for them, whatever it says.
pub(super) fn finish(reason: &str, calls: bool) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "guardrail_intervened" | "content_filtered" => Finish::ContentFilter,
        "malformed_model_output" | "malformed_tool_use" => Finish::Error,
        _ if calls => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// What an answer used. What was read from a cache or written to one is counted apart from the rest
/// of the input.
pub(super) fn tokens(usage: &Value) -> Option<Tokens> {
    let count = |name: &str| usage[name].as_u64();
    let cache = |name: &str| {
        let counted = count(&format!("cache{name}InputTokens"));
        let counted = counted.or_else(|| count(&format!("cache{name}InputTokenCount")));
        counted.unwrap_or_default()
    };
    let (cached, cache_write) = (cache("Read"), cache("Write"));
    let input = count("inputTokens")?;
    Some(Tokens {
        input: input.saturating_add(cached).saturating_add(cache_write),
        cached,
        cache_write,
        output: count("outputTokens").unwrap_or_default(),
        ..Tokens::default()
    })
}

//! A whole answer, and what one has in common with a stream.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind, Usage};

use super::{object, signature};
use crate::{
    chat::ToolCall,
    dialect::openai,
    shape::messages::{arguments, said, thoughts},
};

/// The answer as Google writes it.
///
/// # Errors
///
/// [`ErrorKind::BadAnswer`] if it holds no choice.
pub(super) fn answer(request: &[u8], chat: &[u8]) -> Result<Bytes, Error> {
    let usage = openai::usage_of(chat);
    let mut chat: Value = serde_json::from_slice(chat).unwrap_or_default();
    let choices = match taken(&mut chat, "choices") {
        Value::Array(choices) if !choices.is_empty() => choices,
        _ => {
            let message = "the provider's answer holds no choices";
            return Err(Error::new(ErrorKind::BadAnswer, message));
        }
    };
    let shows = shows_thoughts(request);
    let is_one = choices.len() == 1;
    let mut candidates = Vec::with_capacity(choices.len());
    let mut blocked = None;
    for (index, mut choice) in choices.into_iter().enumerate() {
        let mut message = taken(&mut choice, "message");
        let mut parts = Parts::new(shows);
        parts.message(&mut message);
        let calls = calls(&mut message);
        let refusal = message["refusal"]
            .as_str()
            .filter(|words| !words.is_empty());
        if is_one && calls.is_empty() && parts.is_silent() && refusal.is_some() {
            blocked = refusal.map(|words| block(words, &choice["finish_reason"]));
            continue;
        }
        calls.iter().for_each(|call| parts.call(call));
        let mut candidate = candidate(index as u64, parts.finish());
        end(&mut candidate, &choice["finish_reason"], refusal);
        about(&mut candidate, &mut message, &choice["logprobs"]);
        candidates.push(candidate);
    }
    let mut answer = json!({});
    if !candidates.is_empty() {
        answer["candidates"] = candidates.into();
    }
    if let Some(block) = blocked {
        answer["promptFeedback"] = block;
    }
    name(&mut answer, &chat, usage);
    Ok(answer.to_string().into())
}

/// Whether the client wants to be told what the model thinks.
pub(super) fn shows_thoughts(request: &[u8]) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Thinking {
        #[serde(rename = "includeThoughts", alias = "include_thoughts")]
        includes: Option<bool>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Config {
        #[serde(rename = "thinkingConfig", alias = "thinking_config")]
        thinking: Option<Thinking>,
    }
    #[derive(Deserialize)]
    struct Asked {
        #[serde(default, rename = "generationConfig", alias = "generation_config")]
        config: Option<Config>,
    }
    // Most do not say it, and may be long.
    if memmem::find(request, b"Thoughts")
        .or(memmem::find(request, b"_thoughts"))
        .is_none()
    {
        return false;
    }
    let asked = serde_json::from_slice::<Asked>(request).ok();
    let config = asked.and_then(|asked| asked.config);
    let thinking = config.and_then(|config| config.thinking);
    thinking.and_then(|thinking| thinking.includes) == Some(true)
}

/// A candidate that says something.
pub(super) fn candidate(index: u64, parts: Vec<Value>) -> Value {
    let content = object([("parts", parts.into()), ("role", "model".into())]);
    object([("content", content), ("index", index.into())])
}

/// Says why a candidate ended.
pub(super) fn end(candidate: &mut Value, reason: &Value, refusal: Option<&str>) {
    let reason = match reason.as_str().unwrap_or_default() {
        "length" => "MAX_TOKENS",
        "content_filter" | "sensitive" => "SAFETY",
        "error" => "OTHER",
        _ if refusal.is_some() => "SAFETY",
        _ => "STOP",
    };
    candidate["finishReason"] = reason.into();
    if let Some(words) = refusal {
        candidate["finishMessage"] = words.into();
    }
}

/// What is said in the place of an answer that was refused.
pub(super) fn block(words: &str, reason: &Value) -> Value {
    let reason = match reason.as_str() {
        Some("content_filter" | "sensitive") => "SAFETY",
        _ => "OTHER",
    };
    json!({"blockReason": reason, "blockReasonMessage": words})
}

/// Names an answer, and says what it used.
pub(super) fn name(answer: &mut Value, chat: &Value, usage: Option<Usage>) {
    if let Some(usage) = usage {
        answer["usageMetadata"] = usage_json(usage);
    }
    for (own, usual) in [("modelVersion", "model"), ("responseId", "id")] {
        if let Some(text) = chat[usual].as_str().filter(|text| !text.is_empty()) {
            answer[own] = text.into();
        }
    }
}

fn usage_json(usage: Usage) -> Value {
    let mut counts = json!({
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output.saturating_sub(usage.reasoning),
        "totalTokenCount": usage.total(),
    });
    for (name, count) in [
        ("cachedContentTokenCount", usage.cached_input),
        ("thoughtsTokenCount", usage.reasoning),
    ] {
        if count > 0 {
            counts[name] = count.into();
        }
    }
    counts
}

/// A member of an object, if it is one and has it.
pub(super) fn taken(value: &mut Value, name: &str) -> Value {
    value.get_mut(name).map(Value::take).unwrap_or_default()
}

/// The calls of a message.
fn calls(message: &mut Value) -> Vec<ToolCall> {
    let mut calls = match taken(message, "tool_calls") {
        Value::Array(calls) => calls,
        _ => Vec::new(),
    };
    if let function @ Value::Object(_) = taken(message, "function_call") {
        calls.push(json!({"function": function}));
    }
    let read = |mut call: Value| {
        let function = &call["function"];
        ToolCall {
            name: function["name"].as_str().unwrap_or_default().to_owned(),
            arguments: arguments(&function["arguments"]),
            id: call["id"].as_str().unwrap_or_default().to_owned(),
            extra: Some(taken(&mut call, "provider_specific_fields")),
        }
    };
    calls.into_iter().map(read).collect()
}

/// What a choice says besides what the model said.
pub(super) fn about(candidate: &mut Value, message: &mut Value, logprobs: &Value) {
    for (own, usual) in [
        ("groundingMetadata", "grounding_metadata"),
        ("safetyRatings", "safety_ratings"),
        ("urlContextMetadata", "url_context_metadata"),
    ] {
        let extra = message.get_mut("provider_specific_fields");
        let known = extra.and_then(|extra| extra.get_mut(usual));
        if let Some(known) = known.filter(|known| !known.is_null()) {
            candidate[own] = known.take();
        }
    }
    if candidate.get("groundingMetadata").is_none() {
        let chunks = sources(&message["annotations"]);
        if !chunks.is_empty() {
            candidate["groundingMetadata"] = json!({ "groundingChunks": chunks });
        }
    }
    if let Some(tokens) = logprobs["content"].as_array() {
        candidate["logprobsResult"] = probabilities(tokens);
    }
}

/// The places on the web that an answer names.
fn sources(annotations: &Value) -> Vec<Value> {
    let all = annotations.as_array().into_iter().flatten();
    let places = all.map(|annotation| &annotation["url_citation"]);
    let named = places.filter(|place| place["url"].is_string());
    let web = named.map(|place| json!({"web": {"uri": place["url"], "title": place["title"]}}));
    web.collect()
}

fn probabilities(tokens: &[Value]) -> Value {
    let one = |token: &Value| json!({"token": token["token"], "logProbability": token["logprob"]});
    let top = tokens.iter().map(|token| {
        let top = token["top_logprobs"].as_array().into_iter().flatten();
        json!({"candidates": top.map(one).collect::<Vec<_>>()})
    });
    json!({
        "chosenCandidates": tokens.iter().map(one).collect::<Vec<_>>(),
        "topCandidates": top.collect::<Vec<_>>(),
    })
}

/// The parts of an answer, or of a piece of one. What must come back is a signature of the next part.
#[derive(Debug, Default)]
pub(super) struct Parts {
    shows_thoughts: bool,
    parts: Vec<Value>,
    /// Blocks that wait for a part to ride on.
    blocks: Vec<Value>,
    /// Google's own signatures, which do the same.
    signatures: Vec<String>,
    /// Words of thoughts that are not shown.
    hidden: String,
    /// Whether words of the last thought were told that has not ended.
    is_told: bool,
    /// Whether a part was made that is no thought.
    spoke: bool,
}

/// How many bytes of hidden thoughts are kept for a call.
const MAX_HIDDEN: usize = 256 * 1024;

impl Parts {
    pub(super) fn new(shows_thoughts: bool) -> Self {
        Self {
            shows_thoughts,
            ..Self::default()
        }
    }

    /// Adds what a message says, but for its calls.
    pub(super) fn message(&mut self, message: &mut Value) {
        let blocks = match taken(message, "thinking_blocks") {
            Value::Array(blocks) => blocks,
            _ => Vec::new(),
        };
        let mut words = thoughts(message);
        // A block that comes when its words have been told is there to be signed.
        if words.is_empty() && !self.is_told {
            let told = blocks.iter().filter_map(|block| block["thinking"].as_str());
            words = told.collect();
        }
        self.thought(words);
        blocks.into_iter().for_each(|block| self.block(block));
        if let Some(extra) = message.get_mut("provider_specific_fields") {
            if let Value::Array(list) = taken(extra, "thought_signatures") {
                let texts = list.iter().filter_map(Value::as_str);
                self.signatures.extend(texts.map(str::to_owned));
            }
            if let Value::Array(list) = taken(extra, "code_execution") {
                self.parts.extend(list);
            }
        }
        let text = said(&message["content"]);
        if !text.is_empty() {
            self.push(object([("text", text.into())]));
        }
        let images = message["images"].as_array().into_iter().flatten();
        for image in images {
            let url = image["image_url"]["url"].as_str().unwrap_or_default();
            let data = url
                .strip_prefix("data:")
                .and_then(|url| url.split_once(";base64,"));
            if let Some((mime, data)) = data {
                self.push(inline(mime, data));
            }
        }
        if let Some(data) = message["audio"]["data"].as_str() {
            self.push(inline("audio/pcm;rate=24000", data));
        }
    }

    /// Adds what the model thinks.
    fn thought(&mut self, words: String) {
        self.is_told |= !words.is_empty();
        if words.is_empty() {
            return;
        }
        if self.shows_thoughts {
            let thought = object([("text", words.into()), ("thought", true.into())]);
            self.parts.push(thought);
        } else if self.hidden.len() < MAX_HIDDEN {
            self.hidden.push_str(&words);
        }
    }

    /// Adds a block that is to come back, or a piece of the last one.
    fn block(&mut self, mut block: Value) {
        let is_open = |block: &Value| block["type"] == "thinking" && block["signature"] == "";
        let signature = block["signature"].as_str().unwrap_or_default().to_owned();
        if block["type"] != "thinking" || !signature.is_empty() {
            self.is_told = false;
        }
        match self.blocks.last_mut().filter(|last| is_open(last)) {
            Some(last) if block["type"] == "thinking" => {
                let before = last["thinking"].as_str().unwrap_or_default();
                let piece = block["thinking"].as_str().unwrap_or_default();
                last["thinking"] = format!("{before}{piece}").into();
                last["signature"] = signature.into();
            }
            _ if block.is_object() => {
                if block["type"] == "thinking" && block.get("signature").is_none() {
                    block["signature"] = "".into();
                }
                self.blocks.push(block);
            }
            _ => {}
        }
    }

    /// Adds a call.
    pub(super) fn call(&mut self, call: &ToolCall) {
        // Who hides its thoughts may want to have them back with the call that came of them.
        if !self.hidden.is_empty() && self.blocks.is_empty() {
            let words = std::mem::take(&mut self.hidden);
            self.blocks.push(signature::unsigned(words));
        }
        let mut part = object([("name", call.name.as_str().into()), ("args", call.input())]);
        if !call.id.is_empty() {
            part["id"] = call.id.as_str().into();
        }
        let mut part = object([("functionCall", part)]);
        let extra = call.extra.as_ref();
        if let Some(signature) = extra.and_then(|extra| extra["thought_signature"].as_str()) {
            part["thoughtSignature"] = signature.into();
        }
        self.push(part);
    }

    fn push(&mut self, mut part: Value) {
        (self.spoke, self.is_told) = (true, false);
        if part.get("thoughtSignature").is_none()
            && let Some(signature) = self.signature()
        {
            part["thoughtSignature"] = signature.into();
        }
        self.parts.push(part);
    }

    fn signature(&mut self) -> Option<String> {
        if !self.blocks.is_empty() {
            self.hidden.clear();
            return Some(signature::write(std::mem::take(&mut self.blocks)));
        }
        let last = self.signatures.pop();
        self.signatures.clear();
        last
    }

    /// Whether nothing was said that is no thought.
    pub(super) fn is_silent(&self) -> bool {
        !self.spoke
    }

    /// What was added since the last time.
    pub(super) fn take(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.parts)
    }

    /// The same at the end: a signature that waits gets a part of its own.
    pub(super) fn finish(mut self) -> Vec<Value> {
        if !self.blocks.is_empty() || !self.signatures.is_empty() {
            self.push(object([("text", "".into())]));
        }
        self.parts
    }
}

fn inline(mime: &str, data: &str) -> Value {
    let data = object([("mimeType", mime.into()), ("data", data.into())]);
    object([("inlineData", data)])
}

/// An answer that says this of some candidates.
pub(super) fn of(candidates: Vec<Value>) -> Value {
    Value::Object(Map::from_iter([(
        "candidates".to_owned(),
        candidates.into(),
    )]))
}

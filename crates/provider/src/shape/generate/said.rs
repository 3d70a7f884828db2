//! What is said in an answer, as Google's parts.

use serde_json::Value;

use super::{answer::taken, object, signature};
use crate::{
    chat::ToolCall,
    shape::messages::{said, thoughts},
};

/// The parts of an answer, or of a piece of one. What must come back is a signature of the next part.
#[derive(Debug, Default)]
pub(super) struct Parts {
    shows_thoughts: bool,
    parts: Vec<Value>,
    /// Blocks that wait for a part to ride on.
    blocks: Vec<Value>,
    /// How many bytes they have.
    held: usize,
    /// The last of Google's own signatures, which does the same.
    signature: Option<String>,
    /// Words of thoughts that are not shown.
    hidden: String,
    /// Whether words of the last thought were told that has not ended.
    is_told: bool,
    /// Whether a part was made that is no thought.
    spoke: bool,
}

/// How many bytes of hidden thoughts are kept for a call.
const MAX_HIDDEN: usize = 256 * 1024;
/// How many bytes of blocks are kept for a part. Some of them are of no use.
const MAX_HELD: usize = 4 * 1024 * 1024;

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
                let last = list.iter().rev().find_map(Value::as_str);
                self.signature = last.map(str::to_owned).or(self.signature.take());
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
        let words = ["thinking", "data"].map(|name| block[name].as_str().unwrap_or_default().len());
        self.held += words.iter().sum::<usize>();
        if self.held > MAX_HELD {
            return self.blocks.clear();
        }
        match self.blocks.last_mut().filter(|last| is_open(last)) {
            Some(last) if block["type"] == "thinking" => {
                let piece = block["thinking"].as_str().unwrap_or_default();
                match last.get_mut("thinking") {
                    Some(Value::String(words)) => words.push_str(piece),
                    _ => last["thinking"] = piece.into(),
                }
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
        self.held = 0;
        if self.blocks.is_empty() {
            return self.signature.take();
        }
        self.hidden.clear();
        Some(signature::write(std::mem::take(&mut self.blocks)))
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
        if !self.blocks.is_empty() || self.signature.is_some() {
            self.push(object([("text", "".into())]));
        }
        self.parts
    }
}

fn inline(mime: &str, data: &str) -> Value {
    let data = object([("mimeType", mime.into()), ("data", data.into())]);
    object([("inlineData", data)])
}

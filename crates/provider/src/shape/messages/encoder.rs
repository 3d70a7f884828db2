//! A streamed answer.

use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::Usage;

use super::{
    answer::{self, Finish},
    blocks::Blocks,
};
use crate::{
    dialect::openai,
    shape::Encoder,
    sse::{self, Event},
};

/// Writes OpenAI's events as Anthropic's: a start, blocks one after the other, and an end with all
/// that was used.
#[derive(Debug)]
pub(super) struct MessagesEncoder {
    blocks: Blocks,
    stops: Vec<String>,
    started: bool,
    finish: Finish,
    usage: Option<Usage>,
}

impl MessagesEncoder {
    pub(super) fn new(request: &[u8]) -> Self {
        Self {
            blocks: Blocks::default(),
            stops: answer::stops(request),
            started: false,
            finish: Finish::default(),
            usage: None,
        }
    }

    fn start(&mut self, id: &str, model: &str) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let message = json!({
            "id": answer::message_id(id),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": answer::usage_json(None),
        });
        let start = json!({"type": "message_start", "message": message});
        self.blocks.write("message_start", &start);
    }

    fn event(&mut self, event: &[u8]) {
        let Some(data) = Event::read(event).data else {
            if self.started {
                self.blocks.write("ping", &json!({"type": "ping"}));
            }
            return;
        };
        let Ok(chunk @ Value::Object(_)) = serde_json::from_slice::<Value>(&data) else {
            return;
        };
        let text = |name: &str| chunk[name].as_str().unwrap_or_default();
        let choices = chunk["choices"].as_array();
        let choices = choices.map(Vec::as_slice).unwrap_or_default();
        // Azure begins with an event that names nothing, to tell what its filter says.
        if !choices.is_empty() {
            self.start(text("id"), text("model"));
        }
        if ["usage", "x_groq"]
            .iter()
            .any(|name| chunk[*name].is_object())
        {
            self.usage = openai::usage_of(&data).or(self.usage);
        }
        for choice in choices {
            if choice["index"].as_u64().unwrap_or_default() == 0 {
                self.delta(&choice["delta"]);
                self.finish.read(choice, &self.stops);
            }
        }
    }

    fn delta(&mut self, delta: &Value) {
        self.thoughts(delta);
        let refusal = delta["refusal"].as_str().unwrap_or_default();
        self.finish.refused |= !refusal.is_empty();
        for text in [answer::said(&delta["content"]).as_str(), refusal] {
            if !text.is_empty() {
                self.blocks.text(text);
            }
        }
        let calls = delta["tool_calls"].as_array().into_iter().flatten();
        for call in calls {
            self.call(call["index"].as_u64(), &call["id"], &call["function"]);
        }
        let function = &delta["function_call"];
        if function.is_object() {
            self.call(None, &Value::Null, function);
        }
    }

    fn call(&mut self, number: Option<u64>, id: &Value, function: &Value) {
        self.finish.called = true;
        self.blocks.call(
            number.unwrap_or_default(),
            id.as_str().unwrap_or_default(),
            function["name"].as_str().unwrap_or_default(),
            &answer::arguments(&function["arguments"]),
        );
    }

    /// Thoughts come in words, in blocks that are signed, or in both.
    fn thoughts(&mut self, delta: &Value) {
        let words = answer::thoughts(delta);
        let blocks = delta["thinking_blocks"].as_array();
        let blocks = blocks.map(Vec::as_slice).unwrap_or_default();
        let has_words = |block: &Value| block["thinking"].as_str().is_some_and(|it| !it.is_empty());
        if !words.is_empty() && !blocks.iter().any(has_words) {
            self.blocks.thinking(&words);
        }
        for block in blocks {
            if block["type"] == "redacted_thinking" {
                self.blocks.whole(block);
                continue;
            }
            let text = block["thinking"].as_str().unwrap_or_default();
            // A block that comes when its words have been said is there to be signed.
            let again = words.is_empty() && self.blocks.is_thinking();
            if !text.is_empty() && !again {
                self.blocks.thinking(text);
            }
            match block["signature"].as_str() {
                None | Some("") => {}
                Some(signature) => self.blocks.sign(signature),
            }
        }
    }
}

impl Encoder for MessagesEncoder {
    fn encode(&mut self, events: &Bytes) -> Bytes {
        for event in sse::events(events) {
            self.event(event);
        }
        self.blocks.take()
    }

    fn end(&mut self) -> Bytes {
        self.start("", "");
        self.blocks.finish();
        let (reason, stop) = self.finish.reason();
        let delta = json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": stop},
            "usage": answer::usage_json(self.usage),
        });
        self.blocks.write("message_delta", &delta);
        let stop = json!({"type": "message_stop"});
        self.blocks.write("message_stop", &stop);
        self.blocks.take()
    }
}

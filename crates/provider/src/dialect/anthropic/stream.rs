//! The stream of an answer.

use std::sync::Arc;

use serde_json::{Value, json};
use ziggurat_core::{Deployment, Error};

use super::{
    answer::{self, annotation},
    form,
    usage::Counts,
};
use crate::{
    chat::{Events, Finish},
    dialect::{
        openai,
        sse::{OnEvent, SseDecoder},
    },
};

/// How much of a thought is kept for its block. A longer one is told, and cannot be given back.
const MAX_THOUGHT: usize = 1024 * 1024;
/// How many places one text may refer to.
const MAX_CITATIONS: usize = 256;

/// A decoder of the events of the Messages API.
pub(crate) fn decoder(deployment: &Arc<Deployment>) -> SseDecoder<Messages> {
    SseDecoder::new(Messages {
        deployment: Arc::clone(deployment),
        open: Open::Nothing,
        counts: Counts::default(),
        stop: None,
        chars: 0,
        calls: false,
        is_closed: false,
    })
}

/// Makes OpenAI's events of those of one message.
#[derive(Debug)]
pub(crate) struct Messages {
    deployment: Arc<Deployment>,
    /// The block that is being said.
    open: Open,
    counts: Counts,
    /// Why it ended, once that is known.
    stop: Option<String>,
    /// How many characters of text were said.
    chars: u64,
    calls: bool,
    is_closed: bool,
}

/// A block that is not complete.
#[derive(Debug)]
enum Open {
    Nothing,
    Text {
        /// Where it begins, in characters.
        start: u64,
        citations: Vec<Value>,
    },
    Call {
        /// The number of the call; none for that which takes the answer.
        number: Option<u64>,
        /// The input, if it came as a whole.
        whole: Option<Value>,
        /// Whether a piece of the input came.
        began: bool,
    },
    Thought {
        text: String,
        signature: String,
        is_cut: bool,
    },
}

impl OnEvent for Messages {
    fn event(&mut self, data: &[u8], out: &mut Events) -> Result<(), Error> {
        let Ok(event) = serde_json::from_slice::<Value>(data) else {
            out.skip();
            return Ok(());
        };
        let kind = event["type"].as_str().unwrap_or_default();
        if kind == "error" || event.get("error").is_some_and(|error| !error.is_null()) {
            return Err(openai::in_band(data, &self.deployment));
        }
        if self.is_closed {
            return Ok(());
        }
        match kind {
            "message_start" => {
                let message = &event["message"];
                out.set_id(message["id"].as_str().unwrap_or_default());
                out.set_model(message["model"].as_str().unwrap_or_default());
                self.counts.take(&message["usage"]);
                out.begin();
            }
            "content_block_start" => self.begin(&event["content_block"], out),
            "content_block_delta" => self.go_on(&event["delta"], out),
            "content_block_stop" => self.complete(out),
            "message_delta" => {
                self.counts.take(&event["usage"]);
                let delta = &event["delta"];
                if let Some(reason) = delta["stop_reason"].as_str() {
                    self.stop = Some(reason.to_owned());
                }
                let is_silent = self.chars == 0 && !self.calls;
                if let Some(words) = answer::refusal(&delta["stop_details"]).filter(|_| is_silent) {
                    out.refusal(0, &words);
                }
            }
            "message_stop" => self.close(out),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Events) -> Result<(), Error> {
        if self.stop.is_some() {
            self.close(out);
        }
        Ok(())
    }
}

impl Messages {
    /// The beginning of a block.
    fn begin(&mut self, block: &Value, out: &mut Events) {
        self.complete(out);
        let text = |name: &str| block[name].as_str().unwrap_or_default();
        match text("type") {
            "text" => {
                self.open = Open::Text {
                    start: self.chars,
                    citations: Vec::new(),
                };
                self.text(text("text"), out);
            }
            "tool_use" => {
                let number = match text("name") {
                    form::TOOL => None,
                    name => {
                        self.calls = true;
                        Some(out.call(0, text("id"), name))
                    }
                };
                let whole = block["input"].as_object().filter(|input| !input.is_empty());
                self.open = Open::Call {
                    number,
                    whole: whole.map(|input| input.clone().into()),
                    began: false,
                };
            }
            "thinking" => {
                self.open = Open::Thought {
                    text: String::new(),
                    signature: text("signature").to_owned(),
                    is_cut: false,
                };
                self.thought(text("thinking"), out);
            }
            "redacted_thinking" => {
                let block = answer::redacted(text("data"));
                out.other(0, "thinking_blocks", json!([block]));
            }
            // What Anthropic's own tools do: nobody is called for it.
            _ => {}
        }
    }

    /// A piece of the block.
    fn go_on(&mut self, delta: &Value, out: &mut Events) {
        let text = |name: &str| delta[name].as_str().unwrap_or_default();
        match text("type") {
            "text_delta" => self.text(text("text"), out),
            "thinking_delta" => self.thought(text("thinking"), out),
            "signature_delta" => {
                if let Open::Thought {
                    signature, is_cut, ..
                } = &mut self.open
                {
                    *is_cut |= signature.len() + text("signature").len() > MAX_THOUGHT;
                    if !*is_cut {
                        signature.push_str(text("signature"));
                    }
                }
            }
            "citations_delta" => {
                if let Open::Text { citations, .. } = &mut self.open
                    && citations.len() < MAX_CITATIONS
                {
                    citations.push(delta["citation"].clone());
                }
            }
            "input_json_delta" => {
                let json = text("partial_json");
                if let Open::Call { number, began, .. } = &mut self.open {
                    *began |= !json.is_empty();
                    let number = *number;
                    self.input(number, json, out);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, out: &mut Events) {
        self.chars += text.chars().count() as u64;
        out.text(0, text);
    }

    fn thought(&mut self, thought: &str, out: &mut Events) {
        out.reasoning(0, thought);
        if let Open::Thought { text, is_cut, .. } = &mut self.open {
            *is_cut |= text.len() + thought.len() > MAX_THOUGHT;
            if !*is_cut {
                text.push_str(thought);
            }
        }
    }

    fn input(&mut self, call: Option<u64>, json: &str, out: &mut Events) {
        match call {
            Some(call) => out.arguments(0, call, json),
            None => self.text(json, out),
        }
    }

    /// The end of the block.
    fn complete(&mut self, out: &mut Events) {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Text { start, citations } => {
                let noted = |citation| annotation(citation, start, self.chars);
                let annotations: Vec<_> = citations.iter().filter_map(noted).collect();
                if !annotations.is_empty() {
                    out.other(0, "annotations", annotations.into());
                }
                if !citations.is_empty() {
                    let extra = json!({ "citations": citations });
                    out.other(0, "provider_specific_fields", extra);
                }
            }
            Open::Call { began: true, .. } => {}
            Open::Call { number, whole, .. } => {
                let input = whole.map_or_else(|| "{}".to_owned(), |input| input.to_string());
                self.input(number, &input, out);
            }
            Open::Thought { is_cut: true, .. } => {}
            Open::Thought {
                text, signature, ..
            } => {
                let block = answer::thinking(&text, &signature);
                out.other(0, "thinking_blocks", json!([block]));
            }
        }
    }

    /// The end of the message. Without a reason it does not look like a whole one.
    fn close(&mut self, out: &mut Events) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        self.complete(out);
        let finish = match &self.stop {
            Some(reason) => answer::finish(reason, self.calls),
            None => Finish::Unknown,
        };
        out.finish(0, finish);
        if let Some(tokens) = self.counts.tokens() {
            out.usage(tokens);
        }
        out.done();
    }
}

#[cfg(test)]
mod tests;

//! What ConverseStream answers, piece by piece.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::{Deployment, Error, ErrorKind};

use super::{
    answer::{annotation, finish, is_server_tool, redacted, thought, tokens},
    error,
    frame::{Frame, Frames},
};
use crate::{
    chat::Events,
    dialect::{Call, Decoder, anthropic::form},
};

/// There is only one choice.
const FIRST: u64 = 0;
/// How many blocks may be open at once. There is no need for more than one.
const MAX_OPEN: usize = 64;
/// How much of a thought is kept until its signature comes.
const MAX_THOUGHT: usize = 1024 * 1024;

/// Reads the frames of one answer.
#[derive(Debug)]
pub(super) struct ConverseDecoder {
    frames: Frames,
    deployment: Arc<Deployment>,
    /// The blocks that have begun, by their number.
    open: Vec<(u64, Block)>,
    /// How many characters of text there were.
    chars: usize,
}

#[derive(Debug)]
enum Block {
    /// A call of the client's tool, by its number; whether it has arguments.
    Call(u64, bool),
    /// The call that stands for the answer.
    Answer,
    Thought {
        text: String,
        signature: String,
    },
    /// A thought of which too much was said to keep it: without all of it, a signature is worth
    /// nothing.
    LongThought,
    /// Text, or something that the provider's own tools do.
    Other,
}

impl ConverseDecoder {
    pub(super) fn new(call: &Call<'_>) -> Self {
        Self {
            frames: Frames::default(),
            deployment: Arc::clone(call.deployment),
            open: Vec::new(),
            chars: 0,
        }
    }

    fn frame(&mut self, frame: &Frame, out: &mut Events) -> Result<(), Error> {
        if let Some(error) = error::in_frame(frame, &self.deployment) {
            return Err(error);
        }
        let kind = frame.header(":event-type").unwrap_or_default();
        match serde_json::from_slice(&frame.payload) {
            Ok(event) => self.event(kind, &event, out),
            // One event that nobody can read is no reason to lose the others.
            Err(_) => Ok(()),
        }
    }

    fn event(&mut self, kind: &str, event: &Value, out: &mut Events) -> Result<(), Error> {
        let index = event["contentBlockIndex"].as_u64().unwrap_or_default();
        match kind {
            "messageStart" => out.begin(),
            "contentBlockStart" => {
                let tool = &event["start"]["toolUse"];
                let block = match tool["name"].as_str() {
                    Some(form::TOOL) => Block::Answer,
                    Some(name) if !is_server_tool(tool) => {
                        let id = tool["toolUseId"].as_str().unwrap_or_default();
                        Block::Call(out.call(FIRST, id, name), false)
                    }
                    _ => Block::Other,
                };
                *self.block(index)? = block;
            }
            "contentBlockDelta" => self.delta(index, &event["delta"], out)?,
            "contentBlockStop" => {
                if let Some(at) = self.open.iter().position(|(open, _)| *open == index) {
                    self.open.swap_remove(at).1.end(out);
                }
            }
            "messageStop" => {
                for (_, block) in self.open.drain(..) {
                    block.end(out);
                }
                let fields = &event["additionalModelResponseFields"];
                own(out, "additionalModelResponseFields", fields);
                let reason = event["stopReason"].as_str().unwrap_or_default();
                out.finish(FIRST, finish(reason, out.calls() > 0));
            }
            "metadata" => {
                own(out, "trace", &event["trace"]);
                if let Some(tokens) = tokens(&event["usage"]) {
                    out.usage(tokens);
                }
                out.done();
            }
            _ => {}
        }
        Ok(())
    }

    fn delta(&mut self, index: u64, delta: &Value, out: &mut Events) -> Result<(), Error> {
        if let Some(text) = delta["text"].as_str() {
            self.chars += text.chars().count();
            out.text(FIRST, text);
        } else if let Some(input) = delta["toolUse"]["input"].as_str() {
            match self.block(index)? {
                Block::Call(number, has_arguments) => {
                    *has_arguments |= !input.is_empty();
                    out.arguments(FIRST, *number, input);
                }
                Block::Answer => out.text(FIRST, input),
                _ => {}
            }
        } else if let Value::Object(_) = delta["reasoningContent"] {
            let block = self.block(index)?;
            reason(block, &delta["reasoningContent"], out);
        } else if let Value::Object(_) = delta["citation"] {
            let citation = &delta["citation"];
            if let Some(annotation) = annotation(citation, self.chars, self.chars) {
                out.other(FIRST, "annotations", json!([annotation]));
            }
            own(out, "citations", &json!([citation]));
        }
        Ok(())
    }

    /// The block of that number, which begins if it has not yet: text and thoughts do not say when
    /// they do.
    fn block(&mut self, index: u64) -> Result<&mut Block, Error> {
        let at = self.open.iter().position(|(open, _)| *open == index);
        let at = at.unwrap_or_else(|| {
            self.open.push((index, Block::Other));
            self.open.len() - 1
        });
        if at >= MAX_OPEN {
            let message = "the provider began too many blocks at once";
            return Err(Error::new(ErrorKind::BadAnswer, message));
        }
        Ok(&mut self.open[at].1)
    }
}

fn reason(block: &mut Block, delta: &Value, out: &mut Events) {
    if let Some(data) = delta["redactedContent"].as_str() {
        out.other(FIRST, "thinking_blocks", json!([redacted(data)]));
        return;
    }
    let piece = |name: &str| delta[name].as_str().unwrap_or_default();
    out.reasoning(FIRST, piece("text"));
    if matches!(block, Block::Other) {
        *block = Block::Thought {
            text: String::new(),
            signature: String::new(),
        };
    }
    let Block::Thought { text, signature } = block else {
        return;
    };
    text.push_str(piece("text"));
    signature.push_str(piece("signature"));
    if text.len() + signature.len() > MAX_THOUGHT {
        *block = Block::LongThought;
    }
}

/// Tells what only Bedrock's clients know.
fn own(out: &mut Events, name: &str, value: &Value) {
    if !value.is_null() {
        out.other(FIRST, "provider_specific_fields", json!({ name: value }));
    }
}

impl Block {
    fn end(self, out: &mut Events) {
        match self {
            Self::Call(number, false) => out.arguments(FIRST, number, "{}"),
            Self::Thought { text, signature } if !signature.is_empty() => {
                let blocks = json!([thought(&text, &signature)]);
                out.other(FIRST, "thinking_blocks", blocks);
            }
            _ => {}
        }
    }
}

impl Decoder for ConverseDecoder {
    fn read(&mut self, bytes: Bytes, out: &mut Events) -> Result<(), Error> {
        self.frames.push(&bytes);
        while let Some(frame) = self.frames.next()? {
            self.frame(&frame, out)?;
        }
        Ok(())
    }

    /// Whether it was whole is for the finish reason to say.
    fn finish(&mut self, _: &mut Events) -> Result<(), Error> {
        Ok(())
    }
}

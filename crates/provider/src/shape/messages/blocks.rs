//! The blocks of a streamed answer.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

use super::answer::call_id;
use crate::dialect::openai::Progress;

/// How much may wait for a block to end.
const MAX_WAITING: usize = 1024 * 1024;

/// Writes the blocks of an answer, each from its start to its end before the next one begins. Where
/// the pieces of calls come mixed, those of the later ones wait until the arguments of the first are
/// whole.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    out: BytesMut,
    /// The number of the next block.
    next: u64,
    open: Option<Block>,
    waiting: VecDeque<Block>,
    /// How many bytes wait.
    held: usize,
}

#[derive(Debug)]
struct Block {
    kind: Kind,
    index: u64,
    /// What waits to be written.
    held: String,
    /// How far the arguments have come.
    progress: Progress,
}

#[derive(Debug)]
enum Kind {
    Text,
    /// And whether its words have been written.
    Thinking(bool),
    Call {
        /// The number and the id that the provider gave it.
        number: u64,
        given: String,
        name: String,
    },
}

impl Blocks {
    /// A piece of text.
    pub(super) fn text(&mut self, text: &str) {
        let is_text = |kind: &Kind| matches!(kind, Kind::Text);
        self.last(is_text, || Kind::Text, text);
    }

    /// A piece of what the model thinks.
    pub(super) fn thinking(&mut self, text: &str) {
        let is_thinking = |kind: &Kind| matches!(kind, Kind::Thinking(_));
        self.last(is_thinking, || Kind::Thinking(false), text);
    }

    /// Whether words of a thought have been written that nobody signed yet.
    pub(super) fn is_thinking(&self) -> bool {
        matches!(&self.open, Some(block) if matches!(block.kind, Kind::Thinking(true)))
    }

    /// The signature of the last thought, which ends it.
    pub(super) fn sign(&mut self, signature: &str) {
        self.flush();
        let is_thought = |block: &Block| matches!(block.kind, Kind::Thinking(_));
        if !self.open.as_ref().is_some_and(is_thought) {
            // It has no words.
            self.close();
            self.start(Block::new(Kind::Thinking(false), ""));
        }
        self.write_delta(self.next - 1, "signature_delta", "signature", signature);
        self.close();
    }

    /// A block that is whole.
    pub(super) fn whole(&mut self, block: &Value) {
        self.finish();
        let index = self.next;
        self.next += 1;
        self.write_start(index, block);
        self.write_stop(index);
    }

    /// A piece of a call. The first one has its name.
    pub(super) fn call(&mut self, number: u64, id: &str, name: &str, arguments: &str) {
        let is_it = |block: &&mut Block| match &block.kind {
            Kind::Call {
                number: known,
                given,
                ..
            } => *known == number && (id.is_empty() || given.is_empty() || given == id),
            _ => false,
        };
        let mut blocks = self.open.iter_mut().chain(&mut self.waiting);
        if let Some(block) = blocks.find(is_it) {
            block.held.push_str(arguments);
            self.held += arguments.len();
        } else if !name.is_empty() || !id.is_empty() {
            let kind = Kind::Call {
                number,
                given: id.to_owned(),
                name: name.to_owned(),
            };
            self.wait(Block::new(kind, arguments));
        }
        self.advance();
    }

    /// Ends all blocks.
    pub(super) fn finish(&mut self) {
        self.flush();
        self.close();
    }

    /// Writes all that waits.
    fn flush(&mut self) {
        while let Some(block) = self.waiting.pop_front() {
            self.close();
            self.start(block);
        }
    }

    /// What was written since the last time.
    pub(super) fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }

    /// A piece of the last block, if it is of that kind, or else of a new one.
    fn last(&mut self, is: impl Fn(&Kind) -> bool, new: impl FnOnce() -> Kind, text: &str) {
        let last = self.waiting.back_mut().or(self.open.as_mut());
        match last.filter(|block| is(&block.kind)) {
            Some(block) => {
                block.held.push_str(text);
                self.held += text.len();
            }
            None => self.wait(Block::new(new(), text)),
        }
        self.advance();
    }

    fn wait(&mut self, block: Block) {
        self.held += block.held.len();
        self.waiting.push_back(block);
    }

    /// Writes what may be written.
    fn advance(&mut self) {
        loop {
            self.write_held();
            let is_in_the_way = self.open.as_ref().is_some_and(|open| !open.may_end());
            if self.waiting.is_empty() || is_in_the_way && self.held <= MAX_WAITING {
                return;
            }
            self.close();
            if let Some(block) = self.waiting.pop_front() {
                self.start(block);
            }
        }
    }

    fn start(&mut self, mut block: Block) {
        block.index = self.next;
        self.next += 1;
        let content = match &block.kind {
            Kind::Text => json!({"type": "text", "text": ""}),
            Kind::Thinking(_) => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Kind::Call { given, name, .. } => {
                json!({"type": "tool_use", "id": call_id(given), "name": name, "input": {}})
            }
        };
        self.write_start(block.index, &content);
        self.open = Some(block);
        self.write_held();
    }

    /// Writes what waits in the open block.
    fn write_held(&mut self) {
        let Some(open) = &mut self.open else { return };
        if open.held.is_empty() {
            return;
        }
        let text = std::mem::take(&mut open.held);
        self.held -= text.len();
        let (kind, member) = match &mut open.kind {
            Kind::Text => ("text_delta", "text"),
            Kind::Thinking(said) => {
                *said = true;
                ("thinking_delta", "thinking")
            }
            Kind::Call { .. } => {
                open.progress.read(text.as_bytes());
                ("input_json_delta", "partial_json")
            }
        };
        let index = open.index;
        self.write_delta(index, kind, member, &text);
    }

    fn close(&mut self) {
        self.write_held();
        if let Some(block) = self.open.take() {
            self.write_stop(block.index);
        }
    }

    fn write_start(&mut self, index: u64, block: &Value) {
        let start = json!({"type": "content_block_start", "index": index, "content_block": block});
        self.write("content_block_start", &start);
    }

    fn write_delta(&mut self, index: u64, kind: &str, member: &str, text: &str) {
        let text = Value::from(text);
        self.write_text(
            "content_block_delta",
            &format!(
                r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"{kind}","{member}":{text}}}}}"#
            ),
        );
    }

    fn write_stop(&mut self, index: u64) {
        let stop = json!({"type": "content_block_stop", "index": index});
        self.write("content_block_stop", &stop);
    }

    /// Writes an event.
    pub(super) fn write(&mut self, name: &str, data: &Value) {
        self.write_text(name, &data.to_string());
    }

    fn write_text(&mut self, name: &str, data: &str) {
        for piece in ["event: ", name, "\ndata: ", data, "\n\n"] {
            self.out.extend_from_slice(piece.as_bytes());
        }
    }
}

impl Block {
    fn new(kind: Kind, text: &str) -> Self {
        Self {
            kind,
            index: 0,
            held: text.to_owned(),
            progress: Progress::default(),
        }
    }

    /// Whether nothing more may come that belongs to it. Nobody says so of a call, but of its
    /// arguments it is seen.
    fn may_end(&self) -> bool {
        match self.kind {
            Kind::Text | Kind::Thinking(_) => true,
            Kind::Call { .. } => self.progress.is_over(),
        }
    }
}

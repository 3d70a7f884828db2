//! What an answer has said so far.

use serde_json::{Map, Value};

use super::Shape;
use crate::{
    dialect::openai::{chunk::Chunk, likeness::Likeness},
    sse::{self, Event},
};

/// How much text is kept.
const MAX_TEXT: usize = 256 * 1024;
/// How long what names an answer may be.
const MAX_NAME: usize = 1024;

/// The text of an answer, and what else must be known to go on with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    text: String,
    /// How many bytes of text were said, kept or not.
    bytes: usize,
    /// Whether it cannot be gone on with: it has come to its end, or there is more in it than text,
    /// or too much.
    is_final: bool,
    /// What belongs to the answer as a whole; `None` before its first event.
    names: Option<Map<String, Value>>,
    /// The end of the text that the next model has not seen, as far as it has not said it again.
    seam: String,
    like: Likeness,
}

impl Said {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// How many bytes of text were said.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the answer cannot be gone on with.
    pub(super) fn is_final(&self) -> bool {
        self.is_final
    }

    /// Reads whole events.
    pub(super) fn read(&mut self, shape: &dyn Shape, bytes: &[u8]) {
        for event in sse::events(bytes) {
            if self.is_final {
                return;
            }
            if let Some(text) = self.like.text(event) {
                self.say_escaped(text);
                continue;
            }
            let Some(data) = Event::read(event).data else {
                continue;
            };
            let Ok(value) = serde_json::from_slice(&data) else {
                // What the client was told here is not known; after `[DONE]` there is nothing more.
                return self.stop();
            };
            let before = self.text.len();
            shape.hear(&value, self);
            let said = self.text.get(before..).filter(|said| !said.is_empty());
            if let Some(said) = said.filter(|_| !self.is_final)
                && let Some(chunk) = Chunk::read(&data)
                && let Some(text) = chunk.choices.only_text()
                && text == said
            {
                self.like.learn(event, text);
            }
        }
    }

    /// Adds to the text.
    pub(super) fn say(&mut self, text: &str) {
        self.bytes += text.len();
        if self.is_final {
            return;
        }
        if self.text.len() + text.len() > MAX_TEXT {
            return self.stop();
        }
        self.text.push_str(text);
    }

    fn say_escaped(&mut self, text: &[u8]) {
        let text = [b"\"", text, b"\""].concat();
        match serde_json::from_slice::<std::borrow::Cow<'_, str>>(&text) {
            Ok(text) => self.say(&text),
            // Half of a surrogate pair.
            Err(_) => self.stop(),
        }
    }

    /// From now on the answer cannot be gone on with.
    pub(super) fn stop(&mut self) {
        self.is_final = true;
        self.text = String::new();
        self.like = Likeness::default();
    }

    /// Keeps these members of the first event that has content.
    pub(super) fn name(&mut self, event: &Value, names: &[&str]) {
        if self.names.is_some() {
            return;
        }
        let mut kept = Map::new();
        for name in names {
            match event.get(*name) {
                Some(Value::String(text)) if text.len() > MAX_NAME => return self.stop(),
                Some(value @ (Value::String(_) | Value::Number(_) | Value::Null)) => {
                    kept.insert((*name).to_owned(), value.clone());
                }
                _ => {}
            }
        }
        self.names = Some(kept);
    }

    /// Gives an event the names of the first answer.
    pub(super) fn rename(&self, event: &mut Map<String, Value>, names: &[&str]) {
        for name in names {
            match self.names.as_ref().and_then(|kept| kept.get(*name)) {
                Some(value) => event.insert((*name).to_owned(), value.clone()),
                None => event.remove(*name),
            };
        }
    }

    /// Another answer goes on from here.
    pub(super) fn begin_again(&mut self, shape: &dyn Shape) {
        self.seam = shape.seam(&self.text).to_owned();
        self.like = Likeness::default();
    }

    /// Leaves out the beginning of a text that the client has already.
    pub(super) fn join(&mut self, text: &mut String) {
        if self.seam.is_empty() || text.is_empty() {
            return;
        }
        let both = text.chars().zip(self.seam.chars());
        let same = both.take_while(|(new, old)| new == old);
        let same = same.map(|(c, _)| c.len_utf8()).sum::<usize>();
        text.drain(..same);
        if text.is_empty() {
            self.seam.drain(..same);
        } else {
            self.seam.clear();
        }
    }
}

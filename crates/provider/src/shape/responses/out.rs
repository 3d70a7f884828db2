//! The events of Responses, numbered.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json};

use super::items::new_id;

/// Writes events.
#[derive(Debug, Default)]
pub(super) struct Out {
    bytes: BytesMut,
    sequence: u64,
}

impl Out {
    /// Whether nothing was ever written.
    pub(super) fn is_new(&self) -> bool {
        self.sequence == 0
    }

    /// An event with these members.
    pub(super) fn event(&mut self, kind: &str, mut event: Value) {
        event["type"] = kind.into();
        event["sequence_number"] = self.sequence.into();
        self.sequence += 1;
        for text in ["event: ", kind, "\ndata: ", &event.to_string(), "\n\n"] {
            self.bytes.put_slice(text.as_bytes());
        }
    }

    /// What was written since the last time.
    pub(super) fn take(&mut self) -> Bytes {
        self.bytes.split().freeze()
    }
}

/// The place of an item in an answer.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: String,
    pub(super) index: usize,
}

impl Place {
    /// A place for an item of the kind that the prefix tells.
    pub(super) fn new(prefix: &str, index: usize) -> Self {
        let id = new_id(prefix);
        Self { id, index }
    }

    /// The item begins.
    pub(super) fn added(&self, item: &Value, out: &mut Out) {
        let event = json!({"output_index": self.index, "item": item});
        out.event("response.output_item.added", event);
    }

    /// The item is whole.
    pub(super) fn done(&self, item: &Value, out: &mut Out) {
        let event = json!({"output_index": self.index, "item": item});
        out.event("response.output_item.done", event);
    }

    /// Something of the item.
    pub(super) fn event(&self, kind: &str, mut event: Value, out: &mut Out) {
        event["item_id"] = self.id.as_str().into();
        event["output_index"] = self.index.into();
        out.event(kind, event);
    }
}

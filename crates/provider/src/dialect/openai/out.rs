//! What a reader passes on.

use bytes::{Bytes, BytesMut};
use ziggurat_core::{Item, Usage};

/// What is to be passed on. Copied only if it does not lie in one piece.
#[derive(Debug, Default)]
pub(crate) struct Out {
    first: Bytes,
    joined: BytesMut,
    pub(crate) events: u32,
    pub(crate) usage: Option<Usage>,
}

impl Out {
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if self.len() == 0 {
            self.first = bytes;
        } else if !bytes.is_empty() {
            self.joined
                .extend_from_slice(&std::mem::take(&mut self.first));
            self.joined.extend_from_slice(&bytes);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    pub(crate) fn take(&mut self) -> Option<Item> {
        if self.len() == 0 && self.usage.is_none() {
            return None;
        }
        let bytes = if self.joined.is_empty() {
            std::mem::take(&mut self.first)
        } else {
            self.joined.split().freeze()
        };
        Some(Item {
            bytes,
            events: std::mem::take(&mut self.events),
            usage: self.usage.take(),
            ..Item::default()
        })
    }
}

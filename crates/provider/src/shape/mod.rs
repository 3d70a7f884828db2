//! What clients speak that is not OpenAI's chat, without I/O.
//!
//! A [`Shape`] writes what a client asks as OpenAI's chat, which every provider answers in one way or
//! another, and writes the answer as the client knows it. A provider that
//! [speaks](crate::dialect::Dialect::speaks) the operation itself is asked in the client's own bytes.
//! A new one is a module with an implementation, and a line in [`of`].

mod client;
mod completions;
pub(crate) mod generate;
pub(crate) mod messages;
pub(crate) mod responses;

use std::fmt;

use bytes::Bytes;
use ziggurat_core::{Error, Operation};

pub(crate) use self::client::Client;
use crate::chat::unsupported::Fit;

/// The shape of an operation; `None` if it is one of OpenAI's own that need none.
pub(crate) fn of(operation: Operation) -> Option<&'static dyn Shape> {
    match operation {
        Operation::GenerateContent => Some(&generate::GenerateContent),
        Operation::Messages => Some(&messages::Messages),
        Operation::Responses => Some(&responses::Responses),
        _ => None,
    }
}

/// The shape of an operation of OpenAI's own, for a provider of another dialect that knows
/// conversations only.
fn over_chat(operation: Operation) -> Option<&'static dyn Shape> {
    match operation {
        Operation::Completions => Some(&completions::Completions),
        _ => None,
    }
}

/// A way to be asked for answers and to give them.
pub(crate) trait Shape: fmt::Debug + Send + Sync {
    /// The body as OpenAI's chat: with its model, whether to stream, and the wish for usage at the
    /// end of a stream. It may have members that only some providers know (`thinking`,
    /// `thinking_blocks`, `cache_control`, `top_k`, …): they are taken out for those that do not.
    /// `fit` says whether to leave out what chat has nothing like; what was said in the conversation
    /// never is.
    ///
    /// # Errors
    ///
    /// [`BadRequest`](ziggurat_core::ErrorKind::BadRequest), naming the field, if it is wrong; a
    /// [refusal](crate::chat::unsupported::refusal) if chat has nothing like it.
    fn to_chat(&self, body: &[u8], fit: Fit) -> Result<Vec<u8>, Error>;

    /// A whole answer of OpenAI's chat in the client's shape. `request` is the client's body, for
    /// what an answer repeats of it.
    ///
    /// # Errors
    ///
    /// [`BadAnswer`](ziggurat_core::ErrorKind::BadAnswer) if it is none.
    fn answer(&self, request: &[u8], chat: &[u8]) -> Result<Bytes, Error>;

    /// What writes a stream of OpenAI's events in the client's shape.
    fn encoder(&self, request: &[u8]) -> Box<dyn Encoder>;

    /// Whether the model and the wish for a stream stand beside the bodies of this shape. They are put
    /// into one, as `model` and `stream`, before it [becomes a chat](Self::to_chat).
    fn is_named_beside(&self) -> bool {
        false
    }

    /// Whether a field that a deployment puts into requests may be put into one of this shape, where
    /// the provider gets it as it is.
    fn knows(&self, field: &str) -> bool {
        let _ = field;
        true
    }

    /// The event with which a complete stream of this shape ends, if it says nothing: a provider
    /// that forgets it is helped. Empty if there is none.
    fn last_event(&self) -> &'static [u8] {
        b""
    }
}

/// Writes the stream of one answer in the client's shape.
pub(crate) trait Encoder: fmt::Debug + Send {
    /// Takes whole events of OpenAI's chat, as they were let through: comments, `[DONE]`, and usage
    /// in an event of its own are among them. Gives the client's events.
    fn encode(&mut self, events: &Bytes) -> Bytes;

    /// The end of a stream that is complete; nothing comes after it. Never called for one that
    /// broke.
    fn end(&mut self) -> Bytes;
}

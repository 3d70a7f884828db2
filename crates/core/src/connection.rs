//! Answers that are connections: the client goes on speaking while it is answered.

use std::task::{Context, Poll};

use bytes::Bytes;

/// What a client says on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Text, in UTF-8; what is none is not sent.
    Text(Bytes),
    /// Bytes that are no text.
    Binary(Bytes),
    /// Keeps the way to the provider open; nobody waits for an answer to it.
    Ping(Bytes),
    /// The last word.
    Close(Option<Close>),
}

/// Why a connection is closed, in the words of RFC 6455.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code: 1000 where all is well.
    pub code: u16,
    /// Words for a log, of 123 bytes at most.
    pub reason: Box<str>,
}

impl Close {
    /// The longest reason, in bytes.
    const LONGEST: usize = 123;

    /// A code, and a reason that is cut where it is too long to be sent.
    #[must_use]
    pub fn new(code: u16, reason: &str) -> Self {
        let end = reason.floor_char_boundary(Self::LONGEST);
        Self {
            code,
            reason: reason[..end].into(),
        }
    }
}

/// The way from the client to the provider, of an [answer](crate::LlmResponse::connection) that is a
/// connection.
///
/// It holds one message at most. A failure is told by the stream of the answer alone: what is sent
/// on a connection that has broken, or whose stream was dropped, is lost.
pub trait Uplink: Send {
    /// Waits until a message can be taken.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Takes a message, once it is [ready](Self::poll_ready).
    fn send(&mut self, message: Message);

    /// Waits until all that was taken has left.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// How the provider closed the connection: known once the stream has ended, if it did.
    fn closed(&self) -> Option<Close>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        let reason = format!("{}€uro", "x".repeat(122));
        assert_eq!(&*Close::new(1011, &reason).reason, "x".repeat(122));
        assert_eq!(&*Close::new(1000, "bye").reason, "bye");
    }
}

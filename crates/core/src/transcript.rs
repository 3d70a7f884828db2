//! Going on with an answer that broke off.

use std::convert::Infallible;

use crate::Item;

/// Knows how broken answers to requests of one kind are gone on with. `()` knows nothing.
pub trait Transcripts<R> {
    /// What is kept of one answer.
    type Transcript: Transcript<R>;

    /// Begins to listen to the answer to a request; `None` where it could not be gone on with.
    fn listen(&self, request: &R) -> Option<Self::Transcript>;
}

/// How another deployment is made to go on with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoOn {
    /// What was said stands as the beginning of the answer, and the model goes on by itself. Only
    /// for those with [`AssistantPrefill`](crate::Capability::AssistantPrefill).
    Prefill,
    /// It is told what was said, and to go on from there. Only for those with
    /// [`Continuation`](crate::Capability::Continuation).
    Instruction,
}

/// What is kept of an answer while it streams, so that another one can go on from where it broke.
///
/// The client sees one answer: what belongs to it as a whole (ids, the role, usage) is that of the
/// first, or the sum of both.
pub trait Transcript<R>: Send + Unpin + 'static {
    /// Takes an item, and gives what the client gets of it.
    fn pass(&mut self, item: Item) -> Item;

    /// The request for the rest, which only deployments that can go on in that way may serve; `None`
    /// where what was said cannot be gone on with.
    fn rest(&self, request: &R, how: GoOn) -> Option<R>;

    /// From now on the items of another answer come, which goes on from the one before.
    fn goes_on(&mut self);
}

impl<R> Transcripts<R> for () {
    type Transcript = Infallible;

    fn listen(&self, _: &R) -> Option<Infallible> {
        None
    }
}

impl<R> Transcript<R> for Infallible {
    fn pass(&mut self, _: Item) -> Item {
        match *self {}
    }

    fn rest(&self, _: &R, _: GoOn) -> Option<R> {
        match *self {}
    }

    fn goes_on(&mut self) {
        match *self {}
    }
}

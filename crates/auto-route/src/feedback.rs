//! How a chooser learns what became of a request.

use std::{convert::Infallible, fmt};

use ziggurat_core::{End, Observer};

/// Learns what became of a request whose group was chosen.
///
/// Methods must not block or panic. They run on the task that waits for the answer or reads it.
pub trait Feedback: Send + 'static {
    /// An answer has begun: the first token of a stream, or all of an answer that is not streamed.
    fn answering(&mut self) {}

    /// Called exactly once: at the end of the answer, at the failure that is reported for it, or
    /// when nobody waits any more.
    fn end(&mut self, end: End<'_>) {
        let _ = end;
    }
}

/// No feedback: what choosers that do not learn say.
impl Feedback for Infallible {}

/// The feedback of one of two choosers.
#[derive(Clone, Copy, Debug)]
pub enum OneOf<A, B> {
    /// Of the first.
    First(A),
    /// Of the second.
    Second(B),
}

impl<A: Feedback, B: Feedback> Feedback for OneOf<A, B> {
    fn answering(&mut self) {
        match self {
            Self::First(feedback) => feedback.answering(),
            Self::Second(feedback) => feedback.answering(),
        }
    }

    fn end(&mut self, end: End<'_>) {
        match self {
            Self::First(feedback) => feedback.end(end),
            Self::Second(feedback) => feedback.end(end),
        }
    }
}

/// The observer that the layer attaches to responses: it tells a [`Feedback`], if there is one, the
/// end exactly once. Dropped before, the end is [`End::Abandoned`].
pub struct Watch<G: Feedback>(Option<G>);

impl<G: Feedback> Watch<G> {
    pub(crate) const fn new(feedback: Option<G>) -> Self {
        Self(feedback)
    }

    pub(crate) fn answering(&mut self) {
        if let Some(feedback) = &mut self.0 {
            feedback.answering();
        }
    }
}

impl<G: Feedback> Default for Watch<G> {
    fn default() -> Self {
        Self(None)
    }
}

impl<G: Feedback> Observer for Watch<G> {
    fn end(&mut self, end: End<'_>) {
        if let Some(mut feedback) = self.0.take() {
            feedback.end(end);
        }
    }
}

impl<G: Feedback> Drop for Watch<G> {
    fn drop(&mut self) {
        self.end(End::Abandoned);
    }
}

impl<G: Feedback> fmt::Debug for Watch<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("waits", &self.0.is_some())
            .finish()
    }
}

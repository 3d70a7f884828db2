//! The guard of an attempt.

use tokio::time::Instant;
use ziggurat_core::{Attempt, End, Error, Observer};

use crate::pool::Cell;

/// An attempt in flight: counted from the choice of its deployment until its answer has ended or
/// been dropped.
///
/// The balancer attaches it to responses, so theirs must be
/// [`Attach<InFlight>`](ziggurat_core::Attach).
#[derive(Debug)]
pub struct InFlight {
    cell: Cell,
    attempt: Option<Attempt>,
}

impl InFlight {
    pub(crate) fn new(cell: Cell, attempt: Option<Attempt>, now: Instant) -> Self {
        cell.load().enter();
        let now = cell.block.clock.millis(now);
        cell.block.requests[cell.at].add(1, now);
        Self { cell, attempt }
    }

    /// An answer has begun.
    pub(crate) fn answering(&self) {
        if let Some(attempt) = &self.attempt {
            attempt.answering();
        }
    }

    /// Nothing was sent after all.
    pub(crate) fn refund(mut self, now: Instant) {
        let now = self.cell.block.clock.millis(now);
        self.cell.block.requests[self.cell.at].sub(1, now);
        if let Some(attempt) = self.attempt.take() {
            attempt.refund();
        }
    }

    /// It failed before an answer began.
    pub(crate) fn fail(mut self, error: &Error) {
        if let Some(attempt) = self.attempt.take() {
            attempt.fail(error);
        }
    }
}

impl Observer for InFlight {
    fn end(&mut self, end: End<'_>) {
        if let End::Complete { usage: Some(usage) } = end {
            let now = self.cell.block.clock.millis(Instant::now());
            self.cell.block.tokens[self.cell.at].add(usage.total(), now);
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.end(end);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.cell.load().leave();
    }
}

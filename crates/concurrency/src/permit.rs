//! The guard of one attempt.

use std::sync::Arc;

use tokio::time::Instant;
use ziggurat_core::{Blame, Clock, End, Error, ErrorKind, Observer};

use crate::{
    cell::{Cell, Sign},
    limit::{Kind, Tried},
    shared::Shared,
};

/// A place in flight at a deployment: taken before the attempt, given back when its answer has ended,
/// wherever it is dropped.
///
/// What the limit learns it learns when the answer begins or the attempt fails. One that nobody waits
/// for teaches nothing.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    cell: Arc<Cell>,
    tried: Option<Tried>,
    /// When the answer began, until that has been learned from.
    answered: Option<Instant>,
}

impl Permit {
    pub(crate) fn new(shared: Arc<Shared>, cell: Arc<Cell>, place: u32, learns: bool) -> Self {
        let tried = learns.then(|| Tried {
            place,
            began: Instant::now(),
        });
        Self {
            shared,
            cell,
            tried,
            answered: None,
        }
    }

    /// An answer has begun.
    pub(crate) fn answering(&mut self) {
        self.answered = self.tried.map(|_| Instant::now());
    }

    fn learn(&mut self, kind: Kind) {
        if let (Some(tried), Some(answered)) = (self.tried, self.answered.take()) {
            let changed = self.cell.answered(tried, answered, kind);
            self.shared.tell(&self.cell, changed);
        }
    }

    /// It failed before an answer began, or in its middle.
    pub(crate) fn fail(&self, error: &Error) {
        if let (Some(tried), Some(sign)) = (self.tried, sign(error)) {
            let changed = self.cell.overloaded(tried, sign, Instant::now());
            self.shared.tell(&self.cell, changed);
        }
    }
}

/// What a failure says of how much is in flight. A refusal from beneath says nothing, nor does a
/// clock that the caller set.
fn sign(error: &Error) -> Option<Sign> {
    if error.rejection().is_some() || error.scope() == Blame::Request {
        return None;
    }
    match error.kind() {
        ErrorKind::RateLimited | ErrorKind::Overloaded => Some(Sign::Refused),
        ErrorKind::Timeout(Clock::FirstToken | Clock::Attempt) => Some(Sign::Late),
        _ => None,
    }
}

impl Observer for Permit {
    fn streams(&mut self) {
        self.learn(Kind::Stream);
    }

    fn body(&mut self, _: &[u8]) {
        self.learn(Kind::InOnePiece);
    }

    fn end(&mut self, end: End<'_>) {
        match end {
            // A response of another kind than ours.
            End::Complete { .. } => self.learn(Kind::InOnePiece),
            End::Failed(error) => self.fail(error),
            End::Abandoned => {}
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.leave(&self.cell);
    }
}

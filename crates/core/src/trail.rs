//! What happened to one request: its attempts, and what became of them.

use std::{fmt, sync::Arc, time::Duration};

use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{Deployment, ErrorKind};

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing yet.
    Pending,
    /// An answer has begun; its end is not known yet.
    Answering,
    /// The answer is complete.
    Complete,
    /// It failed.
    Failed(ErrorKind),
    /// Nobody waited for the end.
    Abandoned,
}

impl Outcome {
    /// A short name in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Answering | Self::Complete => "ok",
            Self::Failed(kind) => kind.as_str(),
            Self::Abandoned => "abandoned",
        }
    }
}

/// One dispatch to one deployment.
#[derive(Clone, Debug)]
pub struct TrailEntry {
    number: u32,
    deployment: Arc<Deployment>,
    began: Instant,
    took: Option<Duration>,
    outcome: Outcome,
}

impl TrailEntry {
    /// Where it went.
    #[must_use]
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// What became of it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// When it began.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// How long it took to its first content item, or to its failure.
    #[must_use]
    pub fn took(&self) -> Option<Duration> {
        self.took
    }
}

/// The attempts of a request, in order.
///
/// Its text is what `x-ziggurat-trail` says: `azure=rate_limited/12ms, openai=ok/340ms`.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    entries: SmallVec<[TrailEntry; 2]>,
    next: u32,
}

impl Trail {
    /// The attempts.
    #[must_use]
    pub fn entries(&self) -> &[TrailEntry] {
        &self.entries
    }

    /// The attempt that answers, or the last one.
    #[must_use]
    pub fn served(&self) -> Option<&TrailEntry> {
        let answers =
            |entry: &&TrailEntry| matches!(entry.outcome, Outcome::Answering | Outcome::Complete);
        self.entries
            .iter()
            .rev()
            .find(answers)
            .or_else(|| self.entries.last())
    }

    /// Enters an attempt that begins now, and gives it a number.
    pub(crate) fn begin(&mut self, deployment: Arc<Deployment>, now: Instant) -> u32 {
        let number = self.next;
        self.next += 1;
        self.entries.push(TrailEntry {
            number,
            deployment,
            began: now,
            took: None,
            outcome: Outcome::Pending,
        });
        number
    }

    /// Says what became of the attempt with that number.
    pub(crate) fn update(&mut self, number: u32, outcome: Outcome) {
        let mut attempts = self.entries.iter_mut().rev();
        if let Some(entry) = attempts.find(|entry| entry.number == number) {
            entry.outcome = outcome;
            entry.took.get_or_insert_with(|| entry.began.elapsed());
        }
    }

    /// Forgets the attempt with that number.
    pub(crate) fn remove(&mut self, number: u32) {
        self.entries.retain(|entry| entry.number != number);
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, entry) in self.entries.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            let took = entry.took.unwrap_or_else(|| entry.began.elapsed());
            write!(
                f,
                "{}={}/{}ms",
                entry.deployment.public_id(),
                entry.outcome.as_str(),
                took.as_millis()
            )?;
        }
        Ok(())
    }
}

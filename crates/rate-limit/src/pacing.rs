//! Waiting for room.

use std::time::Duration;

use tokio::time::Instant;
use ziggurat_core::Ledger;

use crate::{Charges, Refused};

/// A request that waits for room rather than be refused.
pub(crate) struct Pacing<L> {
    pub(crate) limiter: L,
    pub(crate) charges: Charges,
    /// When its patience ends.
    until: Instant,
}

impl<L> Pacing<L> {
    pub(crate) fn new(limiter: L, charges: Charges, patience: Duration) -> Self {
        const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            limiter,
            charges,
            until: Instant::now() + patience.min(LONGEST),
        }
    }

    /// Until when a refused request is to wait, if waiting is of use: there will be room, and there
    /// is time left for an attempt. A budget that is spent and a place in flight say nothing of when.
    pub(crate) fn wait(&self, refused: &Refused, ledger: Option<&Ledger>) -> Option<Instant> {
        let at = refused.rejection().ends_at()?;
        let is_in_time = at <= self.until && ledger.is_none_or(|ledger| ledger.allows(at));
        is_in_time.then_some(at)
    }
}

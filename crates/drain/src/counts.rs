//! How many streams were drained, and how many were not.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of the streams whose clients hung up, all of a layer's together.
#[derive(Debug, Default)]
pub struct Counts {
    drained: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// How many were read to their end, be it a failure.
    #[must_use]
    pub fn drained(&self) -> u64 {
        self.drained.load(Relaxed)
    }

    /// How many were closed before their end: for want of room or of a driver, or for their time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    pub(crate) fn note(&self, is_drained: bool) {
        let count = if is_drained {
            &self.drained
        } else {
            &self.dropped
        };
        count.fetch_add(1, Relaxed);
    }
}

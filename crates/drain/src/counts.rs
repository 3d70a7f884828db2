//! How many streams were drained, and how many were not.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::watch;

/// What became of the streams whose clients hung up, all of a layer's together.
#[derive(Debug, Default)]
pub struct Counts {
    drained: AtomicU64,
    dropped: AtomicU64,
    open: watch::Sender<usize>,
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

    /// Waits until no stream waits for its turn or is being drained. *Cancel safe*.
    pub async fn idle(&self) {
        let mut open = self.open.subscribe();
        // The sender is here, so it does not fail.
        _ = open.wait_for(|open| *open == 0).await;
    }

    /// There is another one.
    pub(crate) fn begin(&self) {
        self.open.send_modify(|open| *open += 1);
    }

    /// It has ended.
    pub(crate) fn note(&self, is_drained: bool) {
        let count = if is_drained {
            &self.drained
        } else {
            &self.dropped
        };
        count.fetch_add(1, Relaxed);
        self.open.send_modify(|open| *open -= 1);
    }
}

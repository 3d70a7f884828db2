//! The way from the readers to the driver.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use futures_util::StreamExt;
use tokio::{sync::mpsc::Sender, time::Instant};
use ziggurat_core::{Drain, Items};

use crate::Counts;

/// The near end of the queue: shared by all services of a layer and their streams, gone with the last
/// of them.
pub(crate) struct Queue {
    sender: Sender<Rest>,
    counts: Arc<Counts>,
    runs: Arc<AtomicBool>,
}

impl Queue {
    /// A queue into which nothing is put unless its driver `runs`.
    pub(crate) const fn new(
        sender: Sender<Rest>,
        counts: Arc<Counts>,
        runs: Arc<AtomicBool>,
    ) -> Self {
        Self {
            sender,
            counts,
            runs,
        }
    }

    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}

impl Drain for Queue {
    fn drain(&self, items: Items) {
        self.counts.begin();
        let rest = Rest {
            items,
            since: Instant::now(),
            counts: Arc::clone(&self.counts),
        };
        if self.runs.load(Relaxed) {
            // What finds no room comes back, and is closed by being dropped.
            drop(self.sender.try_send(rest));
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("counts", &self.counts)
            .field("runs", &self.runs)
            .finish_non_exhaustive()
    }
}

/// What is left of a stream whose client has hung up; counted when it is dropped.
#[derive(Debug)]
pub(crate) struct Rest {
    items: Items,
    since: Instant,
    counts: Arc<Counts>,
}

impl Rest {
    /// When the client hung up.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Reads it to its end.
    pub(crate) async fn read(mut self) {
        while self.items.next().await.is_some() {}
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        self.counts.note(self.items.is_ended());
    }
}

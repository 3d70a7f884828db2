//! The way from the requests to the driver.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::sync::{Notify, mpsc::Sender};

/// The near end of the queue: shared by all services of a layer, gone with the last of them.
pub(crate) struct Queue<C> {
    sender: Sender<C>,
    /// Tells the driver to close the queue.
    closing: Arc<Notify>,
    dropped: AtomicU64,
}

impl<C> Queue<C> {
    pub(crate) const fn new(sender: Sender<C>, closing: Arc<Notify>) -> Self {
        Self {
            sender,
            closing,
            dropped: AtomicU64::new(0),
        }
    }

    /// Puts a copy in, or drops it if there is no room.
    pub(crate) fn push(&self, copy: C) {
        if self.sender.try_send(copy).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn close(&self) {
        self.closing.notify_one();
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

impl<C> fmt::Debug for Queue<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}

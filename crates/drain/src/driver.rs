//! The driver of what is drained.

use std::{
    fmt,
    num::NonZeroUsize,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{sync::mpsc::Receiver, time::timeout_at};

use crate::queue::Rest;

/// The far end of the queue of streams: what reads them on.
#[must_use = "streams are read on only by `run`"]
pub struct Draining {
    receiver: Receiver<Rest>,
    runs: Arc<AtomicBool>,
}

impl Draining {
    pub(crate) const fn new(receiver: Receiver<Rest>, runs: Arc<AtomicBool>) -> Self {
        Self { receiver, runs }
    }

    /// Reads streams to their end, at most `max_in_flight` at a time. To be spawned once.
    ///
    /// Each is closed `time_limit` after its client hung up, the time included that it waited for its
    /// turn: no provider waits for longer for somebody to read.
    ///
    /// It ends when the layer, all its services and their streams are gone, and the last stream has
    /// been read. Dropped, it closes all streams, and those that would come later are closed as without
    /// the layer. A stream that panics is closed, and no other.
    pub async fn run(mut self, max_in_flight: NonZeroUsize, time_limit: Duration) {
        self.runs.store(true, Relaxed);
        let mut in_flight = FuturesUnordered::new();
        loop {
            let has_room = in_flight.len() < max_in_flight.get();
            tokio::select! {
                rest = self.receiver.recv(), if has_room => match rest {
                    Some(rest) => {
                        let end = rest.since().checked_add(time_limit);
                        let reading = async move {
                            match end {
                                Some(end) => drop(timeout_at(end, rest.read()).await),
                                None => rest.read().await,
                            }
                        };
                        in_flight.push(AssertUnwindSafe(reading).catch_unwind());
                    }
                    None => break,
                },
                Some(_) = in_flight.next() => {}
            }
        }
        while in_flight.next().await.is_some() {}
    }
}

impl fmt::Debug for Draining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draining")
            .field("waiting", &self.receiver.len())
            .field("runs", &self.runs)
            .finish()
    }
}

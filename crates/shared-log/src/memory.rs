//! The log of one process.

use std::{
    collections::VecDeque,
    fmt,
    future::{Ready, ready},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{Cursor, Exchanged, Offer, SharedLog, Told};

/// A log in memory, for several stacks in one process, and for tests. It answers at once.
#[derive(Clone)]
pub struct MemoryLog {
    inner: Arc<Mutex<Inner>>,
    capacity: usize,
}

struct Inner {
    /// Which of the logs that have been here it is.
    log: u64,
    salt: Option<u64>,
    /// How many entries went before the first one that is kept.
    gone: u64,
    entries: VecDeque<(Instant, String)>,
}

impl Inner {
    fn new() -> Self {
        Self {
            log: fastrand::u64(..),
            salt: None,
            gone: 0,
            entries: VecDeque::new(),
        }
    }
}

impl MemoryLog {
    /// A log of at most so many entries, and one at least.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner::new())),
            capacity: capacity.max(1),
        }
    }

    /// Forgets everything, as a store that was restarted without its data.
    pub fn lose(&self) {
        *self.inner.lock() = Inner::new();
    }

    /// How many entries are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl SharedLog for MemoryLog {
    type Exchange = Ready<Option<Exchanged>>;

    fn exchange(&self, offer: Offer) -> Self::Exchange {
        let now = Instant::now();
        let inner = &mut *self.inner.lock();
        let place = offer.since.place_in(inner.log);
        let is_new = place.is_none();
        let read: u64 = place.and_then(|it| it.parse().ok()).unwrap_or_default();
        let skipped = usize::try_from(read.saturating_sub(inner.gone)).unwrap_or(usize::MAX);
        let unread = inner.entries.iter().skip(skipped);
        let mut entries: Vec<_> = unread
            .take(offer.most.saturating_add(1))
            .map(|(at, entry)| Told::new(entry.clone(), now.saturating_duration_since(*at)))
            .collect();
        let has_more = entries.len() > offer.most;
        entries.truncate(offer.most);
        let mut read = read.max(inner.gone) + entries.len() as u64;
        if !has_more {
            let offered = offer.entries.into_iter();
            inner.entries.extend(offered.map(|entry| (now, entry)));
            let excess = inner.entries.len().saturating_sub(self.capacity);
            inner.entries.drain(..excess);
            inner.gone += excess as u64;
            read = inner.gone + inner.entries.len() as u64;
        }
        let salt = *inner.salt.get_or_insert(offer.salt);
        ready(Some(Exchanged {
            entries,
            has_more,
            is_new,
            ..Exchanged::new(Cursor::new(inner.log, read.to_string()), salt)
        }))
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog")
            .field("entries", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

//! The store of one process.

use std::{
    fmt,
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};

use quick_cache::{Weighter, sync::Cache};
use tokio::time::Instant;

use crate::{CacheKey, CacheStore, Entry, Found};

/// About how many bytes an entry has.
const USUAL: usize = 4096;

/// Keeps answers in this process, in a bounded number of bytes.
///
/// When it is full, what is asked for seldom and lately goes first (S3-FIFO; Yang et al., SOSP 2023,
/// as `quick_cache` has it).
/// Clones share what is kept.
#[derive(Clone)]
pub struct MemoryStore(Arc<Cache<CacheKey, Kept, Size>>);

#[derive(Clone)]
struct Kept {
    entry: Arc<Entry>,
    since: Instant,
    until: Instant,
}

/// An entry counts as so many bytes at least.
#[derive(Clone)]
struct Size(u64);

impl Weighter<CacheKey, Kept> for Size {
    fn weight(&self, _: &CacheKey, kept: &Kept) -> u64 {
        (kept.entry.size() as u64).max(self.0)
    }
}

impl MemoryStore {
    /// A store of that many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self::with_least(bytes, 0)
    }

    /// A store of that many bytes, and of so many entries at most, one at least. An entry then counts
    /// as its share of the bytes at least.
    #[must_use]
    pub fn of_entries(bytes: usize, entries: usize) -> Self {
        Self::with_least(bytes, bytes.div_ceil(entries.max(1)))
    }

    fn with_least(bytes: usize, least: usize) -> Self {
        let entries = (bytes / USUAL.max(least)).max(16);
        let size = Size(least as u64);
        Self(Arc::new(Cache::with_weighter(entries, bytes as u64, size)))
    }

    /// How many of its bytes are taken.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.weight()
    }

    /// How many answers are kept, those whose time is up included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.clear();
    }
}

impl CacheStore for MemoryStore {
    type Get = Ready<Option<Found>>;

    fn get(&self, key: &CacheKey) -> Self::Get {
        let Some(kept) = self.0.get(key) else {
            return ready(None);
        };
        let now = Instant::now();
        if now >= kept.until {
            self.0.remove(key);
            return ready(None);
        }
        ready(Some(Found {
            entry: kept.entry,
            age: now.duration_since(kept.since),
        }))
    }

    fn put(&self, key: CacheKey, entry: Arc<Entry>, ttl: Duration) {
        let age = Duration::ZERO;
        self.take_over(key, &Found { entry, age }, ttl);
    }

    fn take_over(&self, key: CacheKey, found: &Found, ttl: Duration) {
        let now = Instant::now();
        let Some(until) = now.checked_add(ttl).filter(|_| !ttl.is_zero()) else {
            return;
        };
        let kept = Kept {
            entry: Arc::clone(&found.entry),
            since: now.checked_sub(found.age).unwrap_or(now),
            until,
        };
        self.0.insert(key, kept);
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("entries", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> CacheKey {
        CacheKey::from_bytes([n; 32])
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_is_there_for_its_time_and_says_its_age() {
        let store = MemoryStore::new(1 << 20);
        store.put(key(1), Arc::new(Entry::whole("x")), Duration::from_secs(10));
        store.put(key(2), Arc::new(Entry::whole("x")), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(9)).await;
        let found = store.get(&key(1)).await.expect("is there");
        assert_eq!(found.age, Duration::from_secs(9));
        assert!(store.get(&key(2)).await.is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(store.get(&key(1)).await.is_none());
        assert!(store.is_empty());
    }

    #[tokio::test]
    async fn it_never_holds_more_bytes_than_it_may() {
        let store = MemoryStore::new(64 * 1024);
        for n in 0..=255 {
            let entry = Arc::new(Entry::whole(vec![b'x'; 4096]));
            store.put(key(n), entry, Duration::from_secs(10));
            assert!(store.bytes() <= 64 * 1024);
        }
        assert!(store.len() > 8);
        let few = MemoryStore::of_entries(1 << 20, 10);
        for n in 0..=255 {
            few.put(key(n), Arc::new(Entry::whole("x")), Duration::from_secs(10));
            assert!(few.len() <= 10);
        }
        assert!(few.len() > 5);
        let large = Arc::new(Entry::whole(vec![b'x'; 128 * 1024]));
        store.put(key(7), large, Duration::from_secs(10));
        assert!(store.bytes() <= 64 * 1024);
    }
}

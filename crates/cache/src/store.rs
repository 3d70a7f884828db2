//! Where answers are kept.

use std::{future::Future, sync::Arc, time::Duration};

use crate::{CacheKey, Entry, Found};

/// Keeps answers.
///
/// [`MemoryStore`](crate::MemoryStore) answers at once. A store that is elsewhere answers `None`
/// when it is slow, gone or full: to be without a cache is no failure.
pub trait CacheStore: Clone + Send + Sync + 'static {
    /// The search. It may be dropped at any time.
    type Get: Future<Output = Option<Found>> + Send;

    /// Looks an entry up.
    fn get(&self, key: &CacheKey) -> Self::Get;

    /// Keeps an entry for so long. Never waits: a store that is elsewhere does it later, or not at
    /// all.
    fn put(&self, key: CacheKey, entry: Arc<Entry>, ttl: Duration);

    /// Keeps for so long what another store has had for a while. One that can, counts its age from
    /// there.
    fn take_over(&self, key: CacheKey, found: &Found, ttl: Duration) {
        self.put(key, Arc::clone(&found.entry), ttl);
    }
}

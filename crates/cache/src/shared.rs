//! A store of whatever type.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{CacheKey, CacheStore, Entry, Found};

/// A store of whatever type, chosen while the program runs. Its searches are boxed.
#[derive(Clone)]
pub struct SharedStore(Arc<dyn Erased>);

impl SharedStore {
    /// That store.
    #[must_use]
    pub fn new(store: impl CacheStore) -> Self {
        Self(Arc::new(store))
    }
}

trait Erased: Send + Sync {
    fn get(&self, key: &CacheKey) -> Pin<Box<dyn Future<Output = Option<Found>> + Send>>;

    fn put(&self, key: CacheKey, entry: Arc<Entry>, ttl: Duration);
}

impl<C: CacheStore> Erased for C {
    fn get(&self, key: &CacheKey) -> Pin<Box<dyn Future<Output = Option<Found>> + Send>> {
        Box::pin(CacheStore::get(self, key))
    }

    fn put(&self, key: CacheKey, entry: Arc<Entry>, ttl: Duration) {
        CacheStore::put(self, key, entry, ttl);
    }
}

impl CacheStore for SharedStore {
    type Get = Pin<Box<dyn Future<Output = Option<Found>> + Send>>;

    fn get(&self, key: &CacheKey) -> Self::Get {
        self.0.get(key)
    }

    fn put(&self, key: CacheKey, entry: Arc<Entry>, ttl: Duration) {
        self.0.put(key, entry, ttl);
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedStore").finish_non_exhaustive()
    }
}

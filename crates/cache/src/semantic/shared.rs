//! A store of whatever type.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use super::{Near, SemanticStore, Threshold, Vector};
use crate::{CacheKey, Entry};

/// A store of whatever type, chosen while the program runs. Its searches are boxed.
#[derive(Clone)]
pub struct SharedSemanticStore(Arc<dyn Erased>);

type BoxNearest = Pin<Box<dyn Future<Output = Option<Near>> + Send>>;

impl SharedSemanticStore {
    /// That store.
    #[must_use]
    pub fn new(store: impl SemanticStore) -> Self {
        Self(Arc::new(store))
    }
}

trait Erased: Send + Sync {
    fn nearest(
        &self,
        partition: &CacheKey,
        vector: &Vector,
        threshold: Threshold,
        max_age: Option<Duration>,
    ) -> BoxNearest;

    fn put(&self, partition: CacheKey, vector: Vector, entry: Arc<Entry>, ttl: Duration);
}

impl<C: SemanticStore> Erased for C {
    fn nearest(
        &self,
        partition: &CacheKey,
        vector: &Vector,
        threshold: Threshold,
        max_age: Option<Duration>,
    ) -> BoxNearest {
        let nearest = SemanticStore::nearest(self, partition, vector, threshold, max_age);
        Box::pin(nearest)
    }

    fn put(&self, partition: CacheKey, vector: Vector, entry: Arc<Entry>, ttl: Duration) {
        SemanticStore::put(self, partition, vector, entry, ttl);
    }
}

impl SemanticStore for SharedSemanticStore {
    type Nearest = BoxNearest;

    fn nearest(
        &self,
        partition: &CacheKey,
        vector: &Vector,
        threshold: Threshold,
        max_age: Option<Duration>,
    ) -> BoxNearest {
        self.0.nearest(partition, vector, threshold, max_age)
    }

    fn put(&self, partition: CacheKey, vector: Vector, entry: Arc<Entry>, ttl: Duration) {
        self.0.put(partition, vector, entry, ttl);
    }
}

impl fmt::Debug for SharedSemanticStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSemanticStore")
            .finish_non_exhaustive()
    }
}

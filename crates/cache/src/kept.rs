//! What keeps the answer to one request.

use std::{sync::Arc, time::Duration};

use crate::{CacheKey, CacheStore, Entry, Produced, flight::Lead, record::Keep};

/// Keeps the answer to a request in a store, and tells those who wait for the same.
pub(crate) struct Kept<R, C, X> {
    pub(crate) request: R,
    pub(crate) key: CacheKey,
    pub(crate) store: C,
    pub(crate) names: X,
    /// How long it is kept; `None` if it is not to be kept.
    pub(crate) ttl: Option<Duration>,
    /// Those who wait for the same.
    pub(crate) lead: Option<Lead>,
}

impl<R, C, X> Keep for Kept<R, C, X>
where
    R: Send + 'static,
    C: CacheStore,
    X: Produced<R> + Send + 'static,
{
    fn complete(self, entry: Entry) {
        let entry = Arc::new(entry);
        let key = self.names.produced(&self.request, self.key);
        if let (Some(key), Some(ttl)) = (key, self.ttl) {
            self.store.put(key, Arc::clone(&entry), ttl);
        }
        if let Some(lead) = self.lead {
            // What another group answered is not what the others asked for.
            lead.land(Some(entry).filter(|_| key == Some(self.key)));
        }
    }

    fn spoilt(self) {
        if let Some(lead) = self.lead {
            lead.land(None);
        }
    }
}

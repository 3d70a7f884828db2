//! Where answers are kept, as the plan and the application say.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use ziggurat_cache::{CacheKey, CacheStore, Entry, Found, MemoryStore, SharedStore, Tiered};

/// The memory of the process, a store elsewhere, or the one before the other.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Memory(MemoryStore),
    Far(SharedStore),
    Tiered(Tiered<MemoryStore, SharedStore>),
}

impl Store {
    /// What there is elsewhere is kept near for so long, if it is.
    pub(crate) fn new(
        near: &MemoryStore,
        far: Option<&SharedStore>,
        near_ttl: Option<Duration>,
    ) -> Self {
        match (far.cloned(), near_ttl) {
            (None, _) => Self::Memory(near.clone()),
            (Some(far), None) => Self::Far(far),
            (Some(far), Some(ttl)) => Self::Tiered(Tiered::new(near.clone(), far, ttl)),
        }
    }
}

impl CacheStore for Store {
    type Get = Get;

    fn get(&self, key: &CacheKey) -> Get {
        match self {
            Self::Memory(store) => Get::Memory {
                get: store.get(key),
            },
            Self::Far(store) => Get::Far {
                get: store.get(key),
            },
            Self::Tiered(store) => Get::Tiered {
                get: store.get(key),
            },
        }
    }

    fn put(&self, key: CacheKey, entry: Arc<Entry>, ttl: Duration) {
        match self {
            Self::Memory(store) => store.put(key, entry, ttl),
            Self::Far(store) => store.put(key, entry, ttl),
            Self::Tiered(store) => store.put(key, entry, ttl),
        }
    }
}

pin_project! {
    /// The search in one of them.
    #[project = GetProj]
    pub(crate) enum Get {
        Memory { #[pin] get: <MemoryStore as CacheStore>::Get },
        Far { #[pin] get: <SharedStore as CacheStore>::Get },
        Tiered { #[pin] get: <Tiered<MemoryStore, SharedStore> as CacheStore>::Get },
    }
}

impl Future for Get {
    type Output = Option<Found>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            GetProj::Memory { get } => get.poll(cx),
            GetProj::Far { get } => get.poll(cx),
            GetProj::Tiered { get } => get.poll(cx),
        }
    }
}

use std::time::Duration;

use tower_layer::Layer;

use crate::{CacheService, Keys, flight::Flights};

/// How long an answer is kept unless it is said otherwise.
pub(crate) const TTL: Duration = Duration::from_secs(600);
/// How many bytes an answer may have that is kept.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Answers requests again from a cache. See the [crate docs](crate).
#[derive(Clone, Debug)]
pub struct CacheLayer<C, X = Keys> {
    pub(crate) store: C,
    pub(crate) keys: X,
    pub(crate) settings: Settings,
}

/// What all services of a layer have in common.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) ttl: Duration,
    pub(crate) max_bytes: usize,
    pub(crate) flights: Option<Flights>,
}

impl<C> CacheLayer<C> {
    /// A layer over a store, which looks up whatever can be, for each caller apart, and keeps answers
    /// of up to 4 MiB for ten minutes.
    #[must_use]
    pub fn new(store: C) -> Self {
        Self {
            store,
            keys: Keys::new(),
            settings: Settings {
                ttl: TTL,
                max_bytes: MAX_BYTES,
                flights: None,
            },
        }
    }
}

impl<C, X> CacheLayer<C, X> {
    /// Keeps answers in another store from here on. Who waits for the same shares one call with those
    /// of the layer that it was.
    #[must_use]
    pub fn with_store<D>(self, store: D) -> CacheLayer<D, X> {
        CacheLayer {
            store,
            keys: self.keys,
            settings: self.settings,
        }
    }

    /// Says which requests are looked up, and under which names: [`Keys`], or a closure
    /// `Fn(&Request) -> Option<Asked>`.
    #[must_use]
    pub fn with_keys<Y>(self, keys: Y) -> CacheLayer<C, Y> {
        CacheLayer {
            store: self.store,
            keys,
            settings: self.settings,
        }
    }

    /// How long an answer is kept, if its request does not say.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = ttl;
        self
    }

    /// How many bytes an answer may have that is kept.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// Makes one call for all who ask the same at the same time.
    ///
    /// The others wait for the end of the first one's answer. If that fails, each makes a call of its
    /// own; if its client leaves, the next who waits makes the call for the rest.
    #[must_use]
    pub fn single_flight(mut self) -> Self {
        self.settings.flights.get_or_insert_with(Flights::new);
        self
    }
}

impl<S, C: Clone, X: Clone> Layer<S> for CacheLayer<C, X> {
    type Service = CacheService<S, C, X>;

    fn layer(&self, inner: S) -> Self::Service {
        CacheService {
            inner,
            layer: self.clone(),
        }
    }
}

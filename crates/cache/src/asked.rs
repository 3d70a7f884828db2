//! What a request asks of the cache.

use std::time::Duration;

use crate::CacheKey;

/// What a request asks of the cache.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The name of its answer.
    pub key: CacheKey,
    /// Whether an answer may be taken from the cache.
    pub reads: bool,
    /// Whether its answer may be kept.
    pub writes: bool,
    /// How old an answer may be that is taken.
    pub max_age: Option<Duration>,
    /// How long its answer is kept, instead of the usual time.
    pub ttl: Option<Duration>,
}

impl Asked {
    /// An answer of that name, from the cache or for it.
    #[must_use]
    pub const fn new(key: CacheKey) -> Self {
        Self {
            key,
            reads: true,
            writes: true,
            max_age: None,
            ttl: None,
        }
    }
}

/// Under which name an answer is kept, once it is known who gave it.
pub trait Produced<R> {
    /// The name, of the answer to `request`; `None` if it is not to be kept.
    fn produced(&self, request: &R, asked: CacheKey) -> Option<CacheKey>;

    /// How many bytes of a request are read to find its name: of very many, that is done [off the
    /// reactor](ziggurat_core::off_reactor). 0 if it is not said.
    fn bytes_read(&self, _: &R) -> usize {
        0
    }
}

impl<R, F: Fn(&R) -> Option<Asked>> Produced<R> for F {
    /// The name that was asked for.
    fn produced(&self, _: &R, asked: CacheKey) -> Option<CacheKey> {
        Some(asked)
    }
}

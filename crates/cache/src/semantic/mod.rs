//! Answers to questions that mean the same.

mod embed;
mod future;
mod memory;
mod question;
mod shared;
mod store;
mod vector;

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Error, LlmRequest, LlmResponse};

pub use self::{
    future::{SIMILARITY, SemanticFuture},
    memory::MemorySemanticStore,
    shared::SharedSemanticStore,
    store::{Near, SemanticStore},
    vector::{BadThreshold, Threshold, Vector},
};
use crate::{
    Keys,
    layer::{MAX_BYTES, TTL},
};

/// The longest that is waited for a vector.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers a question with the answer to one that means the same. *Deferring*, and to be put right
/// beneath [`CacheLayer`](crate::CacheLayer).
///
/// The question is the last text of the user. An embedding of it, by a model for that, is compared
/// with those of the questions before that were asked by the same tenant, of the same group, and in
/// a request that is the same in all but that text. A request whose question cannot be told, or
/// whose vector does not come in time, goes on as if this were not there, and is not kept.
///
/// Two tenants never share, even by [`Tenants::Everybody`](crate::Tenants::Everybody): of those each
/// key is by itself. An answer of a fallback is not kept.
///
/// What means the opposite may have a vector that is quite near: a threshold under 0.9 gives wrong
/// answers. [`SIMILARITY`] says of an answer how near the question was.
#[derive(Clone)]
pub struct SemanticCacheLayer<E, C> {
    pub(crate) store: C,
    pub(crate) embedder: E,
    pub(crate) model: Arc<str>,
    pub(crate) threshold: Threshold,
    pub(crate) keys: Keys,
    pub(crate) ttl: Duration,
    pub(crate) max_bytes: usize,
    pub(crate) patience: Duration,
}

impl<E, C> SemanticCacheLayer<E, C> {
    /// A layer over a store. The `embedder`, a stack for requests for embeddings, is asked for
    /// vectors by `model`.
    ///
    /// For each caller apart; an answer of up to 4 MiB is kept for ten minutes; a vector is waited
    /// for five seconds.
    #[must_use]
    pub fn new(store: C, embedder: E, model: impl Into<Arc<str>>, threshold: Threshold) -> Self {
        Self {
            store,
            embedder,
            model: model.into(),
            threshold,
            keys: Keys::new(),
            ttl: TTL,
            max_bytes: MAX_BYTES,
            patience: PATIENCE,
        }
    }

    /// Says which requests are looked up, and who shares with whom.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = keys.apart();
        self
    }

    /// How long an answer is kept, if its request does not say.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How many bytes an answer may have that is kept.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long a vector is waited for, five seconds at most.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience.min(PATIENCE);
        self
    }
}

impl<E, C: fmt::Debug> fmt::Debug for SemanticCacheLayer<E, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemanticCacheLayer")
            .field("store", &self.store)
            .field("model", &self.model)
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}

impl<S, E: Clone, C: Clone> Layer<S> for SemanticCacheLayer<E, C> {
    type Service = SemanticCacheService<S, E, C>;

    fn layer(&self, inner: S) -> Self::Service {
        SemanticCacheService {
            inner,
            layer: self.clone(),
        }
    }
}

/// Answers questions that mean the same. Made by [`SemanticCacheLayer`].
#[derive(Clone, Debug)]
pub struct SemanticCacheService<S, E, C> {
    inner: S,
    layer: SemanticCacheLayer<E, C>,
}

impl<S, E, C> Service<LlmRequest> for SemanticCacheService<S, E, C>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    E: Service<LlmRequest, Response = LlmResponse> + Clone,
    C: SemanticStore,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = SemanticFuture<S, E, C>;

    /// Always ready: an answer that is there needs nobody beneath.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        SemanticFuture::new(self.inner.clone(), request, self.layer.clone())
    }
}

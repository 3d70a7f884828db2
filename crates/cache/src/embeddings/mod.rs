//! Embeddings, text by text.

mod elements;
mod future;

use std::{
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Error, LARGE, LlmRequest, LlmResponse, Operation, off_reactor};

use self::elements::Elements;
pub use self::future::EmbeddingFuture;
use crate::{CacheStore, Keys, Produced as _, layer::TTL};

/// Answers requests for embeddings from a cache, text by text: only texts that are new are asked
/// for. *Deferring*, and to be put beside [`CacheLayer`](crate::CacheLayer), which then is given
/// [`Keys::operations`] without embeddings.
///
/// Everything else goes straight through. An answer of which nothing is new is made by
/// [`Maker::Cache`](ziggurat_core::Maker::Cache), and its usage is zero.
#[derive(Clone, Debug)]
pub struct EmbeddingCacheLayer<C> {
    store: C,
    keys: Keys,
    ttl: Duration,
}

impl<C> EmbeddingCacheLayer<C> {
    /// A layer over a store, for each caller apart, which keeps what it learns for ten minutes.
    #[must_use]
    pub fn new(store: C) -> Self {
        Self {
            store,
            keys: Keys::new(),
            ttl: TTL,
        }
    }

    /// Says which requests are looked up, and under which names.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.keys = keys;
        self
    }

    /// How long it is kept, if the request does not say.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }
}

impl<S, C: Clone> Layer<S> for EmbeddingCacheLayer<C> {
    type Service = EmbeddingCacheService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        EmbeddingCacheService {
            inner,
            layer: self.clone(),
        }
    }
}

/// Answers embeddings from a cache. Made by [`EmbeddingCacheLayer`].
#[derive(Clone, Debug)]
pub struct EmbeddingCacheService<S, C> {
    inner: S,
    layer: EmbeddingCacheLayer<C>,
}

impl<S, C> Service<LlmRequest> for EmbeddingCacheService<S, C>
where
    S: Service<LlmRequest, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    C: CacheStore,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = EmbeddingFuture<S, C>;

    /// Always ready: what is known needs nobody beneath.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: LlmRequest) -> Self::Future {
        let (inner, layer) = (self.inner.clone(), &self.layer);
        let (store, ttl) = (layer.store.clone(), layer.ttl);
        if request.operation() != Operation::Embeddings {
            return EmbeddingFuture::new(inner, request, None, store);
        }
        let bytes = layer.keys.bytes_read(&request);
        if bytes < LARGE {
            let elements = Elements::of(&layer.keys, &request, ttl);
            return EmbeddingFuture::new(inner, request, elements, store);
        }
        let (keys, named) = (layer.keys.clone(), request.clone());
        let naming = off_reactor(bytes, move || Elements::of(&keys, &named, ttl));
        EmbeddingFuture::naming(inner, request, Box::pin(naming), store)
    }
}

use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Error, Extract, LlmResponse};

use crate::{Asked, CacheLayer, CacheStore, Produced, future::ResponseFuture};

/// Answers from a cache. Made by [`CacheLayer`].
#[derive(Clone, Debug)]
pub struct CacheService<S, C, X> {
    pub(crate) inner: S,
    pub(crate) layer: CacheLayer<C, X>,
}

impl<R, S, C, X> Service<R> for CacheService<S, C, X>
where
    R: Clone + Send + 'static,
    S: Service<R, Response = LlmResponse> + Clone,
    S::Error: Into<Error>,
    C: CacheStore,
    X: Extract<Option<Asked>, R> + Produced<R> + Clone + Send + 'static,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture<S, R, C, X>;

    /// Always ready: an answer that is there needs nobody beneath.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let asked = self.layer.keys.extract(&request);
        ResponseFuture::new(self.inner.clone(), request, asked, self.layer.clone())
    }
}

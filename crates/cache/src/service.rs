use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Error, Extract, LARGE, LlmResponse, off_reactor};

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
        let (inner, layer) = (self.inner.clone(), self.layer.clone());
        let bytes = layer.keys.bytes_read(&request);
        if bytes < LARGE {
            let asked = layer.keys.extract(&request);
            return ResponseFuture::new(inner, request, asked, layer);
        }
        let (keys, named) = (layer.keys.clone(), request.clone());
        let naming = off_reactor(bytes, move || keys.extract(&named));
        ResponseFuture::naming(inner, request, Box::pin(naming), layer)
    }
}

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::{Drain, Error, Extract, LlmResponse, Unrouted};

use crate::{Always, future::ResponseFuture, queue::Queue};

/// Reads streams to their end when their client has hung up; see the [crate docs](crate).
/// *Pass-through.*
#[derive(Clone, Debug)]
pub struct DrainService<S, X = Always> {
    inner: S,
    queue: Arc<Queue>,
    extract: X,
}

impl<S, X> DrainService<S, X> {
    pub(crate) const fn new(inner: S, queue: Arc<Queue>, extract: X) -> Self {
        Self {
            inner,
            queue,
            extract,
        }
    }
}

impl<S, X, R> Service<R> for DrainService<S, X>
where
    S: Service<R, Response = LlmResponse>,
    S::Error: Into<Error>,
    X: Extract<bool, R>,
    R: Unrouted,
{
    type Response = LlmResponse;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let drain = self.extract.extract(&request).then(|| {
            let drain: Arc<dyn Drain> = Arc::<Queue>::clone(&self.queue);
            drain
        });
        ResponseFuture::new(self.inner.call(request), drain)
    }
}

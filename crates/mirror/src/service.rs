use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::Error;

use crate::{
    Mirror,
    future::{Copies, ResponseFuture},
    queue::Queue,
};

/// Sends copies of the requests that a deployment answers to its mirrors; see the
/// [crate docs](crate). *Pass-through.*
pub struct MirrorService<S, C> {
    inner: S,
    queue: Arc<Queue<C>>,
    share: f64,
}

impl<S, C> MirrorService<S, C> {
    pub(crate) const fn new(inner: S, queue: Arc<Queue<C>>, share: f64) -> Self {
        Self {
            inner,
            queue,
            share,
        }
    }

    /// Whether this request is one of those to be mirrored.
    fn takes<R: Mirror>(&self, request: &R) -> bool {
        !request.deployment().mirrors().is_empty()
            && !request.is_copy()
            && (self.share >= 1.0 || fastrand::f64() < self.share)
    }
}

impl<S: Clone, C> Clone for MirrorService<S, C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.queue), self.share)
    }
}

impl<S: fmt::Debug, C> fmt::Debug for MirrorService<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MirrorService")
            .field("inner", &self.inner)
            .field("queue", &self.queue)
            .field("share", &self.share)
            .finish()
    }
}

impl<S, C, R> Service<R> for MirrorService<S, C>
where
    S: Service<R>,
    S::Error: Into<Error>,
    R: Mirror<Copy = C>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let copies = self
            .takes(&request)
            .then(|| Copies::new(&request, Arc::clone(&self.queue)));
        ResponseFuture::new(self.inner.call(request), copies)
    }
}

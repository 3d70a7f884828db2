use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body_util::Either;
use tower_service::Service;

use super::{Identify, IdentifyFuture};
use crate::ResponseBody;

/// Lets in those who are known; see [`IdentifyLayer`](crate::IdentifyLayer). Deferring: always ready.
pub struct Identified<S, I> {
    inner: S,
    identify: Arc<I>,
}

impl<S, I> Identified<S, I> {
    pub(crate) const fn new(inner: S, identify: Arc<I>) -> Self {
        Self { inner, identify }
    }
}

impl<S, I, B, R> Service<Request<B>> for Identified<S, I>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    I: Identify,
{
    type Response = Response<Either<R, ResponseBody>>;
    type Error = S::Error;
    type Future = IdentifyFuture<S, I::Future, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let identity = self.identify.identify(&parts);
        let request = Request::from_parts(parts, body);
        IdentifyFuture::new(identity, self.inner.clone(), request)
    }
}

impl<S: Clone, I> Clone for Identified<S, I> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.identify))
    }
}

impl<S: fmt::Debug, I> fmt::Debug for Identified<S, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identified")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

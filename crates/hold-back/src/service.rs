use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Error, Extract, HasDeployment};

use crate::{HoldBack, Holdable, future::ResponseFuture};

/// Holds back the beginning of streamed answers; see the [crate docs](crate). *Pass-through.*
#[derive(Clone, Copy, Debug)]
pub struct HoldBackService<S, X = HoldBack> {
    inner: S,
    extract: X,
}

impl<S, X> HoldBackService<S, X> {
    pub(crate) const fn new(inner: S, extract: X) -> Self {
        Self { inner, extract }
    }
}

impl<S, X, R> Service<R> for HoldBackService<S, X>
where
    S: Service<R, Response: Holdable>,
    S::Error: Into<Error>,
    X: Extract<HoldBack, R>,
    R: HasDeployment,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let hold = self.extract.extract(&request);
        ResponseFuture::new(self.inner.call(request), hold)
    }
}

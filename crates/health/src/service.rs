use std::task::{Context, Poll};

use tower_service::Service;
use ziggurat_core::{Error, HasDeployment};

use crate::{HealthChecks, future::ResponseFuture};

/// The service of [`HealthLayer`](crate::HealthLayer). *Pass-through.*
#[derive(Clone, Debug)]
pub struct Health<S> {
    inner: S,
    checks: HealthChecks,
}

impl<S> Health<S> {
    pub(crate) const fn new(inner: S, checks: HealthChecks) -> Self {
        Self { inner, checks }
    }
}

impl<S, R> Service<R> for Health<S>
where
    S: Service<R>,
    S::Error: Into<Error>,
    R: HasDeployment,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        match self.checks.0.admit(request.deployment()) {
            Ok(()) => ResponseFuture::admitted(self.inner.call(request)),
            Err(error) => ResponseFuture::refused(error),
        }
    }
}

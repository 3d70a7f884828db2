//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::{Attach, Error, HasDeployment};

use crate::{
    future::{Permit, ResponseFuture},
    shared::Shared,
};

/// The service of [`ConcurrencyLayer`](crate::ConcurrencyLayer).
#[derive(Clone, Debug)]
pub struct Concurrency<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Concurrency<S> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, R> Service<R> for Concurrency<S>
where
    S: Service<R>,
    S::Response: Attach<Permit>,
    S::Error: Into<Error>,
    R: HasDeployment,
{
    type Response = <S::Response as Attach<Permit>>::Output;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        match self.shared.enter(request.deployment()) {
            Ok(permit) => ResponseFuture::admitted(self.inner.call(request), permit),
            Err(error) => ResponseFuture::refused(error),
        }
    }
}

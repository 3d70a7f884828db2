//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::{Attach, Error, HasDeployment, HasLedger};

use crate::{
    future::{ResponseFuture, Watch},
    shared::Shared,
};

/// The service of [`CooldownLayer`](crate::CooldownLayer).
#[derive(Clone, Debug)]
pub struct Cooldown<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Cooldown<S> {
    pub(crate) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, R> Service<R> for Cooldown<S>
where
    S: Service<R>,
    S::Response: Attach<Watch>,
    S::Error: Into<Error>,
    R: HasDeployment + HasLedger,
{
    type Response = <S::Response as Attach<Watch>>::Output;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        match self.shared.admit(request.deployment(), request.ledger()) {
            Ok(watch) => ResponseFuture::admitted(self.inner.call(request), watch),
            Err(error) => ResponseFuture::refused(error),
        }
    }
}

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tower_service::Service;
use ziggurat_core::{Attach, Error, Extract, HasDeployment};

use super::{Heard, Quotas, ResponseFuture};
use crate::Cost;

/// Refuses what a provider would throttle. Made by
/// [`ProviderLimitsLayer`](super::ProviderLimitsLayer).
#[derive(Clone, Debug)]
pub struct ProviderLimits<S, X> {
    inner: S,
    quotas: Arc<Quotas>,
    cost: X,
}

impl<S, X> ProviderLimits<S, X> {
    pub(crate) const fn new(inner: S, quotas: Arc<Quotas>, cost: X) -> Self {
        Self {
            inner,
            quotas,
            cost,
        }
    }
}

impl<R, S, X> Service<R> for ProviderLimits<S, X>
where
    R: HasDeployment,
    S: Service<R>,
    S::Error: Into<Error>,
    S::Response: Attach<Heard>,
    X: Extract<Cost, R>,
{
    type Response = <S::Response as Attach<Heard>>::Output;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let quota = self.quotas.of(request.deployment());
        match quota.send(self.cost.extract(&request), Instant::now()) {
            Ok(sent) => ResponseFuture::sent(self.inner.call(request), quota, sent),
            Err(refusal) => ResponseFuture::refused(refusal),
        }
    }
}

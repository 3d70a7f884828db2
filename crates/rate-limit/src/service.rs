use std::{
    task::{Context, Poll},
    time::Duration,
};

use tower_service::Service;
use ziggurat_core::{Attach, Error, Extract, HasLedger};

use crate::{Charges, Limiter, Settlement, future::ResponseFuture, pacing::Pacing};

/// Limits what an inner service is asked. Made by [`RateLimitLayer`](crate::RateLimitLayer).
#[derive(Clone, Copy, Debug)]
pub struct RateLimit<S, L, X> {
    inner: S,
    limiter: L,
    charges: X,
    patience: Option<Duration>,
}

impl<S, L, X> RateLimit<S, L, X> {
    pub(crate) const fn new(inner: S, limiter: L, charges: X, patience: Option<Duration>) -> Self {
        Self {
            inner,
            limiter,
            charges,
            patience,
        }
    }
}

impl<R, S, L, X> Service<R> for RateLimit<S, L, X>
where
    R: HasLedger,
    S: Service<R> + Clone,
    S::Error: Into<Error>,
    S::Response: Attach<Settlement<L::Permit>>,
    L: Limiter,
    X: Extract<Charges, R>,
{
    type Response = <S::Response as Attach<Settlement<L::Permit>>>::Output;
    type Error = Error;
    type Future = ResponseFuture<S, R, L>;

    /// Always ready: what an inner service promises is not to be held while a limiter is asked.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let charges = self.charges.extract(&request);
        let acquire = (!charges.is_none()).then(|| self.limiter.acquire(&charges));
        let settlement = Settlement::new(&charges);
        let leads_on = charges.leads_on();
        let pacing = self
            .patience
            .filter(|_| acquire.is_some())
            .map(|patience| Box::new(Pacing::new(self.limiter.clone(), charges, patience)));
        let inner = self.inner.clone();
        ResponseFuture::new(inner, request, acquire, pacing, settlement, leads_on)
    }
}

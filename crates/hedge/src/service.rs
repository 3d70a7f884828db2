use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tower_service::Service;
use ziggurat_core::{Error, Extract, FromParam, HasLedger, ModelGroup, Param, Unrouted};

use crate::{
    Hedging,
    future::ResponseFuture,
    policy::{Policy, Race},
};

/// Sends a second copy of a request that is late with its answer; see the [crate docs](crate).
/// *Deferring.*
#[derive(Clone, Debug)]
pub struct Hedge<S, X = FromParam> {
    inner: S,
    policy: Arc<Policy>,
    extract: X,
}

impl<S, X> Hedge<S, X> {
    pub(crate) const fn new(inner: S, policy: Arc<Policy>, extract: X) -> Self {
        Self {
            inner,
            policy,
            extract,
        }
    }

    /// What is needed to hedge a request, if it is one of those that are.
    fn race<R>(&self, request: &R) -> Option<Race>
    where
        X: Extract<Hedging, R>,
        R: HasLedger + Param<ModelGroup>,
    {
        let (ledger, group) = (request.ledger()?.clone(), request.param());
        let hedging = self.extract.extract(request);
        if hedging == Hedging::Off || !self.policy.covers(&group) {
            return None;
        }
        let policy = Arc::clone(&self.policy);
        Some(Race::new(policy, group, hedging, ledger, Instant::now()))
    }
}

impl<S, X, R> Service<R> for Hedge<S, X>
where
    S: Service<R> + Clone,
    S::Error: Into<Error>,
    X: Extract<Hedging, R>,
    R: Unrouted + HasLedger + Clone + Param<ModelGroup>,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let race = self.race(&request);
        ResponseFuture::new(&self.inner, request, race)
    }
}

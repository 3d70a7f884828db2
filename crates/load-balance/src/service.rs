use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::{Attach, Error, HasLedger, ModelGroup, Param, Routed, Unrouted};

use crate::{Affinity, Filter, InFlight, LoadBalanceLayer, Strategy, future::ResponseFuture};

/// Chooses the deployment that serves a request, and passes the request on as [`Routed`]. Deferring:
/// it is always ready, and readies a clone of the inner service when it has chosen.
///
/// See the [crate](crate) for what it does.
pub struct LoadBalance<S, P, F = (), A = ()> {
    inner: S,
    balancer: Arc<LoadBalanceLayer<P, F, A>>,
}

impl<S, P, F, A> LoadBalance<S, P, F, A> {
    pub(crate) fn new(inner: S, balancer: LoadBalanceLayer<P, F, A>) -> Self {
        Self {
            inner,
            balancer: Arc::new(balancer),
        }
    }
}

impl<S, P, F, A, R> Service<R> for LoadBalance<S, P, F, A>
where
    R: Clone + Unrouted + HasLedger + Param<ModelGroup> + Send + 'static,
    P: Strategy<R>,
    F: Filter<R>,
    A: Affinity<R>,
    S: Service<Routed<R>> + Clone,
    S::Error: Into<Error>,
    S::Response: Attach<InFlight>,
{
    type Response = <S::Response as Attach<InFlight>>::Output;
    type Error = Error;
    type Future = ResponseFuture<S, P, F, A, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        ResponseFuture::new(self.inner.clone(), Arc::clone(&self.balancer), request)
    }
}

impl<S: Clone, P, F, A> Clone for LoadBalance<S, P, F, A> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            balancer: Arc::clone(&self.balancer),
        }
    }
}

impl<S: fmt::Debug, P, F, A> fmt::Debug for LoadBalance<S, P, F, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadBalance")
            .field("inner", &self.inner)
            .field("balancer", &self.balancer)
            .finish()
    }
}

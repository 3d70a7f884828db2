use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use tower_service::Service;
use ziggurat_core::{Error, HasLedger};

use crate::{future::ResponseFuture, waiting::Waiting};

/// Watches requests until their answer begins; see
/// [`WatchRequestsLayer`](crate::WatchRequestsLayer). *Pass-through.*
#[derive(Clone)]
pub struct WatchRequests<S> {
    inner: S,
    waiting: Arc<Waiting>,
}

impl<S> WatchRequests<S> {
    pub(crate) const fn new(inner: S, waiting: Arc<Waiting>) -> Self {
        Self { inner, waiting }
    }
}

impl<S, R> Service<R> for WatchRequests<S>
where
    S: Service<R>,
    S::Error: Into<Error>,
    R: HasLedger,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let waiter = request.ledger().and_then(|it| self.waiting.enter(it));
        ResponseFuture::new(self.inner.call(request), waiter)
    }
}

impl<S: fmt::Debug> fmt::Debug for WatchRequests<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchRequests")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

//! The services.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower_service::Service;
use ziggurat_core::{Clock, Clocked, Error, Extract, HasDeployment, HasLedger, Ledger};

use crate::{AttemptClocks, future::ResponseFuture};

/// The service of [`DeadlineLayer`](crate::DeadlineLayer).
#[derive(Clone, Copy, Debug)]
pub struct Deadline<S, X> {
    inner: S,
    default: Option<Duration>,
    extract: X,
    streams: bool,
}

impl<S, X> Deadline<S, X> {
    pub(crate) const fn new(
        inner: S,
        default: Option<Duration>,
        extract: X,
        streams: bool,
    ) -> Self {
        Self {
            inner,
            default,
            extract,
            streams,
        }
    }
}

impl<S, X, R> Service<R> for Deadline<S, X>
where
    S: Service<R>,
    S::Error: Into<Error>,
    S::Response: Clocked,
    X: Extract<Option<Duration>, R>,
    R: HasLedger,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let time = self.extract.extract(&request).or(self.default);
        let own = time.and_then(|time| Instant::now().checked_add(time));
        let deadline = match request.ledger() {
            Some(ledger) => {
                if let Some(at) = own {
                    ledger.limit(at);
                }
                ledger.deadline()
            }
            None => own,
        };
        let future = ResponseFuture::new(
            self.inner.call(request),
            deadline.map(|at| (at, Clock::Total)),
        );
        future.with_total(deadline.filter(|_| self.streams))
    }
}

/// The service of [`TimeoutLayer`](crate::TimeoutLayer).
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S, X> {
    inner: S,
    extract: X,
}

impl<S, X> Timeout<S, X> {
    pub(crate) const fn new(inner: S, extract: X) -> Self {
        Self { inner, extract }
    }
}

impl<S, X, R> Service<R> for Timeout<S, X>
where
    S: Service<R>,
    S::Error: Into<Error>,
    S::Response: Clocked,
    X: Extract<AttemptClocks, R>,
    R: HasDeployment + HasLedger,
{
    type Response = S::Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let clocks = self.extract.extract(&request);
        let deadline = request.ledger().and_then(Ledger::deadline);
        let limit = clocks.limit(Instant::now(), deadline);
        let deployment = request.deployment().id().clone();
        ResponseFuture::new(self.inner.call(request), limit)
            .with_idle(clocks.idle)
            .with_callers(clocks.callers)
            .with_deployment(deployment)
    }
}

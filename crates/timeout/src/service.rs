//! The services.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;
use tower_service::Service;
use ziggurat_core::{Clocked, Error, Extract, HasDeployment, HasLedger, Ledger};

use crate::{
    AttemptClocks, Share,
    attempt::Limit,
    future::ResponseFuture,
    learned::{Learned, Watch},
};

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
        let future = ResponseFuture::new(self.inner.call(request), deadline.map(Limit::deadline));
        future.with_total(deadline.filter(|_| self.streams))
    }
}

/// The service of [`TimeoutLayer`](crate::TimeoutLayer).
#[derive(Clone, Debug)]
pub struct Timeout<S, X> {
    inner: S,
    extract: X,
    learned: Arc<Learned>,
}

impl<S, X> Timeout<S, X> {
    pub(crate) const fn new(inner: S, extract: X, learned: Arc<Learned>) -> Self {
        Self {
            inner,
            extract,
            learned,
        }
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
        let (id, now) = (request.deployment().id().clone(), Instant::now());
        let watch = clocks.adaptive.map(|it| self.learned.watch(&id, it, now));
        let others = clocks.share != Share::Whole;
        let adaptive = watch.as_ref().filter(|_| others).and_then(Watch::limit);
        let deadline = request.ledger().and_then(Ledger::deadline);
        let limit = clocks.limit(now, deadline, adaptive);
        ResponseFuture::new(self.inner.call(request), limit)
            .with_deployment(id)
            .with_watch(watch)
            .with_idle(&clocks)
    }
}

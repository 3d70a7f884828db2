//! The future of a response that is held to a clock.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use ziggurat_core::{Blame, Clock, Clocked, DeploymentId, Error};

pin_project! {
    /// The future of [`Deadline`](crate::Deadline) and [`Timeout`](crate::Timeout).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        // Made when it is waited for: most responses of a fast inner service never need it.
        #[pin]
        alarm: Option<Sleep>,
        limit: Option<(Instant, Clock)>,
        deployment: Option<DeploymentId>,
        callers: bool,
        idle: Option<Duration>,
        total: Option<Instant>,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn new(inner: F, limit: Option<(Instant, Clock)>) -> Self {
        Self {
            inner,
            alarm: None,
            limit,
            deployment: None,
            callers: false,
            idle: None,
            total: None,
        }
    }

    /// Names the deployment that an attempt's clock speaks against.
    pub(crate) fn with_deployment(mut self, id: DeploymentId) -> Self {
        self.deployment = Some(id);
        self
    }

    /// Says that the caller chose the attempt's clock.
    pub(crate) fn with_callers(mut self, callers: bool) -> Self {
        self.callers = callers;
        self
    }

    /// Holds the stream to a time between two items.
    pub(crate) fn with_idle(mut self, idle: Option<Duration>) -> Self {
        self.idle = idle;
        self
    }

    /// Ends the stream at a time.
    pub(crate) fn with_total(mut self, at: Option<Instant>) -> Self {
        self.total = at;
        self
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    T: Clocked,
    E: Into<Error>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(result) = this.inner.poll(cx) {
            let mut response = result.map_err(Into::into)?;
            if let Some(idle) = *this.idle {
                response.limit_idle(idle);
            }
            if let Some(at) = *this.total {
                response.limit_total(at);
            }
            return Poll::Ready(Ok(response));
        }
        let Some((at, clock)) = *this.limit else {
            return Poll::Pending;
        };
        if this.alarm.is_none() {
            this.alarm.set(Some(sleep_until(at)));
        }
        if let Some(alarm) = this.alarm.as_mut().as_pin_mut() {
            ready!(alarm.poll(cx));
        }
        let mut error = Error::timeout(clock);
        if *this.callers && clock != Clock::Total {
            error = error.with_blame(Blame::Request);
        }
        Poll::Ready(Err(match this.deployment.take() {
            Some(id) if clock != Clock::Total => error.with_deployment(id),
            _ => error,
        }))
    }
}

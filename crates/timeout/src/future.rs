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

use crate::{AttemptClocks, attempt::Limit, learned::Watch};

pin_project! {
    /// The future of [`Deadline`](crate::Deadline) and [`Timeout`](crate::Timeout).
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        // Made when it is waited for: most responses of a fast inner service never need it.
        #[pin]
        alarm: Option<Sleep>,
        limit: Option<Limit>,
        deployment: Option<DeploymentId>,
        watch: Option<Watch>,
        idle: Option<Duration>,
        callers_idle: bool,
        total: Option<Instant>,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn new(inner: F, limit: Option<Limit>) -> Self {
        Self {
            inner,
            alarm: None,
            limit,
            deployment: None,
            watch: None,
            idle: None,
            callers_idle: false,
            total: None,
        }
    }

    /// Names the deployment that an attempt's clock speaks against.
    pub(crate) fn with_deployment(mut self, id: DeploymentId) -> Self {
        self.deployment = Some(id);
        self
    }

    /// Notes how long the answer takes to begin.
    pub(crate) fn with_watch(mut self, watch: Option<Watch>) -> Self {
        self.watch = watch;
        self
    }

    /// Holds the stream to its time between two items.
    pub(crate) fn with_idle(mut self, clocks: &AttemptClocks) -> Self {
        self.idle = clocks.idle;
        self.callers_idle = clocks.callers_idle;
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
            if let Some(watch) = this.watch {
                watch.note(Instant::now());
            }
            match *this.idle {
                Some(idle) if *this.callers_idle => response.limit_idle_for_caller(idle),
                Some(idle) => response.limit_idle(idle),
                None => {}
            }
            if let Some(at) = *this.total {
                response.limit_total(at);
            }
            return Poll::Ready(Ok(response));
        }
        let Some(limit) = *this.limit else {
            return Poll::Pending;
        };
        if this.alarm.is_none() {
            this.alarm.set(Some(sleep_until(limit.at)));
        }
        if let Some(alarm) = this.alarm.as_mut().as_pin_mut() {
            ready!(alarm.poll(cx));
        }
        if let Some(watch) = this.watch.as_ref().filter(|_| limit.is_adaptive) {
            watch.note(limit.at);
        }
        let mut error = Error::timeout(limit.clock);
        if limit.is_callers {
            error = error.with_blame(Blame::Request);
        }
        Poll::Ready(Err(match this.deployment.take() {
            Some(id) if limit.clock != Clock::Total => error.with_deployment(id),
            _ => error,
        }))
    }
}

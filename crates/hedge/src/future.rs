//! The future of a response that two copies of a request may be sent for.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::util::Oneshot;
use tower_service::Service;
use ziggurat_core::{Clock, Error, ErrorKind};

use crate::policy::Race;

pin_project! {
    /// Waits for the first answer to one or two copies of a request.
    ///
    /// Dropped, it leaves nothing; when it is ready, neither copy is left.
    pub struct ResponseFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        first: Option<Oneshot<S, R>>,
        #[pin]
        second: Option<Oneshot<S, R>>,
        // Made when it is waited for: most answers come before it is needed.
        #[pin]
        alarm: Option<Sleep>,
        spare: Option<Spare<S, R>>,
        race: Option<Race>,
        // Of the copy that failed while the other one still runs.
        failed: Option<Error>,
    }
}

/// What a second copy is made of, until it is sent or found to be of no use.
struct Spare<S, R> {
    inner: S,
    request: R,
    at: Instant,
}

impl<S, R> ResponseFuture<S, R>
where
    S: Service<R> + Clone,
    R: Clone,
{
    pub(crate) fn new(inner: &S, request: R, race: Option<Race>) -> Self {
        let late_at = race.as_ref().and_then(Race::late_at);
        let spare = late_at.map(|at| Spare {
            inner: inner.clone(),
            request: request.clone(),
            at,
        });
        Self {
            first: Some(Oneshot::new(inner.clone(), request)),
            second: None,
            alarm: None,
            spare,
            race,
            failed: None,
        }
    }
}

impl<S, R> Future for ResponseFuture<S, R>
where
    S: Service<R>,
    S::Error: Into<Error>,
{
    type Output = Result<S::Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answer = loop {
            let first = poll_copy(this.first.as_mut(), cx);
            if let Some(race) = this.race.as_mut()
                && !matches!(&first, Some(Err(error)) if refused(error))
            {
                race.dispatched();
            }
            match first {
                Some(Ok(answer)) => break answer,
                Some(Err(error)) => {
                    let error = report(error, this.failed.take());
                    if this.second.is_none() {
                        return Poll::Ready(Err(error));
                    }
                    *this.failed = Some(error);
                }
                None => {}
            }
            match poll_copy(this.second.as_mut(), cx) {
                Some(Ok(answer)) => break answer,
                Some(Err(error)) => match this.failed.take() {
                    Some(first) => return Poll::Ready(Err(report(first, Some(error)))),
                    None => *this.failed = Some(error),
                },
                None => {}
            }
            let (Some(spare), Some(race)) = (this.spare.as_ref(), this.race.as_ref()) else {
                return Poll::Pending;
            };
            if this.alarm.is_none() {
                this.alarm.set(Some(sleep_until(spare.at)));
            }
            if let Some(alarm) = this.alarm.as_mut().as_pin_mut() {
                ready!(alarm.poll(cx));
            }
            this.alarm.set(None);
            if let Some(spare) = this.spare.take()
                && race.hedge(Instant::now())
            {
                let second = Oneshot::new(spare.inner, spare.request);
                this.second.set(Some(second));
            }
        };
        // The loser is cancelled now, not when somebody drops this future.
        this.first.set(None);
        this.second.set(None);
        if let Some(race) = this.race {
            race.answered(Instant::now());
        }
        Poll::Ready(Ok(answer))
    }
}

/// Polls a copy that is still there, and drops it when it is done.
fn poll_copy<F, T, E>(
    mut copy: Pin<&mut Option<F>>,
    cx: &mut Context<'_>,
) -> Option<Result<T, Error>>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Error>,
{
    match copy.as_mut().as_pin_mut()?.poll(cx) {
        Poll::Ready(output) => {
            copy.set(None);
            Some(output.map_err(Into::into))
        }
        Poll::Pending => None,
    }
}

/// The error for both: that of the first copy, unless it hides why the second really failed.
fn report(first: Error, second: Option<Error>) -> Error {
    match second {
        Some(second) if refused(&first) && !refused(&second) => second,
        _ => first,
    }
}

/// Whether nothing was sent: a layer refused, or the deadline had passed.
fn refused(error: &Error) -> bool {
    error.rejection().is_some() || error.kind() == ErrorKind::Timeout(Clock::Total)
}

impl<S: Service<R>, R> fmt::Debug for ResponseFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("first", &self.first.is_some())
            .field("second", &self.second.is_some())
            .field("race", &self.race)
            .finish_non_exhaustive()
    }
}

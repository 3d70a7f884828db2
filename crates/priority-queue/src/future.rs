//! The future of a queued response.

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
use tracing::Span;
use ziggurat_core::{Attach, Clock, Error, HasLedger, Reason, Rejection, Scope};

use crate::{
    Permit,
    gate::Entry,
    queue::{Refusal, Until},
};

pin_project! {
    /// Waits for its turn, then for the response.
    ///
    /// Dropped, it leaves the queue or gives its turn to the next.
    pub struct ResponseFuture<S, R>
    where
        S: Service<R>,
    {
        #[pin]
        state: State<S, R>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R>
    where
        S: Service<R>,
    {
        Waiting {
            #[pin]
            wait: Option<Wait>,
            call: Option<(S, R)>,
        },
        Calling {
            // Dropped first: who has the turn next finds beneath what this one held there.
            #[pin]
            response: Oneshot<S, R>,
            permit: Option<Permit>,
        },
        Done,
    }
}

pin_project! {
    /// A request at its gate.
    #[derive(Debug)]
    pub(crate) struct Wait {
        entry: Entry,
        scope: Scope,
        since: Option<Instant>,
        #[pin]
        alarm: Option<Sleep>,
    }
}

impl Wait {
    pub(crate) const fn new(entry: Entry, scope: Scope) -> Self {
        Self {
            entry,
            scope,
            since: None,
            alarm: None,
        }
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Permit, Error>> {
        let this = self.project();
        let refused = |refusal| refused(refusal, *this.scope);
        if let Poll::Ready(permit) = this.entry.poll(cx) {
            return Poll::Ready(permit.map_err(refused));
        }
        this.since.get_or_insert_with(Instant::now);
        let until = ready!(poll_until(this.entry.until(), this.alarm, cx));
        let refusal = this.entry.give_up();
        Poll::Ready(Err(match until.is_deadline {
            true => Error::timeout(Clock::Total),
            false => refused(refusal),
        }))
    }
}

impl<S: Service<R>, R> ResponseFuture<S, R> {
    pub(crate) const fn new(wait: Option<Wait>, inner: S, request: R) -> Self {
        let call = Some((inner, request));
        let state = State::Waiting { wait, call };
        Self { state }
    }
}

impl<S, R> Future for ResponseFuture<S, R>
where
    S: Service<R>,
    S::Error: Into<Error>,
    S::Response: Attach<Permit>,
    R: HasLedger,
{
    type Output = Result<<S::Response as Attach<Permit>>::Output, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Waiting { mut wait, call } => {
                    let permit = match wait.as_mut().as_pin_mut() {
                        Some(wait) => ready!(wait.poll(cx)),
                        None => Ok(Permit::ungated()),
                    };
                    if let Some(since) = wait.as_ref().get_ref().as_ref().and_then(|it| it.since) {
                        let waited = since.elapsed();
                        Span::current().record("queue_ms", waited.as_millis() as u64);
                        let ledger = call.as_ref().and_then(|(_, request)| request.ledger());
                        ledger.inspect(|ledger| ledger.note_queued(waited));
                    }
                    let call = call.take();
                    // The place in the queue goes with the state.
                    state.set(State::Done);
                    let permit = Some(permit?);
                    let (inner, request) = call.expect("polled after it had completed");
                    let response = Oneshot::new(inner, request);
                    state.set(State::Calling { response, permit });
                }
                StateProj::Calling { response, permit } => {
                    let response = ready!(response.poll(cx));
                    let permit = permit.take().expect("polled after it had completed");
                    state.set(State::Done);
                    return Poll::Ready(match response {
                        Ok(response) => Ok(response.attach(permit)),
                        Err(error) => Err(error.into()),
                    });
                }
                StateProj::Done => panic!("polled after it had completed"),
            }
        }
    }
}

/// Waits for as long as it may; for ever if there is no such time.
fn poll_until(
    until: Option<Until>,
    mut alarm: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<Until> {
    let Some(until) = until else {
        return Poll::Pending;
    };
    if alarm.is_none() {
        alarm.set(Some(sleep_until(until.at)));
    }
    match alarm.as_pin_mut() {
        Some(alarm) => alarm.poll(cx).map(|()| until),
        None => Poll::Pending,
    }
}

fn refused(refusal: Refusal, scope: Scope) -> Error {
    let rejection = Rejection::new(refusal.reason, scope);
    let rejection = match refusal.turn_at {
        Some(at) => rejection.retry_at(at),
        None => rejection,
    };
    let message = match refusal.reason {
        Reason::QueueFull => "too many requests wait already",
        Reason::Deadline => "the wait for capacity would pass the request's deadline",
        _ => "the wait for capacity is longer than requests may wait",
    };
    Error::rejected(rejection, message)
}

impl<S: Service<R>, R> fmt::Debug for ResponseFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Waiting { .. } => "waiting",
            State::Calling { .. } => "calling",
            State::Done => "done",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

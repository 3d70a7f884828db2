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
use ziggurat_core::{Attach, Clock, Error, Reason, Rejection};

use crate::{Permit, gate::Turn};

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
            turn: Turn,
            since: Option<Instant>,
            #[pin]
            alarm: Option<Sleep>,
            call: Option<(S, R)>,
        },
        Calling {
            permit: Option<Permit>,
            #[pin]
            response: Oneshot<S, R>,
        },
        Done,
    }
}

impl<S: Service<R>, R> ResponseFuture<S, R> {
    pub(crate) fn new(turn: Turn, inner: S, request: R) -> Self {
        Self {
            state: State::Waiting {
                turn,
                since: None,
                alarm: None,
                call: Some((inner, request)),
            },
        }
    }
}

impl<S, R> Future for ResponseFuture<S, R>
where
    S: Service<R>,
    S::Error: Into<Error>,
    S::Response: Attach<Permit>,
{
    type Output = Result<<S::Response as Attach<Permit>>::Output, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Waiting {
                    turn,
                    since,
                    alarm,
                    call,
                } => {
                    let permit = match turn.poll(cx) {
                        Poll::Ready(permit) => permit.map_err(refused),
                        Poll::Pending => {
                            since.get_or_insert_with(Instant::now);
                            ready!(poll_deadline(turn.deadline(), alarm, cx));
                            Err(Error::timeout(Clock::Total))
                        }
                    };
                    if let Some(since) = since {
                        Span::current().record("queue_ms", since.elapsed().as_millis() as u64);
                    }
                    let call = call.take();
                    // The place in the queue goes with the state.
                    state.set(State::Done);
                    let permit = Some(permit?);
                    let (inner, request) = call.expect("polled after it had completed");
                    let response = Oneshot::new(inner, request);
                    state.set(State::Calling { permit, response });
                }
                StateProj::Calling { permit, response } => {
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

/// Waits until the deadline; for ever if there is none.
fn poll_deadline(
    deadline: Option<Instant>,
    mut alarm: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let Some(deadline) = deadline else {
        return Poll::Pending;
    };
    if alarm.is_none() {
        alarm.set(Some(sleep_until(deadline)));
    }
    alarm
        .as_pin_mut()
        .map_or(Poll::Pending, |alarm| alarm.poll(cx))
}

fn refused(rejection: Rejection) -> Error {
    let message = match rejection.reason() {
        Reason::QueueFull => "too many requests wait already",
        _ => "the wait for capacity would pass the request's deadline",
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

//! The future of a response that is tried for again.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;
use ziggurat_core::{Error, Extract, HasLedger};

use crate::{
    Retries,
    settings::Settings,
    tries::{Moment, Tries},
};

// Tower's `Retry` engine is not used: its policy sees the error by reference and in the type of the
// inner service, and here the error is converted, kept, and sometimes replaced by an earlier one.
pin_project! {
    /// Tries, waits and tries again.
    ///
    /// Nothing of a failed try is kept while it waits but the error. Dropped, it leaves nothing.
    pub struct ResponseFuture<S, R, X>
    where
        S: Service<R>,
    {
        inner: S,
        request: R,
        settings: Arc<Settings>,
        extract: X,
        tries: Tries,
        #[pin]
        state: State<S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Readying,
        Calling {
            #[pin]
            response: F,
        },
        Waiting {
            #[pin]
            pause: Sleep,
            since: Instant,
        },
    }
}

impl<S: Service<R>, R, X> ResponseFuture<S, R, X> {
    pub(crate) fn new(inner: S, request: R, settings: Arc<Settings>, extract: X) -> Self {
        Self {
            inner,
            request,
            settings,
            extract,
            tries: Tries::default(),
            state: State::Readying,
        }
    }
}

impl<S, R, X> Future for ResponseFuture<S, R, X>
where
    S: Service<R>,
    S::Error: Into<Error>,
    R: Clone + HasLedger,
    X: Extract<Retries, R>,
{
    type Output = Result<S::Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Readying => {
                    if let Err(error) = ready!(this.inner.poll_ready(cx)) {
                        return Poll::Ready(Err(this.tries.give_up(error.into())));
                    }
                    this.tries.start(this.request.ledger())?;
                    let response = this.inner.call(this.request.clone());
                    this.state.set(State::Calling { response });
                }
                StateProj::Calling { response } => {
                    let error: Error = match ready!(response.poll(cx)) {
                        Ok(response) => {
                            this.tries.dispatched(this.settings);
                            return Poll::Ready(Ok(response));
                        }
                        Err(error) => error.into(),
                    };
                    let moment = Moment {
                        settings: this.settings,
                        asked: this.extract.extract(this.request),
                        ledger: this.request.ledger(),
                        now: Instant::now(),
                        jitter: fastrand::f64(),
                    };
                    let pause = this.tries.failed(error, &moment)?;
                    this.state.set(match pause {
                        Duration::ZERO => State::Readying,
                        pause => State::Waiting {
                            pause: sleep(pause),
                            since: moment.now,
                        },
                    });
                }
                StateProj::Waiting { pause, since } => {
                    ready!(pause.poll(cx));
                    if let Some(ledger) = this.request.ledger() {
                        ledger.note_paused(since.elapsed());
                    }
                    this.state.set(State::Readying);
                }
            }
        }
    }
}

impl<S: Service<R>, R, X> fmt::Debug for ResponseFuture<S, R, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Readying => "readying",
            State::Calling { .. } => "calling",
            State::Waiting { .. } => "waiting",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .field("tries", &self.tries)
            .finish_non_exhaustive()
    }
}

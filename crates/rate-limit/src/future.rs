//! Future types.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep_until};
use tower_service::Service;
use ziggurat_core::{Attach, Error, HasLedger};

use crate::{Limiter, Settlement, pacing::Pacing};

pin_project! {
    /// Asks the limiter, then the inner service. The future of [`RateLimit`](crate::RateLimit).
    ///
    /// Dropping it gives back what it took, but for the request itself once that was handed on.
    pub struct ResponseFuture<S, R, L>
    where
        S: Service<R>,
        L: Limiter,
    {
        inner: S,
        request: Option<R>,
        #[pin]
        state: State<L::Acquire, S::Future>,
        pacing: Option<Box<Pacing<L>>>,
        settlement: Option<Settlement<L::Permit>>,
        leads_on: bool,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<A, F> {
        Acquiring { #[pin] acquire: A },
        Waiting { #[pin] alarm: Sleep },
        Readying,
        Calling { #[pin] future: F },
    }
}

impl<S, R, L> ResponseFuture<S, R, L>
where
    S: Service<R>,
    L: Limiter,
{
    pub(crate) fn new(
        inner: S,
        request: R,
        acquire: Option<L::Acquire>,
        pacing: Option<Box<Pacing<L>>>,
        settlement: Settlement<L::Permit>,
        leads_on: bool,
    ) -> Self {
        Self {
            inner,
            request: Some(request),
            state: acquire.map_or(State::Readying, |acquire| State::Acquiring { acquire }),
            pacing,
            settlement: Some(settlement),
            leads_on,
        }
    }
}

const POLLED_AGAIN: &str = "polled after it was ready";

impl<S, R, L> Future for ResponseFuture<S, R, L>
where
    R: HasLedger,
    S: Service<R>,
    S::Error: Into<Error>,
    S::Response: Attach<Settlement<L::Permit>>,
    L: Limiter,
{
    type Output = Result<<S::Response as Attach<Settlement<L::Permit>>>::Output, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Acquiring { acquire } => {
                    let permit = match ready!(acquire.poll(cx)) {
                        Ok(permit) => permit,
                        Err(refused) => {
                            let ledger = this.request.as_ref().and_then(HasLedger::ledger);
                            let wait = this.pacing.as_ref();
                            let Some(at) = wait.and_then(|it| it.wait(&refused, ledger)) else {
                                let refused = match *this.leads_on {
                                    true => refused.leading_on(),
                                    false => refused,
                                };
                                return Poll::Ready(Err(refused.into()));
                            };
                            let alarm = sleep_until(at);
                            this.state.set(State::Waiting { alarm });
                            continue;
                        }
                    };
                    *this.pacing = None;
                    let settlement = this.settlement.as_mut().expect(POLLED_AGAIN);
                    settlement.hold(permit);
                    this.state.set(State::Readying);
                }
                StateProj::Waiting { alarm } => {
                    ready!(alarm.poll(cx));
                    let pacing = this.pacing.as_ref().expect(POLLED_AGAIN);
                    let acquire = pacing.limiter.acquire(&pacing.charges);
                    this.state.set(State::Acquiring { acquire });
                }
                StateProj::Readying => {
                    if let Err(error) = ready!(this.inner.poll_ready(cx)) {
                        *this.settlement = None;
                        return Poll::Ready(Err(error.into()));
                    }
                    let settlement = this.settlement.as_mut().expect(POLLED_AGAIN);
                    let request = this.request.take().expect(POLLED_AGAIN);
                    settlement.sent();
                    let future = this.inner.call(request);
                    this.state.set(State::Calling { future });
                }
                StateProj::Calling { future } => {
                    let result = ready!(future.poll(cx));
                    let mut settlement = this.settlement.take().expect(POLLED_AGAIN);
                    return Poll::Ready(match result {
                        Ok(response) => Ok(response.attach(settlement)),
                        Err(error) => {
                            let error = error.into();
                            settlement.fail(&error);
                            Err(error)
                        }
                    });
                }
            }
        }
    }
}

impl<S, R, L> fmt::Debug for ResponseFuture<S, R, L>
where
    S: Service<R>,
    L: Limiter,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("settlement", &self.settlement)
            .finish_non_exhaustive()
    }
}

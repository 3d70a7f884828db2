//! Future types.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;
use ziggurat_core::{Attach, Error};

use crate::{Limiter, Settlement};

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
        settlement: Option<Settlement<L::Permit>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<A, F> {
        Acquiring { #[pin] acquire: A },
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
        settlement: Settlement<L::Permit>,
    ) -> Self {
        Self {
            inner,
            request: Some(request),
            state: acquire.map_or(State::Readying, |acquire| State::Acquiring { acquire }),
            settlement: Some(settlement),
        }
    }
}

const POLLED_AGAIN: &str = "polled after it was ready";

impl<S, R, L> Future for ResponseFuture<S, R, L>
where
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
                    let permit = ready!(acquire.poll(cx))?;
                    let settlement = this.settlement.as_mut().expect(POLLED_AGAIN);
                    settlement.hold(permit);
                    this.state.set(State::Readying);
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

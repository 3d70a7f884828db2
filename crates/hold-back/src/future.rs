//! The future of a response that may be held back.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use ziggurat_core::Error;

use crate::{HoldBack, Holdable};

pin_project! {
    /// Waits for the response, and then until so much of it is there. Dropped, it drops what there
    /// is.
    pub struct ResponseFuture<F, T> {
        #[pin]
        state: State<F, T>,
        hold: HoldBack,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, T> {
        Waiting {
            #[pin]
            response: F,
        },
        Holding {
            // It leaves when all that is wanted is there, or when it broke.
            response: Option<T>,
        },
    }
}

impl<F, T> ResponseFuture<F, T> {
    pub(crate) const fn new(response: F, hold: HoldBack) -> Self {
        Self {
            state: State::Waiting { response },
            hold,
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F, T>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Error>,
    T: Holdable,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Waiting { response } => {
                    let response = ready!(response.poll(cx)).map_err(Into::into)?;
                    this.state.set(State::Holding {
                        response: Some(response),
                    });
                }
                StateProj::Holding { response } => {
                    let held = response
                        .as_mut()
                        .expect("a response is polled to its end once");
                    let held = ready!(held.poll_hold(cx, *this.hold));
                    let response = response.take().expect("it was just there");
                    return Poll::Ready(held.map(|()| response));
                }
            }
        }
    }
}

impl<F, T> fmt::Debug for ResponseFuture<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("hold", &self.hold)
            .field("is_holding", &matches!(self.state, State::Holding { .. }))
            .finish_non_exhaustive()
    }
}

//! The future of a response that may be played.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use ziggurat_core::Error;

pin_project! {
    /// The future of [`MockFailure`](crate::MockFailure) and [`MockAnswer`](crate::MockAnswer).
    /// Dropped, it leaves nothing.
    #[derive(Debug)]
    pub struct ResponseFuture<F, T> {
        #[pin]
        state: State<F, T>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F, T> {
        Asked { #[pin] inner: F },
        // Boxed, so that what is not played does not pay for its size.
        Played { played: Option<Box<Result<T, Error>>> },
        Silent,
    }
}

impl<F, T> ResponseFuture<F, T> {
    pub(crate) const fn asked(inner: F) -> Self {
        Self {
            state: State::Asked { inner },
        }
    }

    pub(crate) fn played(played: Result<T, Error>) -> Self {
        Self {
            state: State::Played {
                played: Some(Box::new(played)),
            },
        }
    }

    pub(crate) const fn silent() -> Self {
        Self {
            state: State::Silent,
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F, T>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Error>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Asked { inner } => inner.poll(cx).map_err(Into::into),
            StateProj::Played { played } => {
                Poll::Ready(*played.take().expect("polled after it was ready"))
            }
            StateProj::Silent => Poll::Pending,
        }
    }
}

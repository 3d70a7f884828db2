//! The future of an attempt that has a place.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use ziggurat_core::{Attach, Error};

pub use crate::permit::Permit;

pin_project! {
    /// The future of [`Concurrency`](crate::Concurrency). Dropped, it gives its place back.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<F> {
        Refused { error: Option<Error> },
        Admitted { #[pin] inner: F, permit: Option<Permit> },
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn refused(error: Error) -> Self {
        let error = Some(error);
        Self {
            state: State::Refused { error },
        }
    }

    pub(crate) const fn admitted(inner: F, permit: Permit) -> Self {
        let permit = Some(permit);
        Self {
            state: State::Admitted { inner, permit },
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    T: Attach<Permit>,
    E: Into<Error>,
{
    type Output = Result<T::Output, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const DONE: &str = "polled after it was ready";
        match self.project().state.project() {
            StateProj::Refused { error } => Poll::Ready(Err(error.take().expect(DONE))),
            StateProj::Admitted { inner, permit } => {
                let result = ready!(inner.poll(cx)).map_err(Into::into);
                let mut permit = permit.take().expect(DONE);
                Poll::Ready(match result {
                    Ok(response) => {
                        permit.answering();
                        Ok(response.attach(permit))
                    }
                    Err(error) => {
                        permit.fail(&error);
                        Err(error)
                    }
                })
            }
        }
    }
}

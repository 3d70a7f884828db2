//! The future of a response whose end is watched.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use ziggurat_core::{Attach, Error};

pub use crate::watch::Watch;

pin_project! {
    /// The future of [`Cooldown`](crate::Cooldown).
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
        Admitted { #[pin] inner: F, watch: Option<Watch> },
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn refused(error: Error) -> Self {
        let error = Some(error);
        Self {
            state: State::Refused { error },
        }
    }

    pub(crate) const fn admitted(inner: F, watch: Watch) -> Self {
        let watch = Some(watch);
        Self {
            state: State::Admitted { inner, watch },
        }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    T: Attach<Watch>,
    E: Into<Error>,
{
    type Output = Result<T::Output, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const DONE: &str = "polled after it was ready";
        match self.project().state.project() {
            StateProj::Refused { error } => Poll::Ready(Err(error.take().expect(DONE))),
            StateProj::Admitted { inner, watch } => {
                let result = ready!(inner.poll(cx)).map_err(Into::into);
                let mut watch = watch.take().expect(DONE);
                Poll::Ready(match result {
                    Ok(response) => Ok(response.attach(watch)),
                    Err(error) => {
                        watch.fail(&error);
                        Err(error)
                    }
                })
            }
        }
    }
}

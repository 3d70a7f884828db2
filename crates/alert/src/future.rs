//! The future of a request that is watched.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use ziggurat_core::Error;

use crate::waiting::Waiter;

pin_project! {
    /// Waits for the answer, and is no longer watched when that has begun. Dropped, it is not either.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        response: F,
        waiter: Option<Waiter>,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn new(response: F, waiter: Option<Waiter>) -> Self {
        Self { response, waiter }
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Error>,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.response.poll(cx));
        *this.waiter = None;
        Poll::Ready(answer.map_err(Into::into))
    }
}

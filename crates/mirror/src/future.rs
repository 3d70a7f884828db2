//! The future of a response of which copies may be asked for.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use ziggurat_core::{Deployment, Error};

use crate::{Mirror, queue::Queue};

pin_project! {
    /// Waits for the response, and sends copies of the request when it begins. Dropped, it sends
    /// none.
    #[derive(Debug)]
    pub struct ResponseFuture<F, R: Mirror> {
        #[pin]
        response: F,
        copies: Option<Copies<R>>,
    }
}

impl<F, R: Mirror> ResponseFuture<F, R> {
    pub(crate) const fn new(response: F, copies: Option<Copies<R>>) -> Self {
        Self { response, copies }
    }
}

impl<F, R, T, E> Future for ResponseFuture<F, R>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Error>,
    R: Mirror,
{
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx));
        if let (Ok(_), Some(copies)) = (&response, this.copies.take()) {
            copies.send();
        }
        Poll::Ready(response.map_err(Into::into))
    }
}

/// What is to be copied, and where to.
pub(crate) struct Copies<R: Mirror> {
    original: R::Copy,
    deployment: Arc<Deployment>,
    queue: Arc<Queue<R::Copy>>,
}

impl<R: Mirror> Copies<R> {
    pub(crate) fn new(request: &R, queue: Arc<Queue<R::Copy>>) -> Self {
        Self {
            original: request.original(),
            deployment: Arc::clone(request.deployment()),
            queue,
        }
    }

    fn send(self) {
        for group in self.deployment.mirrors() {
            self.queue.push(R::copy_for(&self.original, group));
        }
    }
}

impl<R: Mirror> fmt::Debug for Copies<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copies")
            .field("mirrors", &self.deployment.mirrors())
            .finish_non_exhaustive()
    }
}

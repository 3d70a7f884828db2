//! The future of a response that may be drained.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use ziggurat_core::{Drain, Error, LlmResponse};

pin_project! {
    /// Waits for the response. Dropped before, it drops what there is: nothing is drained.
    pub struct ResponseFuture<F> {
        #[pin]
        response: F,
        drain: Option<Arc<dyn Drain>>,
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) const fn new(response: F, drain: Option<Arc<dyn Drain>>) -> Self {
        Self { response, drain }
    }
}

impl<F, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<LlmResponse, E>>,
    E: Into<Error>,
{
    type Output = Result<LlmResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx)).map_err(Into::into)?;
        Poll::Ready(Ok(match this.drain.take() {
            Some(drain) => response.draining(drain),
            None => response,
        }))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("is_drained", &self.drain.is_some())
            .finish_non_exhaustive()
    }
}

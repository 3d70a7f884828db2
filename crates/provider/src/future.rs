use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use ziggurat_core::{Error, LlmResponse};

use crate::Probed;

/// The future of a call: the one box at the end of the stack.
///
/// Dropping it hangs up.
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Result<LlmResponse, Error>> + Send>>);

impl ResponseFuture {
    pub(crate) fn new(
        call: impl Future<Output = Result<LlmResponse, Error>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(call))
    }
}

impl Future for ResponseFuture {
    type Output = Result<LlmResponse, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// The future of a probe. Dropping it hangs up.
pub struct ProbeFuture(Pin<Box<dyn Future<Output = Result<Probed, Error>> + Send>>);

impl ProbeFuture {
    pub(crate) fn new(probe: impl Future<Output = Result<Probed, Error>> + Send + 'static) -> Self {
        Self(Box::pin(probe))
    }
}

impl Future for ProbeFuture {
    type Output = Result<Probed, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ProbeFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeFuture").finish_non_exhaustive()
    }
}

//! The future of a recorded response.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tracing::Span;
use ziggurat_core::{Attach, End, Error, Observer};

/// What is written when a response has ended.
pub(crate) trait Record: Observer {
    /// The span that the response is made in.
    fn span(&self) -> &Span;

    /// An answer has begun.
    fn answers(&mut self) {}
}

pin_project! {
    /// Waits for a response inside its span. Dropped, the record says that it was abandoned.
    #[derive(Debug)]
    pub struct ResponseFuture<F, G> {
        #[pin]
        response: F,
        record: Option<G>,
    }
}

impl<F, G> ResponseFuture<F, G> {
    pub(crate) const fn new(response: F, record: G) -> Self {
        Self {
            response,
            record: Some(record),
        }
    }
}

impl<F, G, T, E> Future for ResponseFuture<F, G>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Error>,
    T: Attach<G>,
    G: Record,
{
    type Output = Result<T::Output, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let record = this.record.as_ref().expect("polled after it had completed");
        let response = ready!(record.span().in_scope(|| this.response.poll(cx)));
        let mut record = this.record.take().expect("was there a moment ago");
        Poll::Ready(match response {
            Ok(response) => {
                record.answers();
                Ok(response.attach(record))
            }
            Err(error) => {
                let error = error.into();
                record.end(End::Failed(&error));
                Err(error)
            }
        })
    }
}

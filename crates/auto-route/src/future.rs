//! The future of a response whose group was chosen.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use ziggurat_core::{Attach, End, Error, Observer};

use crate::{Feedback, Watch};

pin_project! {
    /// Waits for the response and lets the feedback know. Dropped, the feedback learns that nobody
    /// waited.
    #[derive(Debug)]
    pub struct ResponseFuture<F, G: Feedback> {
        #[pin]
        response: F,
        watch: Watch<G>,
    }
}

impl<F, G: Feedback> ResponseFuture<F, G> {
    pub(crate) const fn new(response: F, watch: Watch<G>) -> Self {
        Self { response, watch }
    }
}

impl<F, G, T, E> Future for ResponseFuture<F, G>
where
    F: Future<Output = Result<T, E>>,
    E: Into<Error>,
    T: Attach<Watch<G>>,
    G: Feedback,
{
    type Output = Result<T::Output, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx));
        let mut watch = std::mem::take(this.watch);
        Poll::Ready(match response {
            Ok(response) => {
                watch.answering();
                Ok(response.attach(watch))
            }
            Err(error) => {
                let error = error.into();
                watch.end(End::Failed(&error));
                Err(error)
            }
        })
    }
}

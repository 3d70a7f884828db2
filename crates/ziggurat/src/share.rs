//! A service whose clones cost the same, however many layers are beneath.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tower::{ServiceExt as _, util::Oneshot};
use tower_layer::Layer;
use tower_service::Service;

/// Keeps what is beneath once, for all clones; it is cloned when it is called, and its future is boxed.
///
/// A layer that may call more than once keeps a clone of all that is beneath in its future, and some
/// keep several futures. Without this, the future of a stack with a dozen of them has ten kilobytes,
/// and all of that is copied once for each layer on the way down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShareLayer;

impl<S> Layer<S> for ShareLayer {
    type Service = Share<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Share(Arc::new(inner))
    }
}

#[derive(Debug)]
pub(crate) struct Share<S>(Arc<S>);

impl<S> Clone for Share<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, R> Service<R> for Share<S>
where
    S: Service<R> + Clone + Send + 'static,
    S::Future: Send,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<Oneshot<S, R>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // What is beneath is readied when it is called.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        Box::pin(S::clone(&self.0).oneshot(request))
    }
}

use std::sync::Arc;

use tower_layer::Layer;

use super::{Identified, Identify};

/// Finds out who sends an HTTP request before anybody else sees it, and refuses those who are not
/// let in.
///
/// It is for the services and routers of an application that mounts an
/// [`Endpoint`](crate::Endpoint); a [`Gateway`](crate::Gateway) has it built in. Whoever is let in
/// stands as an [`Identity`](crate::Identity) among the extensions of the request. A key in the query
/// is cut out, so that nobody else sees it. Refusals have the shape that clients of the path read.
#[derive(Debug)]
pub struct IdentifyLayer<I> {
    identify: Arc<I>,
}

impl<I: Identify> IdentifyLayer<I> {
    /// Asks this who it is.
    #[must_use]
    pub fn new(identify: I) -> Self {
        Self {
            identify: Arc::new(identify),
        }
    }
}

impl<S, I> Layer<S> for IdentifyLayer<I> {
    type Service = Identified<S, I>;

    fn layer(&self, inner: S) -> Self::Service {
        Identified::new(inner, Arc::clone(&self.identify))
    }
}

impl<I> Clone for IdentifyLayer<I> {
    fn clone(&self) -> Self {
        Self {
            identify: Arc::clone(&self.identify),
        }
    }
}

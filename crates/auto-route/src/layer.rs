use std::sync::Arc;

use tower_layer::Layer;

use crate::AutoRoute;

/// Lets a [`Chooser`](crate::Chooser) name the model group of each request. *Pass-through.*
///
/// It stands above the fallbacks. All services that a layer and its clones make share the chooser.
/// See the [crate docs](crate) for an example.
#[derive(Debug)]
pub struct AutoRouteLayer<C> {
    chooser: Arc<C>,
}

impl<C> AutoRouteLayer<C> {
    /// A layer that asks this chooser.
    #[must_use]
    pub fn new(chooser: C) -> Self {
        Self {
            chooser: Arc::new(chooser),
        }
    }
}

impl<C> Clone for AutoRouteLayer<C> {
    fn clone(&self) -> Self {
        Self {
            chooser: Arc::clone(&self.chooser),
        }
    }
}

impl<S, C> Layer<S> for AutoRouteLayer<C> {
    type Service = AutoRoute<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        AutoRoute::new(inner, Arc::clone(&self.chooser))
    }
}

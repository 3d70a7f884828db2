use std::sync::Arc;

use tower_layer::Layer;

use crate::{WatchRequests, waiting::Waiting};

/// Watches requests until their answer begins, so that one that hangs can be told of. *Pass-through*,
/// near the top of the stack, where requests have a ledger.
///
/// It is made by [`Alerts::watch_requests`](crate::Alerts::watch_requests).
#[derive(Clone)]
pub struct WatchRequestsLayer(Arc<Waiting>);

impl WatchRequestsLayer {
    pub(crate) const fn new(waiting: Arc<Waiting>) -> Self {
        Self(waiting)
    }
}

impl<S> Layer<S> for WatchRequestsLayer {
    type Service = WatchRequests<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WatchRequests::new(inner, Arc::clone(&self.0))
    }
}

impl std::fmt::Debug for WatchRequestsLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchRequestsLayer").finish_non_exhaustive()
    }
}

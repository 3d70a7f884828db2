//! The layer.

use std::sync::Arc;

use tower_layer::Layer;
use ziggurat_core::{Concurrency as Settings, Deployment, DeploymentId};

use crate::{Concurrency, shared::Shared};

/// Limits what is in flight at each deployment, by a number or by learning.
///
/// *Pass-through*, below the balancer. At the limit a request is refused with
/// [`Reason::Busy`](ziggurat_core::Reason::Busy); nothing has been sent, so the balancer goes on to
/// the next deployment. When there will be a place is not known, and not said.
///
/// The limit of a deployment is what [it says](Deployment::with_concurrency), and where it says
/// nothing what is said here; a limit that is learned is never above its
/// [`max_parallel`](Deployment::max_parallel). Without a word it is [`ConcurrencyMode::Fixed`], at
/// 1,000; one that is learned is from 4 to 1,000, and [`ConcurrencyMode::Aimd`] begins with all of
/// them.
///
/// All services of a layer and of its clones share one state, kept by deployment id over reloads.
/// What was made of a deployment for a model or a client has a limit of its own.
///
/// See the [crate's docs](crate) for an example.
///
/// [`ConcurrencyMode::Aimd`]: ziggurat_core::ConcurrencyMode::Aimd
/// [`ConcurrencyMode::Fixed`]: ziggurat_core::ConcurrencyMode::Fixed
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    shared: Arc<Shared>,
}

impl ConcurrencyLayer {
    /// Limits deployments that say nothing of their own by these settings, or by a mode alone.
    #[must_use]
    pub fn new(all: impl Into<Settings>) -> Self {
        Self {
            shared: Arc::new(Shared::new(all.into())),
        }
    }

    /// Changes what holds for all from the next request on. Who is in flight stays, and what was
    /// learned in the same mode.
    pub fn set(&self, all: impl Into<Settings>) {
        self.shared.set(all.into());
    }

    /// How many attempts may be in flight at a deployment now; `None` for any number.
    #[must_use]
    pub fn limit(&self, deployment: &Deployment) -> Option<u32> {
        self.shared.limit(deployment)
    }

    /// How many attempts are in flight at a deployment, streams included. For what was made of one
    /// for a model or a client, by its own id.
    #[must_use]
    pub fn in_flight(&self, id: &DeploymentId) -> u32 {
        self.shared.in_flight(id)
    }

    /// How many attempts are in flight at a deployment. From now on each that ends there while more
    /// than `places` are in flight is [told](Self::on_change) too: where a deployment has less to give
    /// than it has given, that is how it gets there.
    #[must_use]
    pub fn in_flight_above(&self, id: &DeploymentId, places: u32) -> u32 {
        self.shared.in_flight_above(id, places)
    }

    /// Tells whenever a deployment has learned another limit, by its configured id; what
    /// [`set`](Self::set) and a reload change is known to who does that. `false` if somebody else is
    /// told already: then nothing changes.
    ///
    /// It is called on the task of a request, without a lock, and must not block.
    pub fn on_change(&self, tell: impl Fn(&DeploymentId) + Send + Sync + 'static) -> bool {
        self.shared.listener.set(tell)
    }

    /// Forgets what was learned of deployments that are gone: those for whose configured id `keep`
    /// says no, and at which nothing is in flight.
    pub fn retain(&self, keep: impl FnMut(&DeploymentId) -> bool) {
        self.shared.retain(keep);
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Concurrency::new(inner, Arc::clone(&self.shared))
    }
}

//! Layers that are not ours, one instance for each deployment.

pub(crate) mod future;
mod instance;
mod service;

use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;
use ziggurat_core::Deployments;

use self::instance::Instances;
pub use self::{future::PerDeploymentFuture, service::PerDeploymentService};

/// How many instances there are, if nobody says otherwise.
const CAPACITY: usize = 16_384;

/// Gives each deployment an instance of a Tower layer of its own: a
/// [`ConcurrencyLimitLayer`](https://docs.rs/tower/latest/tower/limit/struct.ConcurrencyLimitLayer.html)
/// then limits each deployment, where it would limit all of them together.
///
/// It belongs below the balancer. An instance is made for the first request to a deployment. It is
/// asked once whether it is ready: if it is not, the request is refused
/// ([`Reason::Busy`](ziggurat_core::Reason::Busy)), nothing is sent, and the balancer goes on to the
/// next deployment. With [`patience`](Self::patience) it is waited for first. Its answers and errors pass as they are. Deferring: it is always ready itself.
///
/// ```
/// use tower::{ServiceBuilder, limit::ConcurrencyLimitLayer, service_fn};
/// use ziggurat_core::{Deployment, Deployments, Error, LlmRequest, LlmResponse, Routed};
/// use ziggurat_load_balance::{LoadBalanceLayer, PerDeployment, SimpleShuffle};
///
/// let deployments = Deployments::from_iter([
///     Deployment::new("a", "gpt", "gpt-4o"),
///     Deployment::new("b", "gpt", "gpt-4o"),
/// ]);
/// let stack = ServiceBuilder::new()
///     .layer(LoadBalanceLayer::new(deployments.clone(), SimpleShuffle))
///     .layer(PerDeployment::new(ConcurrencyLimitLayer::new(10)).deployments(deployments))
///     .service(service_fn(async |_: Routed<LlmRequest>| {
///         Ok::<_, Error>(LlmResponse::complete("fine", None))
///     }));
/// # let _ = stack;
/// ```
///
/// # What it cannot do
///
/// - The layer's service must be [`Clone`], and its clones must share what they limit. Tower's
///   `RateLimit` is no such service.
/// - Without [`patience`](Self::patience) nobody waits for readiness, so a service that must be driven
///   to it, one that connects when it is polled, never gets there.
/// - What a foreign layer takes it gives back when the answer begins, not when it ends: a
///   `ConcurrencyLimit` does not count streams that run. `ziggurat-rate-limit` does.
/// - Each call of [`layer`](Layer::layer) makes instances of its own, since they hold the service
///   that it is given. Clones of one service share theirs.
pub struct PerDeployment<L> {
    layer: Arc<L>,
    deployments: Option<Deployments>,
    capacity: usize,
    patience: Option<Duration>,
}

impl<L> PerDeployment<L> {
    /// An instance of this layer for each deployment.
    #[must_use]
    pub fn new(layer: L) -> Self {
        Self {
            layer: Arc::new(layer),
            deployments: None,
            capacity: CAPACITY,
            patience: None,
        }
    }

    /// Forgets the instances of deployments that a reload takes out of this list.
    #[must_use]
    pub fn deployments(mut self, deployments: Deployments) -> Self {
        self.deployments = Some(deployments);
        self
    }

    /// How many instances are kept: 16,384 if not set. One that has a request on its way to an
    /// answer is not forgotten.
    #[must_use]
    pub fn capacity(mut self, instances: usize) -> Self {
        self.capacity = instances;
        self
    }

    /// Waits for an instance that is not ready, for so long, before the request is refused.
    #[must_use]
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = Some(time);
        self
    }
}

impl<S, L: Layer<S>> Layer<S> for PerDeployment<L> {
    type Service = PerDeploymentService<S, L>;

    fn layer(&self, inner: S) -> Self::Service {
        let instances = Instances::new(self.capacity, self.deployments.clone());
        PerDeploymentService::new(inner, Arc::clone(&self.layer), instances, self.patience)
    }
}

impl<L> Clone for PerDeployment<L> {
    fn clone(&self) -> Self {
        Self {
            layer: Arc::clone(&self.layer),
            deployments: self.deployments.clone(),
            capacity: self.capacity,
            patience: self.patience,
        }
    }
}

impl<L> fmt::Debug for PerDeployment<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerDeployment")
            .field("layer", &std::any::type_name::<L>())
            .field("capacity", &self.capacity)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

use tower_layer::Layer;

use crate::{Health, HealthChecks};

/// Refuses deployments that a health check found unhealthy. *Pass-through*, below the balancer, above
/// cooldown.
///
/// The refusal is a [`Rejection`](ziggurat_core::Rejection) with
/// [`Reason::Unhealthy`](ziggurat_core::Reason::Unhealthy) that ends with the next check, so the
/// balancer goes on to another deployment. It refuses nothing unless
/// [`HealthPolicy::routing`](crate::HealthPolicy::routing) is on, and never a whole group. See the
/// [crate docs](crate) for an example.
#[derive(Clone, Debug)]
pub struct HealthLayer {
    checks: HealthChecks,
}

impl HealthLayer {
    /// A layer that goes by these checks.
    #[must_use]
    pub const fn new(checks: HealthChecks) -> Self {
        Self { checks }
    }
}

impl<S> Layer<S> for HealthLayer {
    type Service = Health<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Health::new(inner, self.checks.clone())
    }
}

//! The type-state around the balancer.

use std::sync::Arc;

use crate::Deployment;

/// A request for which a deployment has been chosen.
///
/// The balancer turns `R` into `Routed<R>`, so a layer that needs a deployment says so with
/// [`HasDeployment`] and cannot be stacked above the balancer; one that would do harm below it says
/// so with [`Unrouted`].
#[derive(Clone, Debug)]
pub struct Routed<R> {
    request: R,
    deployment: Arc<Deployment>,
    model: Option<Arc<str>>,
}

impl<R> Routed<R> {
    /// Sends a request to a deployment: what the balancer does, and what tests and callers that
    /// pin a deployment do.
    #[must_use]
    pub fn new(request: R, deployment: Arc<Deployment>) -> Self {
        Self {
            request,
            deployment,
            model: None,
        }
    }

    /// Says which model to ask for, where the deployment's own is a wildcard.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<Arc<str>>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// The same request for another deployment, made of the one that was chosen.
    #[must_use]
    pub fn with_deployment(mut self, deployment: Arc<Deployment>) -> Self {
        self.deployment = deployment;
        self
    }

    /// The provider's name of the model to ask for.
    #[must_use]
    pub fn model(&self) -> &str {
        self.model
            .as_deref()
            .unwrap_or_else(|| self.deployment.model())
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &R {
        &self.request
    }

    /// The deployment.
    #[must_use]
    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }

    /// Both.
    #[must_use]
    pub fn into_parts(self) -> (R, Arc<Deployment>) {
        (self.request, self.deployment)
    }
}

/// A request that has been routed to a deployment: what layers below the balancer see.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has not been routed to a deployment yet",
    label = "this layer must sit below `LoadBalanceLayer`",
    note = "in the `ServiceBuilder`, move this layer under `LoadBalanceLayer`"
)]
pub trait HasDeployment {
    /// The deployment it goes to; of several balancers above, what the nearest chose.
    fn deployment(&self) -> &Arc<Deployment>;
}

impl<R> HasDeployment for Routed<R> {
    fn deployment(&self) -> &Arc<Deployment> {
        &self.deployment
    }
}

/// A request that has *not* been routed yet: what layers above the balancer see.
///
/// Implement it for your own request type with `impl Unrouted for MyRequest {}`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has been routed to a deployment already",
    label = "this layer must sit above `LoadBalanceLayer`",
    note = "in the `ServiceBuilder`, move this layer over `LoadBalanceLayer`",
    note = "for a request type of your own, add `impl Unrouted for {Self} {{}}`"
)]
pub trait Unrouted {}

impl Unrouted for () {}
impl Unrouted for &str {}
impl Unrouted for String {}
impl<B> Unrouted for http::Request<B> {}

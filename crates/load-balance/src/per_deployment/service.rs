use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower_layer::Layer;
use tower_service::Service;
use ziggurat_core::{Error, HasDeployment};

use super::{future::PerDeploymentFuture, instance::Instances};

/// Passes a request to its deployment's instance of a layer: [`PerDeployment`](crate::PerDeployment)
/// as a service.
pub struct PerDeploymentService<S, L: Layer<S>> {
    inner: S,
    layer: Arc<L>,
    instances: Arc<Instances<L::Service>>,
    patience: Option<Duration>,
}

impl<S, L: Layer<S>> PerDeploymentService<S, L> {
    pub(super) fn new(
        inner: S,
        layer: Arc<L>,
        instances: Instances<L::Service>,
        patience: Option<Duration>,
    ) -> Self {
        Self {
            inner,
            layer,
            instances: Arc::new(instances),
            patience,
        }
    }
}

impl<S, L, R> Service<R> for PerDeploymentService<S, L>
where
    R: HasDeployment,
    S: Clone,
    L: Layer<S>,
    L::Service: Service<R> + Clone,
    <L::Service as Service<R>>::Error: Into<Error>,
{
    type Response = <L::Service as Service<R>>::Response;
    type Error = Error;
    type Future = PerDeploymentFuture<L::Service, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: R) -> Self::Future {
        let make = || self.layer.layer(self.inner.clone());
        let instance = self.instances.get(request.deployment(), make);
        let instances = Arc::clone(&self.instances);
        PerDeploymentFuture::new(instance, instances, request, self.patience)
    }
}

impl<S: Clone, L: Layer<S>> Clone for PerDeploymentService<S, L> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: Arc::clone(&self.layer),
            instances: Arc::clone(&self.instances),
            patience: self.patience,
        }
    }
}

impl<S: fmt::Debug, L: Layer<S>> fmt::Debug for PerDeploymentService<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerDeploymentService")
            .field("inner", &self.inner)
            .field("layer", &std::any::type_name::<L>())
            .finish_non_exhaustive()
    }
}

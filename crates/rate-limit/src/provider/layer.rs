use std::sync::Arc;

use tower_layer::Layer;
use ziggurat_core::FromParam;

use super::{ProviderLimits, Quotas};

/// Refuses what a provider would throttle, by its own word. *Pass-through*, below the balancer.
///
/// Services of one layer and of its clones share what they hear. See the
/// [module docs](crate::provider).
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use tokio::time::Instant;
/// use tower::{Layer, ServiceExt, service_fn};
/// use ziggurat_core::{Deployment, Error, LlmRequest, LlmResponse, ProviderLimits, Quota, Routed};
/// use ziggurat_rate_limit::provider::ProviderLimitsLayer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Error> {
/// let leaf = service_fn(async |_: Routed<LlmRequest>| {
///     let resets_at = Some(Instant::now() + Duration::from_secs(20));
///     let requests = Some(Quota { limit: 60, remaining: 0, resets_at });
///     let limits = ProviderLimits { requests, tokens: None };
///     Ok::<_, Error>(LlmResponse::complete("{}", None).with_provider_limits(limits))
/// });
/// let service = ProviderLimitsLayer::new().layer(leaf);
/// let deployment = Arc::new(Deployment::new("a", "gpt", "gpt-4o"));
/// let request = Routed::new(LlmRequest::chat("gpt", "hi"), deployment);
/// service.clone().oneshot(request.clone()).await?;
/// let error = service.oneshot(request).await.expect_err("nothing is left");
/// assert!(error.rejection().is_some() && error.retry_after().is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ProviderLimitsLayer<X = FromParam> {
    quotas: Arc<Quotas>,
    cost: X,
}

impl ProviderLimitsLayer {
    /// A layer that has heard nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            quotas: Arc::new(Quotas::new()),
            cost: FromParam,
        }
    }
}

impl Default for ProviderLimitsLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<X> ProviderLimitsLayer<X> {
    /// Says instead what a request is expected to use: a closure `Fn(&Request) -> Cost`.
    #[must_use]
    pub fn with_cost<Y>(self, cost: Y) -> ProviderLimitsLayer<Y> {
        ProviderLimitsLayer {
            quotas: self.quotas,
            cost,
        }
    }
}

impl<S, X: Clone> Layer<S> for ProviderLimitsLayer<X> {
    type Service = ProviderLimits<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        ProviderLimits::new(inner, Arc::clone(&self.quotas), self.cost.clone())
    }
}

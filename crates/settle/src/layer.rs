use std::sync::Arc;

use tower_layer::Layer;
use ziggurat_core::{Deployment, Money, Usage};

use crate::{Settle, SettlementSink};

/// What a usage costs at a deployment; `None` if that is not known.
pub type Pricing = fn(&Deployment, &Usage) -> Option<Money>;

/// Settles each attempt once. *Pass-through*, right below the balancer.
///
/// See the [crate docs](crate) for an example and the rules.
#[derive(Clone)]
pub struct SettleLayer {
    sink: Arc<dyn SettlementSink>,
    pricing: Pricing,
}

impl SettleLayer {
    /// A layer that tells a sink of each attempt, with the price that its deployment has.
    pub fn new(sink: impl SettlementSink + 'static) -> Self {
        Self {
            sink: Arc::new(sink),
            pricing: Deployment::cost,
        }
    }

    /// Sets how costs are found. It is asked once for each attempt.
    #[must_use]
    pub fn priced_by(mut self, pricing: Pricing) -> Self {
        self.pricing = pricing;
        self
    }

    pub(crate) fn sink(&self) -> &Arc<dyn SettlementSink> {
        &self.sink
    }

    pub(crate) fn pricing(&self) -> Pricing {
        self.pricing
    }
}

impl<S> Layer<S> for SettleLayer {
    type Service = Settle<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Settle::new(inner, self.clone())
    }
}

impl std::fmt::Debug for SettleLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SettleLayer").finish_non_exhaustive()
    }
}

//! What attempts cost.

use ziggurat_core::{Deployment, Money, Usage};
use ziggurat_settle::{SettleLayer, Settlement, SettlementSink, Sinks};
use ziggurat_telemetry::AttemptLayer;
use ziggurat_usage::UsageBook;

use crate::{Router, stack::Balancer};

/// The layer that settles attempts: it tells the metrics, the usage book, and whoever else wants to
/// know.
pub(crate) fn layer(
    sinks: &Sinks,
    metrics: &AttemptLayer,
    usage: &UsageBook,
    balancer: &Balancer,
) -> SettleLayer {
    let (sinks, metrics) = (sinks.clone(), metrics.clone());
    let (usage, balancer) = (usage.clone(), balancer.clone());
    let sink = move |settlement: &Settlement| {
        let deployment = settlement.deployment().configured();
        usage.record(settlement, balancer.in_flight(deployment.id()));
        if let Some(cost) = settlement.cost() {
            metrics.spent(settlement.deployment(), cost);
        }
        sinks.settle(settlement);
    };
    SettleLayer::new(sink).priced_by(cost)
}

/// What the deployment says. One that serves many models says nothing of them: then the catalog does.
pub(crate) fn cost(deployment: &Deployment, usage: &Usage) -> Option<Money> {
    deployment.cost(usage).or_else(|| {
        let is_unpriced = deployment.prices().is_empty();
        let model = is_unpriced
            .then(|| ziggurat_catalog::find(deployment.provider(), deployment.model()))
            .flatten();
        model?.cost(usage)
    })
}

/// Settlements.
impl Router {
    /// Tells a sink of each attempt when it has ended: what it used, what it costs and how it ended;
    /// of attempts that end from now on, whatever settings change.
    ///
    /// ```no_run
    /// # fn run(router: &ziggurat::Router) -> std::io::Result<()> {
    /// use ziggurat::settle::JsonLines;
    ///
    /// router.on_settlement(JsonLines::append("settlements.jsonl")?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_settlement(&self, sink: impl SettlementSink + 'static) {
        self.state().sinks.add(sink);
    }
}

//! The common contract of the layers.

use std::sync::Arc;

use ziggurat_core::{Deployment, Deployments, LlmRequest, Routed, Snapshot};
use ziggurat_health::{HealthChecks, HealthLayer, HealthPolicy};
use ziggurat_testkit::contract::Contract;

#[test]
fn the_layer_keeps_the_contract() {
    let layer = || {
        let deployments = Deployments::new(Snapshot::new([Deployment::new("a", "gpt", "m")]));
        let policy = HealthPolicy::new().routing(true);
        HealthLayer::new(HealthChecks::new(deployments, policy))
    };
    let request = || {
        let deployment = Deployment::new("a", "gpt", "m");
        Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment))
    };
    Contract::pass_through(layer, request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

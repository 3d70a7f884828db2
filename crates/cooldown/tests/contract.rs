//! The contract of every layer.

use std::sync::Arc;

use ziggurat_cooldown::{CooldownLayer, CooldownPolicy};
use ziggurat_core::{Deployment, Deployments, LlmRequest, Routed, Snapshot};
use ziggurat_testkit::contract::Contract;

fn request() -> Routed<LlmRequest> {
    let deployment = Deployment::new("a", "gpt", "m");
    Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment))
}

#[test]
fn the_layer_keeps_the_contract() {
    Contract::pass_through(|| CooldownLayer::new(CooldownPolicy::new()), request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_layer_keeps_the_contract_with_a_floor() {
    let layer = || {
        let deployments = Deployments::new(Snapshot::new([Deployment::new("a", "gpt", "m")]));
        CooldownLayer::new(CooldownPolicy::new()).deployments(deployments)
    };
    Contract::pass_through(layer, request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

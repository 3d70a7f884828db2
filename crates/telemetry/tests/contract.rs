//! The common contract of the layers.

use std::sync::Arc;

use ziggurat_core::{Deployment, Deployments, LlmRequest, Routed};
use ziggurat_telemetry::{AttemptLayer, RequestLayer};
use ziggurat_testkit::contract::Contract;

#[test]
fn the_request_layer_keeps_the_contract() {
    let layer = || {
        let deployments: Deployments = [Deployment::new("a", "gpt", "m")].into_iter().collect();
        RequestLayer::new(deployments)
    };
    Contract::pass_through(layer, || LlmRequest::chat("gpt", "hi"))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_attempt_layer_keeps_the_contract() {
    let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
    let request = move || Routed::new(LlmRequest::chat("gpt", "hi"), Arc::clone(&deployment));
    Contract::pass_through(AttemptLayer::new, request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

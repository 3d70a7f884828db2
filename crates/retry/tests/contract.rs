//! The common contract of the layers.

use std::sync::Arc;

use ziggurat_core::{Deployment, LlmRequest, Routed};
use ziggurat_retry::RetryLayer;
use ziggurat_testkit::contract::Contract;

fn request() -> LlmRequest {
    LlmRequest::chat("gpt", "hi")
}

#[test]
fn above_the_balancer_the_layer_keeps_the_contract() {
    Contract::deferring(RetryLayer::new, request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn below_the_balancer_the_layer_keeps_the_contract() {
    let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
    let routed = move || Routed::new(request(), Arc::clone(&deployment));
    Contract::deferring(RetryLayer::new, routed)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

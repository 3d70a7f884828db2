//! The common contract of the layers.

use std::sync::Arc;

use ziggurat_core::{Deployment, LlmRequest, Routed};
use ziggurat_mock::{MockAnswerLayer, MockFailureLayer};
use ziggurat_testkit::contract::Contract;

fn request() -> LlmRequest {
    LlmRequest::chat("gpt", "hi")
}

#[test]
fn the_layer_of_failures_keeps_the_contract_in_both_places() {
    for layer in [MockFailureLayer::group, MockFailureLayer::attempt] {
        Contract::pass_through(layer, request)
            .allocations(0, |work| allocation_counter::measure(work).count_total)
            .run();
    }
}

#[test]
fn the_layer_of_answers_keeps_the_contract() {
    let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
    let routed = move || Routed::new(request(), Arc::clone(&deployment));
    Contract::pass_through(MockAnswerLayer::new, routed)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

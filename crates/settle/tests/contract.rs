//! The common contract of the layers.

use std::sync::Arc;

use ziggurat_core::{Deployment, LlmRequest, Routed};
use ziggurat_settle::{SettleLayer, Settlement};
use ziggurat_testkit::contract::Contract;

#[test]
fn the_layer_keeps_the_contract() {
    let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
    let request = move || Routed::new(LlmRequest::chat("gpt", "hi"), Arc::clone(&deployment));
    Contract::pass_through(|| SettleLayer::new(|_: &Settlement| {}), request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

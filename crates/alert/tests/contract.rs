//! The common contract of the layers.

use ziggurat_alert::{AlertPolicy, Alerts};
use ziggurat_core::LlmRequest;
use ziggurat_testkit::contract::Contract;

#[test]
fn the_layer_keeps_the_contract() {
    let layer = || {
        let (alerts, _driver) = Alerts::new(AlertPolicy::new());
        alerts.watch_requests()
    };
    Contract::pass_through(layer, || LlmRequest::chat("gpt", "hi"))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

//! The common contract of the layers.

use serde_json::json;
use ziggurat_core::{HasLedger, LlmRequest, Operation};
use ziggurat_hedge::{HedgeLayer, Hedging};
use ziggurat_testkit::contract::Contract;

#[test]
fn the_layer_keeps_the_contract() {
    for stream in [false, true] {
        let request = move || {
            let body = json!({"model": "gpt", "messages": [], "stream": stream});
            let request = LlmRequest::from_value(Operation::ChatCompletions, &body);
            let request = request.expect("is valid");
            request.ledger().expect("has one").set_untried(1);
            request
        };
        Contract::deferring(|| HedgeLayer::new(95.0).expect("is a percentile"), request)
            .allocations(0, |work| allocation_counter::measure(work).count_total)
            .run();
    }
}

#[test]
fn where_it_is_off_the_layer_keeps_the_contract() {
    let layer = || {
        let layer = HedgeLayer::new(95.0).expect("is a percentile");
        layer.hedging_by(|_: &LlmRequest| Hedging::Off)
    };
    Contract::deferring(layer, || LlmRequest::chat("gpt", "hi"))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

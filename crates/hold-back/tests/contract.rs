//! The common contract of the layers.

use std::sync::Arc;

use ziggurat_core::{Deployment, LlmRequest, Routed};
use ziggurat_hold_back::{HoldBack, HoldBackLayer};
use ziggurat_testkit::contract::Contract;

fn keeps_it(hold: HoldBack) {
    let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
    let request = move || Routed::new(LlmRequest::chat("gpt", "hi"), Arc::clone(&deployment));
    Contract::pass_through(move || HoldBackLayer::new(hold), request)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_layer_keeps_the_contract_where_nothing_is_held_back() {
    keeps_it(HoldBack::none());
}

#[test]
fn the_layer_keeps_the_contract_where_the_beginning_is_held_back() {
    // No more than the first: the suite has streams that break or hang after one.
    keeps_it(HoldBack::events(1));
    keeps_it(HoldBack::all().max_bytes(1));
}

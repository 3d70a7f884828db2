//! The common contract of the layers.

use std::num::NonZeroUsize;

use ziggurat_core::LlmRequest;
use ziggurat_drain::{Always, DrainLayer};
use ziggurat_testkit::contract::Contract;

/// A layer whose driver is gone: what nobody reads is closed.
fn layer() -> DrainLayer<Always> {
    DrainLayer::new(NonZeroUsize::MIN).0
}

#[test]
fn the_layer_keeps_the_contract() {
    Contract::pass_through(layer, || LlmRequest::chat("gpt", "hi"))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_layer_keeps_the_contract_where_nothing_is_drained() {
    let layer = || layer().per_request(|_: &LlmRequest| false);
    Contract::pass_through(layer, || LlmRequest::chat("gpt", "hi"))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

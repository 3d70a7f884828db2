//! The common contract of the layers.

use std::num::NonZeroUsize;

use ziggurat_core::LlmRequest;
use ziggurat_priority_queue::PriorityQueueLayer;
use ziggurat_testkit::contract::Contract;

#[test]
fn the_layer_keeps_the_contract() {
    Contract::deferring(|| queue(1_000), || LlmRequest::chat("gpt", "hi"))
        .idle(|layer| layer.waiting() == 0 && layer.in_flight() == 0)
        .in_flight(PriorityQueueLayer::in_flight)
        .saturated(|| queue(1))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

fn queue(capacity: usize) -> PriorityQueueLayer {
    PriorityQueueLayer::new(NonZeroUsize::new(capacity).expect("is not zero"))
}

//! The common contract of the layers.

use std::num::NonZeroUsize;

use ziggurat_core::{LlmRequest, ModelGroup};
use ziggurat_priority_queue::{Capacity, Parts, PriorityQueueLayer, Rules};
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

#[test]
fn a_layer_with_a_gate_for_each_group_keeps_it_too() {
    let keyed = |capacity| {
        PriorityQueueLayer::keyed(
            |request: &LlmRequest| request.group().clone(),
            move |_: &ModelGroup| Some(Capacity::new(capacity)),
            Rules::new(),
        )
    };
    Contract::deferring(move || keyed(1_000), || LlmRequest::chat("gpt", "hi"))
        .idle(|layer| layer.waiting() == 0 && layer.in_flight() == 0)
        .in_flight(|layer| layer.in_flight())
        .saturated(move || keyed(1))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn a_layer_that_goes_by_a_part_of_a_capacity_keeps_it_too() {
    let part = |whole| {
        let part = Parts::new().of("all", &Capacity::new(whole));
        PriorityQueueLayer::new(part)
    };
    Contract::deferring(move || part(1_000), || LlmRequest::chat("gpt", "hi"))
        .idle(|layer| layer.waiting() == 0 && layer.in_flight() == 0)
        .in_flight(PriorityQueueLayer::in_flight)
        .saturated(move || part(1))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

fn queue(capacity: usize) -> PriorityQueueLayer {
    PriorityQueueLayer::new(NonZeroUsize::new(capacity).expect("is not zero"))
}

//! The contract of every layer.

use std::{num::NonZeroU32, sync::Arc};

use ziggurat_concurrency::ConcurrencyLayer;
use ziggurat_core::{Concurrency, ConcurrencyMode, Deployment, LlmRequest, Routed};
use ziggurat_testkit::contract::Contract;

fn deployment() -> Deployment {
    Deployment::new("a", "gpt", "m")
}

fn request() -> Routed<LlmRequest> {
    Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment()))
}

#[test]
fn the_layer_keeps_the_contract_in_every_mode() {
    for mode in ConcurrencyMode::ALL {
        Contract::pass_through(move || ConcurrencyLayer::new(mode), request)
            .in_flight(|layer| layer.in_flight(deployment().id()) as usize)
            .idle(|layer| layer.in_flight(deployment().id()) == 0)
            .allocations(0, |work| allocation_counter::measure(work).count_total)
            .run();
    }
}

#[test]
fn the_layer_keeps_the_contract_with_few_places() {
    let few = Concurrency {
        max: NonZeroU32::new(4),
        ..ConcurrencyMode::Gradient.into()
    };
    Contract::pass_through(move || ConcurrencyLayer::new(few), request)
        .in_flight(|layer| layer.in_flight(deployment().id()) as usize)
        .run();
}

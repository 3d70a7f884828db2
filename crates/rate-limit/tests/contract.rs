//! The common contract of the layers.

use std::sync::Arc;

use tokio::time::Instant;
use ziggurat_core::{Deployment, LlmRequest, Routed};
use ziggurat_rate_limit::{
    Charges, LimitKey, Limits, Measure, MemoryLimiter, Rate, RateLimitLayer,
};
use ziggurat_testkit::contract::Contract;

fn request() -> Routed<LlmRequest> {
    let deployment = Deployment::new("a", "gpt", "m")
        .with_rpm(1_000)
        .with_tpm(1_000_000)
        .with_max_parallel(100);
    Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment))
}

fn layer() -> RateLimitLayer<MemoryLimiter> {
    RateLimitLayer::new(MemoryLimiter::new())
}

fn in_flight(limiter: &MemoryLimiter) -> u64 {
    let key = LimitKey::deployment("a".into());
    limiter.used(&key, Measure::InFlight, Instant::now())
}

#[test]
fn the_layer_keeps_the_contract() {
    Contract::deferring(layer, request)
        .in_flight(|layer| in_flight(layer.limiter()) as usize)
        .idle(|layer| in_flight(layer.limiter()) == 0)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_layer_keeps_the_contract_for_requests_that_are_charged_to_nobody() {
    Contract::deferring(layer, || LlmRequest::chat("gpt", "hi"))
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn the_layer_keeps_the_contract_for_requests_that_are_charged_to_several() {
    let charges = |_: &LlmRequest| {
        let limits = Limits::none().with_requests(Rate::per_minute(1_000).smooth());
        Charges::none()
            .on(
                LimitKey::deployment("a".into()),
                limits.clone().with_in_flight(100),
            )
            .on(LimitKey::deployment("b".into()), limits)
    };
    Contract::deferring(
        move || layer().with_charges(charges),
        || LlmRequest::chat("gpt", "hi"),
    )
    .in_flight(|layer| in_flight(layer.limiter()) as usize)
    .run();
}

#[test]
fn the_layer_keeps_the_contract_for_requests_that_are_charged_to_three_keys() {
    let three = |limits: &Limits| {
        let keys = ["alice", "team", "all"].map(LimitKey::tenant);
        let charges = keys.into_iter().fold(Charges::none(), |charges, key| {
            charges.on(key, limits.clone())
        });
        move |_: &LlmRequest| charges.clone()
    };
    let limits = Limits::none()
        .with_requests(Rate::per_minute(1_000))
        .with_tokens(Rate::per_minute(1_000_000))
        .with_in_flight(100);
    // What is charged and what is held is put elsewhere where it is of more than one key.
    Contract::deferring(
        move || layer().with_charges(three(&limits)),
        || LlmRequest::chat("gpt", "hi"),
    )
    .allocations(3, |work| allocation_counter::measure(work).count_total)
    .run();
}

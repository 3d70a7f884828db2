//! The common contract of the layers.

use std::sync::Arc;

use tokio::time::Instant;
use ziggurat_core::{Deployment, LlmRequest, Routed};
use ziggurat_rate_limit::{Charges, LimitKey, Limits, MemoryLimiter, Rate, RateLimitLayer, Used};
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

fn used(limiter: &MemoryLimiter) -> Used {
    limiter.used(&LimitKey::deployment("a".into()), Instant::now())
}

#[test]
fn the_layer_keeps_the_contract() {
    Contract::deferring(layer, request)
        .in_flight(|layer| used(layer.limiter()).in_flight as usize)
        .idle(|layer| used(layer.limiter()).in_flight == 0)
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
            .on(LimitKey::deployment("a".into()), limits.with_in_flight(100))
            .on(LimitKey::deployment("b".into()), limits)
    };
    Contract::deferring(
        move || layer().with_charges(charges),
        || LlmRequest::chat("gpt", "hi"),
    )
    .in_flight(|layer| used(layer.limiter()).in_flight as usize)
    .run();
}

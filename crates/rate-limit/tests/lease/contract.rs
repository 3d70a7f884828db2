//! The common contract of the layers.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;
use ziggurat_core::{Deployment, LlmRequest, Routed, Usage};
use ziggurat_rate_limit::{
    Actual, Charges, LeasedLimiter, Leasing, LimitKey, Limiter, Measure, MemoryLeases,
    RateLimitLayer, Settle,
};
use ziggurat_testkit::contract::Contract;

fn request() -> Routed<LlmRequest> {
    let deployment = Deployment::new("a", "gpt", "m")
        .with_rpm(10_000)
        .with_tpm(10_000_000)
        .with_max_parallel(1_000);
    Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment))
}

/// One for which the store has leased enough already.
#[expect(
    clippy::disallowed_methods,
    reason = "the driver, as an application spawns it"
)]
fn layer() -> RateLimitLayer<LeasedLimiter> {
    let (limiter, driver) = Leasing::new().build();
    let mut driver = Box::pin(driver.run(MemoryLeases::new()));
    let mut cx = Context::from_waker(Waker::noop());
    let charges = ziggurat_core::Param::<Charges>::param(&request());
    for _ in 0..500 {
        let mut acquire = pin!(limiter.acquire(&charges));
        let mut permit = acquire.as_mut().poll(&mut cx);
        for _ in 0..4 {
            if permit.is_pending() {
                assert!(driver.as_mut().poll(&mut cx).is_pending());
                permit = acquire.as_mut().poll(&mut cx);
            }
        }
        let Poll::Ready(Ok(mut permit)) = permit else {
            panic!("the store answers at once");
        };
        let usage = Usage::new(300, 0);
        permit.settle(Actual::Complete { usage, money: None });
    }
    tokio::spawn(driver);
    RateLimitLayer::new(limiter)
}

fn in_flight(limiter: &LeasedLimiter) -> u64 {
    let key = LimitKey::deployment("a".into());
    limiter.used(&key, Measure::InFlight, Instant::now())
}

#[test]
fn the_layer_keeps_the_contract_with_leases() {
    Contract::deferring(layer, request)
        .in_flight(|layer| in_flight(layer.limiter()) as usize)
        .idle(|layer| in_flight(layer.limiter()) == 0)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

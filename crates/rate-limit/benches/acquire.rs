//! What a permit costs: to acquire it and to settle it, with counts in this process, and with leases
//! that suffice.
//!
//! Run with `cargo bench -p ziggurat-rate-limit`.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use divan::{AllocProfiler, Bencher};
use ziggurat_core::Usage;
use ziggurat_rate_limit::{
    Actual, Charges, Cost, LeaseDriver, LeasedLimiter, Leasing, LimitKey, Limiter, Limits,
    MemoryLeases, MemoryLimiter, Rate, Settle,
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const PLENTY: u64 = 1 << 50;

fn charges(keys: usize) -> Charges {
    let limits = Limits::none()
        .with_requests(Rate::per_minute(PLENTY))
        .with_tokens(Rate::per_minute(PLENTY))
        .with_in_flight(u32::MAX);
    let names = ["key", "team", "user"];
    let charges = names
        .iter()
        .take(keys)
        .fold(Charges::none(), |charges, name| {
            charges.on(LimitKey::tenant(*name), limits.clone())
        });
    charges.with_cost(Cost::new(100, Some(100)))
}

const ACTUAL: Actual = Actual::Complete {
    usage: Usage::new(100, 80),
    money: None,
};

/// Whether a request passed without waiting.
fn passes<L: Limiter>(limiter: &L, charges: &Charges) -> bool {
    let acquire = pin!(limiter.acquire(charges));
    match acquire.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(mut permit)) => {
            permit.settle(ACTUAL);
            true
        }
        Poll::Ready(Err(_)) | Poll::Pending => false,
    }
}

#[divan::bench(args = [1, 3])]
fn memory(bencher: Bencher<'_, '_>, keys: usize) {
    let (limiter, charges) = (MemoryLimiter::new(), charges(keys));
    bencher.bench_local(|| assert!(passes(&limiter, &charges)));
}

#[divan::bench(args = [1, 3])]
fn leased(bencher: Bencher<'_, '_>, keys: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .expect("a runtime");
    let (limiter, driver): (LeasedLimiter, LeaseDriver) = Leasing::new().build();
    drop(runtime.spawn(driver.run(MemoryLeases::new())));
    let _context = runtime.enter();
    let charges = charges(keys);
    // Until as much is leased as is used.
    let mut in_a_row = 0;
    while in_a_row < 100_000 {
        in_a_row = if passes(&limiter, &charges) {
            in_a_row + 1
        } else {
            0
        };
    }
    bencher.bench_local(|| passes(&limiter, &charges));
}

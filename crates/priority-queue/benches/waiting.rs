//! What a place among 100,000 waiting costs: to take it, to have one's turn, and to leave it.
//!
//! Run with `cargo bench -p ziggurat-priority-queue --bench waiting`. What `everybody` allocates at
//! most, divided by 100,000, is the memory that a waiting request takes: its place in the queue, its
//! future of this layer, and the 32 bytes of the list that holds it here.

use std::{
    future::{Future, Ready, pending, ready},
    num::NonZeroUsize,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use divan::{AllocProfiler, Bencher};
use tower::{Layer, Service};
use ziggurat_core::{Error, Extract, Priority};
use ziggurat_priority_queue::{Capacity, Claim, PriorityQueueLayer, Rules, Tenant};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const WAITING: usize = 100_000;
const TENANTS: usize = 100;

/// Ten priorities, a hundred tenants.
#[derive(Clone)]
struct ClaimOf(Vec<Tenant>);

impl ClaimOf {
    fn new() -> Self {
        Self((0..TENANTS).map(|it| Tenant::new(it.to_string())).collect())
    }
}

impl Extract<Claim, Number> for ClaimOf {
    fn extract(&self, Number(number): &Number) -> Claim {
        let priority = Priority((number % 10) as i64);
        Claim::new(priority).with_tenant(self.0[number % TENANTS].clone())
    }
}

struct Number(usize);

impl ziggurat_core::HasLedger for Number {
    fn ledger(&self) -> Option<&ziggurat_core::Ledger> {
        None
    }
}

/// Answers at once.
#[derive(Clone)]
struct Leaf;

impl Service<Number> for Leaf {
    type Response = &'static str;
    type Error = Error;
    type Future = Ready<Result<&'static str, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Number) -> Self::Future {
        ready(Ok("answer"))
    }
}

type Layered = PriorityQueueLayer<ClaimOf>;
type Waits = Pin<Box<dyn Future<Output = Result<&'static str, Error>>>>;

fn poll(waits: &mut Waits) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    waits.as_mut().poll(&mut cx).is_ready()
}

/// A queue without capacity, and those who wait in it.
fn crowd() -> (Capacity, Layered, Vec<Waits>) {
    let capacity = Capacity::new(0);
    let rules = Rules::new().max_waiting(2 * WAITING);
    let layer = PriorityQueueLayer::with_rules(capacity.clone(), rules).claim_by(ClaimOf::new());
    let mut service = layer.layer(Leaf);
    let mut waiting = Vec::with_capacity(2 * WAITING);
    for number in 0..WAITING {
        let mut waits: Waits = Box::pin(service.call(Number(number)));
        assert!(!poll(&mut waits));
        waiting.push(waits);
    }
    (capacity, layer, waiting)
}

/// All of them come.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn everybody() -> (Capacity, Layered, Vec<Waits>) {
    crowd()
}

#[divan::bench]
fn uncontended(bencher: Bencher<'_, '_>) {
    let capacity = NonZeroUsize::new(64).expect("is not zero");
    let mut service = PriorityQueueLayer::new(capacity)
        .claim_by(ClaimOf::new())
        .layer(Leaf);
    bencher.bench_local(|| {
        let mut call = std::pin::pin!(service.call(Number(7)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut cx).is_ready());
    });
}

#[divan::bench(sample_count = 1_000, sample_size = 1)]
fn enqueue(bencher: Bencher<'_, '_>) {
    let (_capacity, layer, mut waiting) = crowd();
    let mut service = layer.layer(Leaf);
    let mut number = WAITING;
    bencher
        .with_inputs(|| {
            number += 1;
            Box::pin(service.call(Number(number))) as Waits
        })
        .bench_local_values(|mut waits| {
            assert!(!poll(&mut waits));
            waiting.push(waits);
        });
}

/// The capacity grows by one, and the first in line goes.
#[divan::bench(sample_count = 1_000, sample_size = 1)]
fn dequeue(bencher: Bencher<'_, '_>) {
    let (capacity, _layer, _waiting) = crowd();
    let mut units = 0;
    bencher.bench_local(|| {
        units += 1;
        capacity.set(units);
    });
}

#[divan::bench(sample_count = 1_000, sample_size = 1)]
fn cancel(bencher: Bencher<'_, '_>) {
    let (_capacity, _layer, mut waiting) = crowd();
    bencher
        .with_inputs(|| {
            // From all over the queue.
            let at = waiting.len() * 7 / 11;
            waiting.swap_remove(at)
        })
        .bench_local_values(drop);
}

/// A future that takes nothing, for comparison.
#[divan::bench(sample_count = 1_000, sample_size = 1)]
fn nothing(bencher: Bencher<'_, '_>) {
    bencher
        .with_inputs(|| Box::pin(pending()) as Waits)
        .bench_local_values(|mut waits| assert!(!poll(&mut waits)));
}

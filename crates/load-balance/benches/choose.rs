//! What choosing costs: the whole of it, from the name of the model to the deployment.
//!
//! Run with `cargo bench -p ziggurat-load-balance`.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use divan::{AllocProfiler, Bencher, black_box};
use tower::{Layer, Service};
use ziggurat_core::{
    Deployment, Deployments, Error, LlmRequest, LlmResponse, Prices, ProviderLimits, Quota, Reason,
    Rejection, Routed, Scope, Usage,
};
use ziggurat_load_balance::{
    ConsistentHash, CostBased, Headroom, LatencyBased, LeastBusy, LoadBalanceLayer, P2c, Prequal,
    RoundRobin, SimpleShuffle, Strategy, UsageBased,
};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

const CASES: [Case; 9] = [
    Case(1, 0),
    Case(10, 0),
    Case(10, 50),
    Case(10, 90),
    Case(100, 0),
    Case(1_000, 0),
    Case(1_000, 50),
    Case(1_000, 90),
    Case(1_000, 99),
];

/// How many deployments there are, and how many in a hundred are known to refuse.
#[derive(Clone, Copy)]
struct Case(u32, u32);

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(members, refuse) = self;
        f.pad(&format!("{members} members, {refuse} % refuse"))
    }
}

#[divan::bench(
    types = [
        SimpleShuffle, LeastBusy, UsageBased, LatencyBased, CostBased, RoundRobin, P2c, Prequal,
        ConsistentHash, Headroom,
    ],
    args = CASES,
)]
fn idle<P: Strategy<LlmRequest> + Default>(bencher: Bencher<'_, '_>, case: Case) {
    let layer = layer::<P>(case);
    refuse(&layer, case);
    measure(bencher, &layer);
}

/// Every deployment has attempts in flight and has used tokens.
#[divan::bench(
    types = [
        SimpleShuffle, LeastBusy, UsageBased, LatencyBased, CostBased, RoundRobin, P2c, Prequal,
        ConsistentHash, Headroom,
    ],
    args = CASES,
)]
fn busy<P: Strategy<LlmRequest> + Default>(bencher: Bencher<'_, '_>, case: Case) {
    let layer = layer::<P>(case);
    let mode = Arc::new(AtomicU8::new(ANSWER));
    let mut stack = layer.layer(Leaf(Arc::clone(&mode), case));
    let mut context = Context::from_waker(Waker::noop());
    let mut held = Vec::new();
    for i in 0..case.0 * 40 {
        mode.store(if i % 2 == 0 { ANSWER } else { HOLD }, Relaxed);
        let request = LlmRequest::chat("gpt", &i.to_string());
        let mut future = Box::pin(stack.call(request));
        if future.as_mut().poll(&mut context).is_pending() {
            held.push(future);
        }
    }
    refuse(&layer, case);
    measure(bencher, &layer);
}

/// The same through the service, with a leaf that answers at once.
#[divan::bench(types = [SimpleShuffle, LatencyBased, P2c], args = [1, 10, 1_000])]
fn whole_call<P: Strategy<LlmRequest> + Default>(bencher: Bencher<'_, '_>, members: u32) {
    let case = Case(members, 0);
    let mode = Arc::new(AtomicU8::new(ANSWER));
    let mut stack = layer::<P>(case).layer(Leaf(mode, case));
    let request = LlmRequest::chat("gpt", "hello");
    bencher
        .with_inputs(|| request.clone().with_ledger(ziggurat_core::Ledger::new()))
        .bench_local_values(|request| {
            let mut context = Context::from_waker(Waker::noop());
            let mut future = std::pin::pin!(stack.call(request));
            future.as_mut().poll(&mut context).is_ready()
        });
}

fn layer<P: Default>(Case(members, _): Case) -> LoadBalanceLayer<P> {
    let deployments = (0..members).map(|i| {
        // A price for each, in an order that is not that of the list.
        let price = 1e-9 * f64::from(1_000 + i.wrapping_mul(389) % 1_009);
        Deployment::new(i.to_string().as_str(), "gpt", "m")
            .with_weight(f64::from(i % 7 + 1))
            .with_tpm(100_000)
            .with_prices(Prices {
                input: Some(price),
                output: Some(3.0 * price),
                ..Prices::default()
            })
    });
    let deployments = Deployments::from_iter(deployments);
    LoadBalanceLayer::new(deployments, P::default()).hint_cap(Duration::from_secs(3_600))
}

/// Makes the balancer remember that some of the deployments refuse all requests.
fn refuse<P: Strategy<LlmRequest>>(layer: &LoadBalanceLayer<P>, case: Case) {
    if case.1 > 0 {
        let mut stack = layer.layer(Leaf(Arc::new(AtomicU8::new(REFUSE)), case));
        let mut future = Box::pin(stack.call(LlmRequest::chat("gpt", "hello")));
        let answer = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(answer, Poll::Ready(Err(_))));
    }
}

fn measure<P: Strategy<LlmRequest>>(bencher: Bencher<'_, '_>, layer: &LoadBalanceLayer<P>) {
    let request = LlmRequest::chat("gpt", "hello");
    bencher.bench_local(|| layer.choose(black_box(&request)).is_ok());
}

const ANSWER: u8 = 0;
const HOLD: u8 = 1;
const REFUSE: u8 = 2;

/// Answers, never answers, or refuses: some of the deployments for all requests, the others for
/// this one.
#[derive(Clone)]
struct Leaf(Arc<AtomicU8>, Case);

impl Service<Routed<LlmRequest>> for Leaf {
    type Response = LlmResponse;
    type Error = Error;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Routed<LlmRequest>) -> Answer {
        match self.0.load(Relaxed) {
            ANSWER => {
                let usage = Usage::new(10, fastrand::u64(..100));
                let quota = Quota {
                    limit: 10_000,
                    remaining: fastrand::u64(..10_000),
                    resets_at: None,
                };
                let limits = ProviderLimits {
                    requests: Some(quota),
                    tokens: None,
                };
                let answer = LlmResponse::complete("", Some(usage));
                Answer(Some(Ok(answer.with_provider_limits(limits))))
            }
            HOLD => Answer(None),
            _ => {
                let id: u32 = request.deployment().id().as_str().parse().unwrap_or(0);
                let scattered = id.wrapping_mul(2_654_435_761) >> 16;
                let scope = if scattered % 100 < self.1.1 {
                    Scope::Deployment
                } else {
                    Scope::Attempt
                };
                let rejection = Rejection::new(Reason::RateLimited, scope);
                Answer(Some(Err(Error::rejected(rejection, "refused"))))
            }
        }
    }
}

struct Answer(Option<Result<LlmResponse, Error>>);

impl Future for Answer {
    type Output = Result<LlmResponse, Error>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.take().map_or(Poll::Pending, Poll::Ready)
    }
}

//! The balancer keeps the contract of every layer.

use ziggurat_core::{Deployment, Deployments, LlmRequest, Snapshot};
use ziggurat_load_balance::{
    ConsistentHash, CostBased, Headroom, LatencyBased, LeastBusy, LoadBalanceLayer, P2c, Prequal,
    RoundRobin, SimpleShuffle, Strategy, TagFilter, UsageBased,
};
use ziggurat_testkit::contract::Contract;

type Balancer<P> = LoadBalanceLayer<P, Option<TagFilter>>;

fn layer<P: Strategy<LlmRequest> + Default>() -> Balancer<P> {
    let deployments = ["a", "b"].map(|id| Deployment::new(id, "gpt", "m"));
    let deployments = Deployments::new(Snapshot::new(deployments));
    LoadBalanceLayer::new(deployments, P::default()).filter(Some(TagFilter::match_any()))
}

fn in_flight<P>(layer: &Balancer<P>) -> usize {
    let in_flight = |id: &str| layer.in_flight(&id.into()) as usize;
    in_flight("a") + in_flight("b")
}

fn keeps_it<P: Strategy<LlmRequest> + Default>() {
    Contract::deferring(layer::<P>, || LlmRequest::chat("gpt", "hi"))
        .idle(|layer| in_flight(layer) == 0)
        .in_flight(in_flight)
        .allocations(0, |work| allocation_counter::measure(work).count_total)
        .run();
}

#[test]
fn simple_shuffle_keeps_the_contract() {
    keeps_it::<SimpleShuffle>();
}

#[test]
fn least_busy_keeps_the_contract() {
    keeps_it::<LeastBusy>();
}

#[test]
fn usage_based_keeps_the_contract() {
    keeps_it::<UsageBased>();
}

#[test]
fn latency_based_keeps_the_contract() {
    keeps_it::<LatencyBased>();
}

#[test]
fn cost_based_keeps_the_contract() {
    keeps_it::<CostBased>();
}

#[test]
fn round_robin_keeps_the_contract() {
    keeps_it::<RoundRobin>();
}

#[test]
fn p2c_keeps_the_contract() {
    keeps_it::<P2c>();
}

#[test]
fn prequal_keeps_the_contract() {
    keeps_it::<Prequal>();
}

#[test]
fn consistent_hash_keeps_the_contract() {
    keeps_it::<ConsistentHash>();
}

#[test]
fn headroom_keeps_the_contract() {
    keeps_it::<Headroom>();
}

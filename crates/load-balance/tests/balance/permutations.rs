//! The order of the list does not matter.

use std::{collections::HashMap, future::pending, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::join_all};
use proptest::{prelude::*, strategy::Strategy as Generator};
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{Deployment, Deployments, LlmRequest, LlmResponse, Prices, Usage};
use ziggurat_load_balance::{
    Candidates, ConsistentHash, CostBased, Custom, Headroom, LatencyBased, LeastBusy,
    LoadBalanceLayer, P2c, Prequal, RoundRobin, SimpleShuffle, Strategy, UsageBased,
};

use crate::{
    support::Sent,
    world::{millis, request},
};

const TIMES: u32 = 1_000;

/// A deployment, what is in flight there, and the milliseconds that its last answer took.
#[derive(Clone, Debug)]
struct Member {
    deployment: Deployment,
    in_flight: u32,
    took: u64,
}

fn member() -> impl Generator<Value = Member> {
    let weight = prop::option::of(0..4_u32);
    (
        weight,
        prop::option::of(1..4_u64),
        0..3_u32,
        1..4_u64,
        0..3_u32,
    )
        .prop_map(|(weight, tpm, price, took, in_flight)| {
            let price = Some(f64::from(price) * 1e-6);
            let mut deployment = Deployment::new("", "gpt", "m").with_prices(Prices {
                input: price,
                output: price,
                ..Prices::default()
            });
            if let Some(weight) = weight {
                deployment = deployment.with_weight(f64::from(weight));
            }
            if let Some(tpm) = tpm {
                deployment = deployment.with_tpm(tpm * 1_000);
            }
            Member {
                deployment,
                in_flight,
                took: took * 100,
            }
        })
}

fn strategies() -> [(&'static str, Arc<dyn Strategy<LlmRequest>>); 10] {
    [
        ("simple-shuffle", Arc::new(SimpleShuffle)),
        ("least-busy", Arc::new(LeastBusy)),
        ("usage-based", Arc::new(UsageBased)),
        ("latency-based", Arc::new(LatencyBased::new())),
        ("cost-based", Arc::new(CostBased)),
        ("round-robin", Arc::new(RoundRobin)),
        ("p2c", Arc::new(P2c::new())),
        ("prequal", Arc::new(Prequal::new())),
        ("consistent-hash", Arc::new(ConsistentHash::new())),
        ("headroom", Arc::new(Headroom)),
    ]
}

/// How often each is chosen, in a state that does not depend on the order of the list.
async fn picks(
    members: &[(String, Member)],
    strategy: Arc<dyn Strategy<LlmRequest>>,
) -> HashMap<String, f64> {
    let deployments = members.iter().map(|(id, member)| {
        let it = &member.deployment;
        let mut made = Deployment::new(id.as_str(), "gpt", "m").with_prices(*it.prices());
        if let Some(weight) = it.weight() {
            made = made.with_weight(weight);
        }
        if let Some(tpm) = it.tpm() {
            made = made.with_tpm(tpm);
        }
        made
    });
    let layer = LoadBalanceLayer::new(Deployments::from_iter(deployments), strategy.clone());
    let (mut answers, mut held) = (Vec::new(), Vec::new());
    for (id, member) in members {
        let only_this = {
            let id = id.clone();
            move |_: &LlmRequest, candidates: &Candidates<'_>| {
                let is_it =
                    |c: &ziggurat_load_balance::Candidate<'_>| c.deployment().id().as_str() == id;
                candidates.iter().find(is_it).map(|c| c.index())
            }
        };
        let pinned = layer.with_strategy(Custom::new(strategy.track("gpt"), only_this));
        let took = millis(member.took);
        let stack = pinned.layer(service_fn(move |_: Sent| async move {
            tokio::time::sleep(took).await;
            Ok::<_, ziggurat_core::Error>(LlmResponse::complete("", Some(Usage::new(50, 50))))
        }));
        answers.push(stack.oneshot(request(0, false)));
        for _ in 0..member.in_flight {
            let holds = pinned.layer(service_fn(|_: Sent| {
                pending::<Result<LlmResponse, ziggurat_core::Error>>()
            }));
            let mut call = Box::pin(holds.oneshot(request(0, false)));
            assert!(call.as_mut().now_or_never().is_none());
            held.push(call);
        }
    }
    // They begin together, so that how old they are does not depend on the order either.
    for answer in join_all(answers).await {
        answer.expect("it answers");
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut picks = HashMap::new();
    for number in 0..TIMES {
        let chosen = layer.choose(&request(number, false)).expect("one serves");
        *picks.entry(chosen.id().to_string()).or_default() += 1.0 / f64::from(TIMES);
    }
    picks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn the_choice_does_not_depend_on_the_order_of_the_list(
        members in prop::collection::vec(member(), 2..5),
        seed in any::<u64>(),
    ) {
        fastrand::seed(seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime can be made");
        let named = members.into_iter().enumerate();
        let mut members: Vec<_> = named.map(|(i, member)| (format!("d{i}"), member)).collect();
        for (name, strategy) in strategies() {
            let before = runtime.block_on(picks(&members, strategy.clone()));
            fastrand::shuffle(&mut members);
            let after = runtime.block_on(picks(&members, strategy));
            for (id, _) in &members {
                let [before, after] = [&before, &after].map(|picks| picks.get(id).copied().unwrap_or(0.0));
                // Four standard deviations of the difference of two counts.
                prop_assert!((before - after).abs() < 0.09, "{}: {} {} {}", name, id, before, after);
            }
        }
    }
}

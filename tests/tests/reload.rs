//! A router whose deployments and settings change a thousand times while it is under load.
#![allow(
    clippy::disallowed_methods,
    reason = "the load runs beside the reloads"
)]

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use allocation_counter::measure;
use serde_json::json;
use tower::{Service, ServiceExt as _, service_fn};
use ziggurat::{LlmRequest, LlmResponse, Routed, Router, Usage, config::Plan};

const RELOADS: usize = 1_000;
const WORKERS: usize = 64;

fn plan(deployments: usize) -> Plan {
    let mut text = "model_list:\n".to_owned();
    for i in 0..deployments {
        text += &format!(
            "  - {{model_name: gpt, litellm_params: {{model: openai/m, api_key: k, rpm: 1000000000}}, model_info: {{id: d{i}}}}}\n"
        );
    }
    text += "router_settings: {routing_strategy: least-busy}\n";
    Plan::parse(&text, "test.yaml", |_| None).expect("the plan is valid")
}

/// Another state of the configuration for each number: deployments come and go, settings change.
fn reload(router: &Router, plans: &[Plan], number: usize) {
    let done = match number % 4 {
        0 => router.reload(&plans[number / 4 % plans.len()]),
        1 => {
            let more = plans[2].deployments[number % 8].clone();
            router.upsert_deployment(more).map(drop)
        }
        2 => {
            let id = format!("d{}", 2 + number % 6);
            router.delete_deployment(&id.as_str().into());
            Ok(())
        }
        _ => {
            let strategies = ["simple-shuffle", "least-busy", "p2c"];
            let changes = json!({"routing_strategy": strategies[number / 4 % 3]});
            router.update_settings(changes.as_object().expect("is one"))
        }
    };
    done.expect("every state is valid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_and_no_count_is_lost_in_a_thousand_reloads() {
    let calls = Arc::new(AtomicU64::new(0));
    let leaf = {
        let calls = Arc::clone(&calls);
        service_fn(move |_: Routed<LlmRequest>| {
            let calls = Arc::clone(&calls);
            async move {
                calls.fetch_add(1, Relaxed);
                tokio::task::yield_now().await;
                Ok::<_, ziggurat::Error>(LlmResponse::complete("{}", Some(Usage::new(3, 4))))
            }
        })
    };
    let plans = [plan(2), plan(5), plan(8)];
    let router = Router::with_leaf(&plans[0], leaf).expect("the plan is valid");
    let over = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (mut router, over) = (router.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                let mut answered = 0_u64;
                while !over.load(Relaxed) {
                    let answer = router.call(LlmRequest::chat("gpt", "hi")).await;
                    answer.expect("every request is answered");
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for number in 0..RELOADS {
        reload(&router, &plans, number);
        // Between two reloads requests go on.
        let before = calls.load(Relaxed);
        while calls.load(Relaxed) == before {
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Relaxed);
    let mut answered = 0;
    for worker in workers {
        answered += worker.await.expect("no worker panics");
    }
    assert_eq!(answered, calls.load(Relaxed), "calls = answers");
    assert!(answered >= RELOADS as u64);
    assert_eq!(router.in_flight(), 0, "nothing is left in flight");
}

#[test]
fn memory_is_flat_over_a_thousand_reloads() {
    let plans = [plan(2), plan(5), plan(8)];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime needs nothing");
    let leaf = service_fn(async |_: Routed<LlmRequest>| {
        Ok::<_, ziggurat::Error>(LlmResponse::complete("{}", None))
    });
    let router = Router::with_leaf(&plans[0], leaf).expect("the plan is valid");
    let run = |reloads: std::ops::Range<usize>| {
        for number in reloads {
            reload(&router, &plans, number);
            let answer = router.clone().oneshot(LlmRequest::chat("gpt", "hi"));
            runtime.block_on(answer).expect("is answered");
        }
    };
    // Whole rounds of what changes, so that the end is like the beginning.
    const ROUND: usize = 4 * 3 * 8 * 6;
    run(0..ROUND);
    let grown = measure(|| run(ROUND..ROUND + RELOADS.next_multiple_of(ROUND))).bytes_current;
    assert!(grown.abs() < 16 * 1_024, "{grown} bytes more");
}

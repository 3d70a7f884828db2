//! No deployment is asked twice while another one that could serve has not been asked.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use proptest::prelude::*;
use serde_json::json;
use ziggurat::{ErrorKind, cooldown::State};

use crate::stack::{
    leaf::{Leaf, Step},
    support::{ledger, request, router, secs, send},
};

const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..200_u64).prop_map(|millis| Step::ok().after(millis)),
        3 => (0..9_000_u64).prop_map(|millis| Step::fail(ErrorKind::Internal).after(millis)),
        2 => Just(Step::fail(ErrorKind::Overloaded)),
        2 => (0..4_u64).prop_map(Step::throttled),
        2 => Just(Step::fail(ErrorKind::Authentication)),
        1 => Just(Step::fail(ErrorKind::Permission)),
        1 => Just(Step::fail(ErrorKind::NotFound)),
        1 => Just(Step::fail(ErrorKind::BadRequest)),
        1 => Just(Step::hang()),
    ]
}

#[derive(Clone, Debug)]
struct Case {
    scripts: Vec<Vec<Step>>,
    ordered: bool,
    retries: u32,
    strategy: &'static str,
    seed: u64,
    /// The pause before each request, in milliseconds.
    pauses: Vec<u64>,
}

fn case() -> impl Strategy<Value = Case> {
    let script = prop::collection::vec(step(), 1..12);
    (
        prop::collection::vec(script, 1..=IDS.len()),
        any::<bool>(),
        0..8_u32,
        prop::sample::select(vec![
            "simple-shuffle",
            "least-busy",
            "usage-based-routing-v2",
        ]),
        any::<u64>(),
        prop::collection::vec(0..8_000_u64, 1..12),
    )
        .prop_map(|(scripts, ordered, retries, strategy, seed, pauses)| Case {
            scripts,
            ordered,
            retries,
            strategy,
            seed,
            pauses,
        })
}

/// What was seen to be wrong.
type Wrong = Arc<Mutex<Vec<String>>>;

async fn run(case: Case) -> Result<(), TestCaseError> {
    let leaf = Leaf::default();
    let ids = &IDS[..case.scripts.len()];
    let members: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(at, id)| match case.ordered {
            true => format!("{id} order: {}", at / 2),
            false => (*id).to_owned(),
        })
        .collect();
    let members: Vec<_> = members.iter().map(String::as_str).collect();
    let settings = format!(
        "router_settings: {{num_retries: {}, timeout: 5, routing_strategy: {}}}",
        case.retries, case.strategy
    );
    let router = router(&leaf, &[("gpt", &members)], &settings);
    fastrand::seed(case.seed);
    for (id, script) in ids.iter().zip(case.scripts) {
        leaf.script(id, script);
    }
    let wrong = Wrong::default();
    let cooldown = router.cooldown().clone();
    let all: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let told = Arc::clone(&wrong);
    leaf.watch(move |routed| {
        let asked = routed.deployment().id().to_string();
        // The attempt that is being made is the last one in the trail.
        let trail = ledger(routed.request()).trail();
        let (_, before) = trail.entries().split_last().expect("it is in the trail");
        let before: HashSet<_> = before
            .iter()
            .map(|e| e.deployment().id().to_string())
            .collect();
        if !before.contains(&asked) {
            return;
        }
        for other in all.iter().filter(|other| !before.contains(*other)) {
            let state = cooldown.state(&other.as_str().into());
            if !matches!(state, State::Resting { .. }) {
                told.lock()
                    .push(format!("{asked} again, and {other} is {state:?}: {trail}"));
            }
        }
    });
    for pause in case.pauses {
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        let sent = send(&router, request("gpt", json!({}))).await;
        // Dead keys use up nothing, and the next tier is asked however few retries there are.
        let trail = sent.trail.to_string();
        let met = |kind| trail.matches(kind).count();
        let dead = met("authentication/") + met("permission/");
        let allowed = match case.ordered {
            true => 6.max(1 + case.retries as usize),
            false => 1 + case.retries as usize,
        };
        prop_assert!(sent.attempts() <= allowed + dead, "{}", sent.trail);
        prop_assert!(sent.took < secs(120));
    }
    prop_assert_eq!(wrong.lock().clone(), Vec::<String>::new());
    prop_assert_eq!((router.in_flight(), leaf.live()), (0, 0));
    Ok(())
}

proptest! {
    #[test]
    fn no_deployment_is_asked_twice_while_an_untried_one_could_serve(case in case()) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("needs nothing")
            .block_on(run(case))?;
    }
}

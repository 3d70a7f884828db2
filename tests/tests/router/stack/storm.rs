//! Two thousand requests with random faults, hang-ups and reloads.

use std::time::Duration;

use fastrand::Rng;
use futures_util::{StreamExt as _, future::join_all};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::ServiceExt as _;
use ziggurat::{ErrorKind, Ledger, LlmRequest, Outcome, Router, Snapshot, config::Plan};
use ziggurat_testkit::contract::Watched;

use crate::stack::{
    leaf::{Leaf, Step},
    support::{ledger, plan, request, secs, send},
};

const GROUPS: [(&str, &[&str]); 3] = [
    ("gpt", &["a", "b order: 1", "c max_parallel_requests: 2"]),
    ("claude", &["d", "e max_parallel_requests: 3"]),
    ("llama", &["f"]),
];
const IDS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const CAPACITY: usize = 12;
const DEADLINE: Duration = secs(30);
const SECTIONS: &str = "
router_settings: {num_retries: 2, timeout: 8, fallbacks: [{gpt: [claude]}, {claude: [llama, gpt]}]}
ziggurat_settings: {deadline: 30, idle_timeout: 5, queue: {capacity: 12, max_waiting: 40}}
";

/// A step of a provider that has a bad day.
fn fault(rng: &mut Rng) -> Step {
    let kinds = [
        ErrorKind::Internal,
        ErrorKind::Overloaded,
        ErrorKind::Connect,
        ErrorKind::BadAnswer,
        ErrorKind::Authentication,
        ErrorKind::BadRequest,
        ErrorKind::ContextWindow,
        ErrorKind::ContentPolicy,
        ErrorKind::NotFound,
    ];
    let step = match rng.u8(..12) {
        0..3 => Step::ok(),
        3..6 => Step::stream(rng.u32(1..6)),
        6 => Step::breaking(rng.u32(1..4)),
        7 => Step::silent(rng.u32(1..3)),
        8 => Step::throttled(rng.u64(..4)),
        9 if rng.u8(..3) == 0 => Step::hang(),
        _ => Step::fail(kinds[rng.usize(..kinds.len())]),
    };
    match rng.u8(..3) {
        0 => step,
        _ => step.after(rng.u64(..3_000)),
    }
}

/// Sends a request, and perhaps hangs up somewhere.
async fn client(router: Router, request: LlmRequest, mut rng: Rng) -> Ledger {
    let ledger = ledger(&request);
    let mut call = Watched::new(router.oneshot(request));
    let polls = match rng.u8(..3) {
        0 => rng.usize(..6),
        _ => usize::MAX / 2,
    };
    let patience = match rng.u8(..4) {
        0 => Duration::from_millis(rng.u64(..5_000)),
        _ => 2 * DEADLINE,
    };
    let answer = call.poll_n(polls, patience).await;
    drop(call);
    if let Some(Ok(response)) = answer {
        let (_, mut items) = response.into_parts();
        let most = match rng.u8(..3) {
            0 => rng.usize(..4),
            _ => usize::MAX,
        };
        for _ in 0..most {
            if !matches!(items.next().await, Some(Ok(_))) {
                break;
            }
        }
    }
    ledger
}

/// Most deployments of a plan.
fn some(plan: &Plan, rng: &mut Rng) -> Snapshot {
    let kept = plan.deployments.iter().filter(|_| rng.u8(..4) > 0);
    Snapshot::new(kept.cloned())
}

async fn storm(seed: u64, requests: usize) {
    let leaf = Leaf::default();
    let plan = plan(&GROUPS, SECTIONS);
    fastrand::seed(seed);
    let mut rng = Rng::with_seed(seed);
    for id in IDS {
        let mut rng = rng.fork();
        leaf.behave(id, move || fault(&mut rng));
    }
    let router = Router::with_leaf(&plan, leaf.clone()).expect("the plan is whole");
    let mut clients = JoinSet::new();
    let mut ledgers = Vec::new();
    for _ in 0..requests {
        let model = GROUPS[rng.usize(..GROUPS.len())].0;
        let more = json!({"priority": rng.i64(-2..3), "stream": rng.bool()});
        clients.spawn(client(router.clone(), request(model, more), rng.fork()));
        if rng.u8(..40) == 0 {
            router.deployments().swap(some(&plan, &mut rng));
        }
        sleep(Duration::from_millis(rng.u64(..400))).await;
        while let Some(done) = clients.try_join_next() {
            ledgers.push(done.expect("does not panic"));
        }
    }
    ledgers.extend(clients.join_all().await);
    assert_eq!(ledgers.len(), requests);
    check(&leaf, &ledgers, seed);

    // Nothing runs, and nothing that was lent is missing.
    assert_eq!((router.in_flight(), leaf.live()), (0, 0), "seed {seed}");
    router.deployments().swap(plan.snapshot());
    assert_eq!(router.in_flight(), 0, "seed {seed}");
    for id in IDS {
        leaf.always(id, Step::ok().after(1_000));
    }
    sleep(secs(700)).await;
    let models = GROUPS.map(|(group, _)| group);
    for model in models {
        // Whatever rested is probed by one request before others follow.
        let sent = send(&router, request(model, json!({}))).await;
        assert!(sent.is_ok(), "seed {seed}: {:?}", sent.result);
    }
    let began = Instant::now();
    let models = models.into_iter().cycle();
    let last = models.take(CAPACITY).map(|model| request(model, json!({})));
    let last = join_all(last.map(|request| send(&router, request))).await;
    for sent in last {
        assert!(sent.is_ok(), "seed {seed}: {:?}", sent.result);
    }
    assert!(began.elapsed() < secs(2), "seed {seed}: all at once");
}

fn check(leaf: &Leaf, ledgers: &[Ledger], seed: u64) {
    let attempts: usize = ledgers.iter().map(Ledger::attempts).sum();
    assert_eq!(attempts, leaf.count(), "seed {seed}: calls are attempts");
    assert!(attempts > ledgers.len() / 2, "seed {seed}: {attempts}");
    for ledger in ledgers {
        let trail = ledger.trail();
        assert!(ledger.attempts() <= 6, "seed {seed}: {trail}");
        let is_settled = |outcome| !matches!(outcome, Outcome::Pending | Outcome::Answering);
        let settled = trail.entries().iter().all(|e| is_settled(e.outcome()));
        assert!(settled, "seed {seed}: {trail}");
    }
    let late = leaf.calls().into_iter().find(|call| call.into >= DEADLINE);
    assert!(late.is_none(), "seed {seed}: {late:?}");
}

#[tokio::test(start_paused = true)]
async fn every_call_is_an_attempt_and_nothing_is_left_after_a_storm() {
    for seed in 0..4 {
        storm(seed, 500).await;
    }
}

//! Ten thousand requests with random faults, hang-ups and reloads.

mod client;
mod faults;
mod plans;
mod wire;
mod world;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use fastrand::Rng;
use tokio::task::JoinSet;
use ziggurat::{ErrorKind, Outcome, TrailEntry, settle::Outcome as Settled};

use crate::support::secs;

use self::{
    client::{Client, Fate},
    world::World,
};

const REQUESTS: usize = 10_000;
/// How many requests run at a time.
const CLIENTS: usize = 64;
/// After how many requests the configuration is changed.
const RELOAD_EVERY: usize = 80;
/// How many attempts a request has where nothing is said of them.
const MAX_ATTEMPTS: usize = 6;
/// A number that repeats a run.
const SEED: &str = "ZIGGURAT_CHAOS_SEED";

/// Says how a run that fails is repeated.
struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat this run: {SEED}={}", self.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_everybody_gets_an_answer_or_the_truth_and_nothing_is_left() {
    let seed = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(4);
    let _repeat = Repeat(seed);
    fastrand::seed(seed);
    let mut rng = Rng::with_seed(seed);
    let world = Arc::new(World::new(&mut rng));
    let mut background = JoinSet::new();
    background.spawn(world.router.background().expect("is there once"));

    let fates = storm(&world, &mut rng).await;
    check(&world, &fates);
    world.assert_idle().await;

    // What reads streams on ends with the router, and has not panicked.
    let world = Arc::into_inner(world).expect("nobody else has it");
    drop(world);
    assert_eq!(background.join_all().await, [()]);
}

/// Sends all requests, and waits for their end.
async fn storm(world: &Arc<World>, rng: &mut Rng) -> Vec<Fate> {
    let begun = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (world, begun, mut rng) = (Arc::clone(world), Arc::clone(&begun), rng.fork());
        clients.spawn(async move {
            let mut fates = Vec::new();
            loop {
                let number = begun.fetch_add(1, Relaxed);
                if number >= REQUESTS {
                    return fates;
                }
                if number % RELOAD_EVERY == RELOAD_EVERY - 1 {
                    world.reload(&plans::some(&mut rng));
                }
                fates.push(Client::new(&world, &mut rng).run().await);
            }
        });
    }
    let mut fates = Vec::new();
    while let Some(done) = clients.join_next().await {
        fates.extend(done.expect("a client does not panic"));
    }
    // What is drained for clients that are gone comes to its end.
    tokio::time::sleep(secs(1_000)).await;
    fates
}

fn check(world: &World, fates: &[Fate]) {
    assert_eq!(fates.len(), REQUESTS);
    let count = |fate: Fate| fates.iter().filter(|it| **it == fate).count();
    let (answered, refused) = (count(Fate::Answered), count(Fate::Refused));
    let (broken, gone) = (count(Fate::Broken), count(Fate::Gone));
    let fates = format!("{answered} answered, {refused} refused, {broken} broken, {gone} gone");
    let each = [answered, refused, broken, gone];
    assert!(each.iter().all(|count| *count > 50), "{fates}");
    assert!(answered * 2 > REQUESTS, "{fates}");

    let mut attempts = 0;
    for ledger in world.ledgers() {
        let trail = ledger.trail();
        let outcomes = trail.entries().iter().map(TrailEntry::outcome);
        let mut own = outcomes.clone();
        let settled = own.all(|it| !matches!(it, Outcome::Pending | Outcome::Answering));
        assert!(settled, "an attempt has no end: {trail}");
        // A key that is dead costs no attempt.
        let dead = Outcome::Failed(ErrorKind::Authentication);
        let charged = outcomes.clone().filter(|it| *it != dead).count();
        assert!(charged <= MAX_ATTEMPTS, "{trail}");
        attempts += outcomes.count() as u64;
    }
    world.wire.assert_received(attempts);
    check_settlements(world);
}

/// Every attempt has settled once, as it ended.
fn check_settlements(world: &World) {
    let rows = world.settled();
    let ids: HashSet<_> = rows.iter().map(|row| row.id()).collect();
    assert_eq!(ids.len(), rows.len(), "an attempt has settled twice");
    let mut by_request: HashMap<String, Vec<(String, Settled)>> = HashMap::new();
    for row in &rows {
        let of = by_request.entry(row.request_id().to_string()).or_default();
        of.push((row.deployment().id().to_string(), row.outcome()));
    }
    for ledger in world.ledgers() {
        let request = ledger.request_id().to_string();
        let settled = by_request.remove(&request).unwrap_or_default();
        let trail = ledger.trail();
        let attempts = trail.entries().iter().map(|attempt| {
            let outcome = match attempt.outcome() {
                Outcome::Complete => Settled::Served,
                Outcome::Failed(kind) => Settled::Failed(kind),
                _ => Settled::Cancelled,
            };
            (attempt.deployment().id().to_string(), outcome)
        });
        assert_eq!(
            sorted(&settled),
            sorted(&attempts.collect::<Vec<_>>()),
            "{trail}"
        );
    }
    assert!(by_request.is_empty(), "nobody asked for {by_request:?}");
}

/// Attempts that run side by side settle in any order.
fn sorted(attempts: &[(String, Settled)]) -> Vec<String> {
    let mut told: Vec<_> = attempts.iter().map(|it| format!("{it:?}")).collect();
    told.sort();
    told
}

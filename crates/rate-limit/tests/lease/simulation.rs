//! Whatever happens, no more passes than may.

use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};
use ziggurat_core::Usage;
use ziggurat_rate_limit::{Actual, Leasing, Limits, Rate, Settle, lease::LeasedPermit};

use crate::support::{Instance, Log, MILLI, SECOND, Store, Way, instance, instances};

#[derive(Clone, Debug)]
enum Step {
    Pause(u64),
    /// At once, each on one of the instances, with so many tokens.
    Ask(Vec<(usize, u64)>),
    /// One of those that run, with so much of a hundredth of what was reserved.
    Settle(usize, End),
    Kill(usize),
    Store(Way),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Dropped,
    Failed,
    Used(u64),
}

const INSTANCES: usize = 4;

fn step(with_outages: bool) -> impl Strategy<Value = Step> {
    // With outages, more may be used than was reserved.
    let most: u64 = if with_outages { 150 } else { 100 };
    let ask = prop::collection::vec((0..INSTANCES, 1..30_u64), 1..12);
    let end = prop_oneof![
        Just(End::Dropped),
        Just(End::Failed),
        (0..=most).prop_map(End::Used),
    ];
    let way = prop_oneof![
        Just(Way::Serves(Duration::ZERO)),
        Just(Way::Serves(MILLI)),
        Just(Way::Serves(3 * MILLI)),
        Just(Way::Loses),
        Just(Way::Fails),
        Just(Way::Hangs),
    ];
    let trouble = u32::from(with_outages);
    prop_oneof![
        6 => (0..400_u64).prop_map(Step::Pause),
        1 => (0..5_000_u64).prop_map(Step::Pause),
        8 => ask.prop_map(Step::Ask),
        8 => (0..20_usize, end).prop_map(|(which, end)| Step::Settle(which, end)),
        trouble => (0..INSTANCES).prop_map(Step::Kill),
        2 * trouble => way.prop_map(Step::Store),
    ]
}

/// What runs: its number, its instance, what it reserved, and what it holds.
struct Running {
    id: u64,
    reserved: u64,
    permit: LeasedPermit,
}

struct World {
    store: Store,
    instances: Vec<Instance>,
    limits: Limits,
    tokens: u64,
    per: Duration,
    running: Vec<Running>,
    /// What an instance held that died.
    dead: Vec<Running>,
    log: Log,
    id: u64,
}

impl World {
    fn new(tokens: u64, per: Duration, parallel: usize, smooth: bool) -> Self {
        let store = Store::new();
        let rate = Rate::new(tokens, per).expect("a valid period");
        let rate = if smooth { rate.smooth() } else { rate };
        Self {
            instances: instances(&store, INSTANCES),
            store,
            limits: Limits::none()
                .with_tokens(rate)
                .with_in_flight(parallel as u32),
            tokens,
            per,
            running: Vec::new(),
            dead: Vec::new(),
            log: Log::default(),
            id: 0,
        }
    }

    async fn ask(&mut self, asked: &[(usize, u64)]) -> usize {
        let limits = &self.limits;
        let asked = asked
            .iter()
            .map(|(at, tokens)| (&self.instances[*at], *tokens));
        let answers = asked.map(|(instance, tokens)| async move {
            let permit = instance.ask(limits, tokens).await.ok()?;
            Some((tokens, permit, Instant::now()))
        });
        let answers = join_all(answers).await;
        let mut passed = 0;
        for (tokens, permit, at) in answers.into_iter().flatten() {
            let reserved = tokens.min(self.tokens);
            self.id += 1;
            self.log.0.push((at, self.id, reserved));
            self.running.push(Running {
                id: self.id,
                reserved,
                permit,
            });
            passed += 1;
        }
        passed
    }

    fn settle(&mut self, which: usize, end: End) {
        if which >= self.running.len() {
            return;
        }
        let mut it = self.running.remove(which);
        match end {
            End::Dropped => self.log.settle(it.id, 0, self.per),
            End::Failed => {
                it.permit.settle(Actual::Unanswered {
                    money: ziggurat_core::Money::ZERO,
                });
                self.log.settle(it.id, 0, self.per);
            }
            End::Used(percent) => {
                let used = it.reserved * percent / 100;
                it.permit.settle(Actual::Complete {
                    usage: Usage::new(0, used),
                    money: None,
                });
                self.log.settle(it.id, used, self.per);
                self.log.charge(0, used.saturating_sub(it.reserved));
            }
        }
    }

    fn kill(&mut self, which: usize) {
        let new = instance(&self.store, Leasing::new());
        let dead = std::mem::replace(&mut self.instances[which], new);
        dead.driver.abort();
        // What it did and the store has not heard of stays in the log.
        self.dead.append(&mut self.running);
    }
}

fn run<T>(world: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(world)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn in_no_window_more_passes_than_the_limit_and_in_the_end_the_store_counts_what_was_used(
        tokens in 1..200_u64,
        seconds in 1..30_u32,
        parallel in 1..12_usize,
        steps in prop::collection::vec(step(false), 1..120),
    ) {
        run(async {
            let per = SECOND * seconds;
            let mut world = World::new(tokens, per, parallel, false);
            for step in steps {
                match step {
                    Step::Pause(time) => sleep(Duration::from_millis(time)).await,
                    Step::Ask(asked) => {
                        world.ask(&asked).await;
                        prop_assert!(world.log.used(per) <= tokens);
                        prop_assert!(world.running.len() <= parallel);
                    }
                    Step::Settle(which, end) => world.settle(which, end),
                    Step::Kill(_) | Step::Store(_) => unreachable!("nothing goes wrong"),
                }
            }
            prop_assert!(world.log.most(per) <= tokens);
            while !world.running.is_empty() {
                world.settle(0, End::Used(50));
            }
            sleep(SECOND / 2).await;
            let counts = world.store.counts(&world.limits);
            let held = counts.iter().map(|(_, leased)| *leased).sum::<u64>();
            prop_assert_eq!(held, 0);
            // A slice counts until all of it has left the window, and what is told counts then.
            let (least, counted) = (world.log.used(per), counts[0].0);
            let most = world.log.used(per + per / 60 + 2 * MILLI + SECOND / 2);
            prop_assert!((least..=most).contains(&counted), "{counted} of {least} to {most}");
            Ok(())
        })?;
    }

    #[test]
    fn a_bucket_takes_no_more_than_its_rate_and_a_burst(
        tokens in 1..200_u64,
        seconds in 1..30_u32,
        steps in prop::collection::vec(step(false), 1..120),
    ) {
        run(async {
            let per = SECOND * seconds;
            let mut world = World::new(tokens, per, 1_000, true);
            // The level of the exact bucket, never refunded.
            let (mut level, mut at) = (0.0, Instant::now());
            for step in steps {
                match step {
                    Step::Pause(time) => sleep(Duration::from_millis(time)).await,
                    Step::Ask(asked) => {
                        let before = world.log.0.len();
                        world.ask(&asked).await;
                        world.log.0[before..].sort_by_key(|(now, ..)| *now);
                        for (now, _, amount) in &world.log.0[before..] {
                            let time = (*now - at).as_secs_f64();
                            let rate = tokens as f64 / per.as_secs_f64();
                            level = f64::max(level - time * rate, 0.0) + *amount as f64;
                            at = *now;
                            prop_assert!(level <= tokens as f64 + 1e-5, "{level} of {tokens}");
                        }
                    }
                    Step::Settle(which, _) => world.settle(which, End::Used(100)),
                    Step::Kill(_) | Step::Store(_) => unreachable!("nothing goes wrong"),
                }
            }
            Ok(())
        })?;
    }

    /// A window of an hour, so that all that was ever used counts.
    #[test]
    fn whatever_goes_wrong_in_the_end_the_store_counts_what_was_used(
        tokens in 1..2_000_u64,
        steps in prop::collection::vec(step(true), 1..120),
    ) {
        run(async {
            let mut world = World::new(tokens, 3_600 * SECOND, 50, false);
            let mut deaths = 0;
            for step in steps {
                match step {
                    Step::Pause(time) => sleep(Duration::from_millis(time)).await,
                    Step::Ask(asked) => drop(world.ask(&asked).await),
                    Step::Settle(which, end) => world.settle(which, end),
                    Step::Store(way) => world.store.set(way),
                    Step::Kill(which) if deaths == 0 && which == 0 => {
                        // It dies when nothing runs and the store has heard of everything, but for
                        // what it holds.
                        while !world.running.is_empty() {
                            world.settle(0, End::Used(100));
                        }
                        world.store.set(Way::Serves(MILLI));
                        sleep(3 * SECOND).await;
                        world.kill(which);
                        deaths += 1;
                    }
                    Step::Kill(_) => {}
                }
            }
            while !world.running.is_empty() {
                world.settle(0, End::Used(50));
            }
            world.store.set(Way::Serves(MILLI));
            sleep(10 * SECOND).await;
            let counts = world.store.counts(&world.limits);
            let used = world.log.used(3_600 * SECOND);
            prop_assert_eq!(counts, [(used, 0), (0, 0)]);
            Ok(())
        })?;
    }
}

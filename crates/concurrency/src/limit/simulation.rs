//! Limits against simulated providers.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use fastrand::Rng;
use tokio::time::Instant;
use ziggurat_core::{ConcurrencyMode, Deployment};

use super::{Kind, Limit, Tried};
use crate::bounds::Bounds;

const SECOND: Duration = Duration::from_secs(1);

/// How long a refusal takes.
const NO: Duration = Duration::from_millis(50);

/// How long a first content takes without load.
const FIRST: Duration = Duration::from_millis(500);

/// How long the rest of an answer takes.
const REST: Duration = Duration::from_secs(2);

/// A provider that has a number of places.
#[derive(Clone, Copy)]
enum Provider {
    /// Whoever comes when they are taken is refused.
    Refuses { places: u32 },
    /// First contents are late by the factor by which they are exceeded.
    Slows { places: u32 },
    /// There are as many as anybody wants, and first contents take now a short and now a long time:
    /// the logarithm of the factor has this deviation.
    Differs { deviation: f64 },
    /// It refuses one of so many, whatever the load.
    RefusesAtRandom { one_of: u32 },
    /// All first contents are later by a factor, whoever else is there.
    IsSlow { factor: f64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Refused,
    Answered,
    Ended,
}

/// A limit, a provider, and a number of clients each of which asks again as soon as it can.
struct World {
    limit: Limit,
    provider: Provider,
    clients: u32,
    rng: Rng,
    now: Instant,
    in_flight: u32,
    events: BinaryHeap<Reverse<(Instant, u64, Event, u32, Instant)>>,
    count: u64,
}

/// What was seen in a stretch of time.
#[derive(Debug)]
struct Seen {
    lowest: u32,
    highest: u32,
    sent: u32,
    refused: u32,
}

impl World {
    fn new(mode: ConcurrencyMode, provider: Provider, clients: u32) -> Self {
        let deployment = Deployment::new("a", "g", "m");
        Self {
            limit: Limit::new(Bounds::of(&deployment, mode.into())),
            provider,
            clients,
            rng: Rng::with_seed(7),
            now: Instant::now(),
            in_flight: 0,
            events: BinaryHeap::new(),
            count: 0,
        }
    }

    fn limit(&self) -> u32 {
        self.limit.get().expect("is limited")
    }

    fn at(&mut self, after: Duration, event: Event, tried: Tried) {
        self.count += 1;
        let entry = (
            self.now + after,
            self.count,
            event,
            tried.place,
            tried.began,
        );
        self.events.push(Reverse(entry));
    }

    fn send(&mut self) {
        self.in_flight += 1;
        let (place, began) = (self.in_flight, self.now);
        let tried = Tried { place, began };
        let factor = match self.provider {
            Provider::Refuses { places } if place > places => {
                self.at(NO, Event::Refused, tried);
                return;
            }
            Provider::RefusesAtRandom { one_of } if self.rng.u32(..one_of) == 0 => {
                self.at(NO, Event::Refused, tried);
                return;
            }
            Provider::Refuses { .. } | Provider::RefusesAtRandom { .. } => 1.0,
            Provider::Slows { places } => (f64::from(place) / f64::from(places)).max(1.0),
            Provider::Differs { deviation } => {
                // Irwin and Hall: twelve evenly distributed numbers make a normal one.
                let normal: f64 = (0..12).map(|_| self.rng.f64()).sum::<f64>() - 6.0;
                (normal * deviation).exp()
            }
            Provider::IsSlow { factor } => factor,
        };
        // No two are exactly alike.
        let factor = factor * (0.95 + 0.1 * self.rng.f64());
        self.at(FIRST.mul_f64(factor), Event::Answered, tried);
    }

    /// Lets that much time pass.
    fn run(&mut self, time: Duration) -> Seen {
        let until = self.now + time;
        let mut seen = Seen {
            lowest: self.limit(),
            highest: self.limit(),
            sent: 0,
            refused: 0,
        };
        loop {
            while self.in_flight < self.limit().min(self.clients) {
                self.send();
                seen.sent += 1;
            }
            let Some(Reverse((at, _, event, place, began))) = self.events.pop() else {
                unreachable!("somebody is always in flight");
            };
            if at > until {
                self.events.push(Reverse((at, 0, event, place, began)));
                self.now = until;
                return seen;
            }
            self.now = at;
            let tried = Tried { place, began };
            match event {
                Event::Refused => {
                    self.limit.overloaded(tried, place, at);
                    self.in_flight -= 1;
                    seen.refused += 1;
                }
                Event::Answered => {
                    self.limit.answered(tried, at - began, Kind::Stream);
                    self.at(REST, Event::Ended, tried);
                }
                Event::Ended => self.in_flight -= 1,
            }
            seen.lowest = seen.lowest.min(self.limit());
            seen.highest = seen.highest.max(self.limit());
        }
    }
}

use ConcurrencyMode::{Aimd, Gradient};

/// Of five minutes after five minutes. `docs/concurrency.md` shows it as a table.
#[test]
fn a_provider_that_refuses_past_its_places_gets_most_of_them_and_refuses_few() {
    for mode in [Aimd, Gradient] {
        for (places, permille) in [(8, 35), (50, 10), (200, 5)] {
            let mut world = World::new(mode, Provider::Refuses { places }, 1_000);
            world.run(300 * SECOND);
            let seen = world.run(300 * SECOND);
            let told = format!("{mode}, {places}: {seen:?}");
            assert!(seen.lowest >= places * 9 / 10, "{told}");
            assert!(seen.highest <= places + places.div_ceil(10), "{told}");
            assert!(seen.refused * 1_000 <= seen.sent * permille, "{told}");
        }
    }
}

#[test]
fn a_provider_that_slows_down_past_its_places_gets_at_most_about_twice_as_many() {
    for places in [8, 50, 200] {
        let mut world = World::new(Gradient, Provider::Slows { places }, 1_000);
        world.run(300 * SECOND);
        let seen = world.run(300 * SECOND);
        assert!(seen.lowest >= places, "{places}: {seen:?}");
        assert!(seen.highest <= places * 22 / 10, "{places}: {seen:?}");
    }
}

#[test]
fn the_limit_rises_when_the_provider_has_more_places() {
    for mode in [Aimd, Gradient] {
        let mut world = World::new(mode, Provider::Refuses { places: 8 }, 1_000);
        world.run(300 * SECOND);
        world.provider = Provider::Refuses { places: 100 };
        world.run(90 * SECOND);
        assert!(world.limit() >= 80, "{mode}: {}", world.limit());
    }
    let mut world = World::new(Gradient, Provider::Slows { places: 8 }, 1_000);
    world.run(300 * SECOND);
    world.provider = Provider::Slows { places: 100 };
    world.run(90 * SECOND);
    assert!(world.limit() >= 100, "{}", world.limit());
}

#[test]
fn the_limit_falls_at_once_when_the_provider_has_fewer_places() {
    for mode in [Aimd, Gradient] {
        let mut world = World::new(mode, Provider::Refuses { places: 100 }, 1_000);
        world.run(300 * SECOND);
        world.provider = Provider::Refuses { places: 10 };
        let seen = world.run(10 * SECOND);
        assert!(world.limit() <= 12, "{mode}: {}", world.limit());
        assert!(seen.refused <= 150, "{mode}: {seen:?}");
    }
}

#[test]
fn one_slow_answer_and_one_timeout_cost_a_tenth_at_most() {
    for mode in [Aimd, Gradient] {
        let mut world = World::new(mode, Provider::IsSlow { factor: 1.0 }, 100);
        world.run(120 * SECOND);
        let before = world.limit();
        let tried = Tried {
            place: world.in_flight,
            began: world.now - 100 * FIRST,
        };
        world.limit.answered(tried, 100 * FIRST, Kind::Stream);
        let after = world.limit();
        assert!(after >= before * 9 / 10, "{mode}: {before}, {after}");
        world.limit.overloaded(tried, world.in_flight, world.now);
        let after = world.limit();
        assert!(after >= 100 * 9 / 10, "{mode}: {before}, {after}");
        world.run(60 * SECOND);
        assert!(world.limit() >= 100, "{mode}: {}", world.limit());
    }
}

#[test]
fn a_limit_that_is_not_used_up_does_not_rise() {
    for mode in [Aimd, Gradient] {
        let mut world = World::new(mode, Provider::Refuses { places: 30 }, 1_000);
        world.run(300 * SECOND);
        let before = world.limit();
        world.provider = Provider::Refuses { places: 1_000 };
        world.clients = before - 1;
        world.run(10 * SECOND);
        let before = world.limit();
        let seen = world.run(1_200 * SECOND);
        assert_eq!((seen.lowest, seen.highest), (before, before), "{mode}");
    }
}

#[test]
fn after_an_outage_the_limit_is_back_in_half_a_minute() {
    for clients in [10, 50, 500] {
        let mut world = World::new(Aimd, Provider::Refuses { places: 100 }, clients);
        world.run(60 * SECOND);
        let before = world.limit();
        world.provider = Provider::Refuses { places: 0 };
        world.run(20 * SECOND);
        world.provider = Provider::Refuses { places: 100 };
        world.run(30 * SECOND);
        let after = world.limit();
        assert!(
            after >= before.min(clients) * 9 / 10,
            "{clients}: {before}, {after}"
        );
    }
}

/// A burst that is refused as a whole, the first of it before the last.
#[test]
fn where_the_first_few_are_refused_too_the_others_cut_nothing() {
    let mut world = World::new(Aimd, Provider::Refuses { places: 0 }, 100);
    let began = world.now;
    for place in 1..=100 {
        world
            .limit
            .overloaded(Tried { place, began }, place, began + NO);
    }
    assert_eq!(world.limit(), 1_000);
    let began = began + SECOND;
    for place in (1..=100).rev() {
        world
            .limit
            .overloaded(Tried { place, began }, place, began + NO);
    }
    assert_eq!(world.limit(), 1_000, "in any order");
}

#[test]
fn refusals_of_the_first_few_places_cut_nothing() {
    let mut world = World::new(Aimd, Provider::Refuses { places: 0 }, 4);
    let seen = world.run(60 * SECOND);
    assert_eq!(seen.lowest, 1_000);
    assert!(seen.refused >= seen.sent - 4, "{seen:?}");
}

#[test]
fn a_gradient_learns_that_a_provider_is_slower_than_it_was() {
    let mut world = World::new(Gradient, Provider::IsSlow { factor: 1.0 }, 100);
    world.run(120 * SECOND);
    world.provider = Provider::IsSlow { factor: 5.0 };
    let seen = world.run(300 * SECOND);
    assert!(seen.lowest <= 10, "{seen:?}");
    assert!(world.limit() >= 100, "{}", world.limit());
}

/// Why nothing is learned by default.
#[test]
fn a_provider_that_refuses_at_random_pulls_down_what_is_learned() {
    for mode in [Aimd, Gradient] {
        let mut world = World::new(mode, Provider::RefusesAtRandom { one_of: 10 }, 100);
        world.run(300 * SECOND);
        let seen = world.run(300 * SECOND);
        assert!(seen.highest < 25, "{mode}: {seen:?}");
    }
}

/// Why `aimd` goes before `gradient`.
#[test]
fn where_answers_differ_much_only_the_gradient_takes_that_for_load() {
    let lowest = |mode| {
        let mut world = World::new(mode, Provider::Differs { deviation: 1.0 }, 200);
        world.run(300 * SECOND);
        world.run(300 * SECOND).lowest
    };
    assert_eq!(lowest(Aimd), 1_000);
    assert!(lowest(Gradient) < 150);
}

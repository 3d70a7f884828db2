//! All that is counted for one key.

use smallvec::SmallVec;
use tokio::time::Instant;

use crate::{
    Actual, Cost, Left, Level, Limit, Limits, Measure, Sizes,
    crossing::Told,
    meter::{Meter, Stamp},
    refused::Verdict,
};

/// All that is counted for one key. It is decided and charged as a whole, under one lock.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    /// What is counted of each limit: of several on one measure, in their order.
    counters: SmallVec<[Counter; 3]>,
    sizes: Sizes,
}

/// What is counted of one limit.
#[derive(Debug)]
struct Counter {
    limit: Limit,
    meter: Meter,
    told: Told,
}

/// What a request has taken from a cell.
#[derive(Clone, Debug)]
pub(crate) struct Taken(SmallVec<[One; 3]>);

/// What it has taken of one limit.
#[derive(Clone, Copy, Debug)]
struct One {
    counter: usize,
    measure: Measure,
    stamp: Stamp,
    reserved: u64,
}

/// The limits of a cell that somebody is to be told of, with how far they are used.
pub(crate) type Crossed = SmallVec<[(Limit, Level, u64); 1]>;

impl Counter {
    fn tell(&mut self, is_refused: bool, now: Instant) -> Option<(Limit, Level, u64)> {
        let used = self.meter.used(now);
        let ends_at = self.meter.empty_at(now);
        let told = &mut self.told;
        let level = told.tell(&self.limit, used, is_refused, ends_at, now)?;
        Some((self.limit, level, used))
    }
}

impl Cell {
    /// The place of the counter of each limit; each follows its limit from now on.
    fn follow(&mut self, limits: &Limits, now: Instant) -> SmallVec<[(usize, Limit); 3]> {
        let mut places: SmallVec<[(usize, Limit); 3]> = SmallVec::new();
        for limit in limits.iter() {
            let is_free = |at: &usize| places.iter().all(|(taken, _)| taken != at);
            let measures = |at: &usize| self.counters[*at].limit.measure() == limit.measure();
            let place = (0..self.counters.len()).find(|at| measures(at) && is_free(at));
            let place = place.unwrap_or_else(|| {
                self.counters.push(Counter {
                    limit: *limit,
                    meter: Meter::Unused,
                    told: Told::default(),
                });
                self.counters.len() - 1
            });
            let counter = &mut self.counters[place];
            counter.limit = *limit;
            counter.meter.follow(limit, now);
            places.push((place, *limit));
        }
        places
    }

    /// Says why a request may not pass; changes no count.
    pub(crate) fn refuses(&mut self, limits: &Limits, cost: Cost, now: Instant) -> Option<Verdict> {
        let places = self.follow(limits, now);
        let sizes = self.sizes;
        let verdicts = places.iter().filter_map(|(place, limit)| {
            let meter = &mut self.counters[*place].meter;
            let wait = meter.wait(cost.reserve(limit, &sizes), now)?;
            Some(Verdict {
                wait,
                any: meter.wait(1, now),
                limit: *limit,
                remaining: limit.amount().saturating_sub(meter.used(now)),
            })
        });
        verdicts.reduce(Verdict::and)
    }

    /// What there is to tell of a limit for which a request was refused.
    pub(crate) fn refused(&mut self, limit: &Limit, now: Instant) -> Option<(Limit, Level, u64)> {
        let mut counters = self.counters.iter_mut();
        counters.find(|it| it.limit == *limit)?.tell(true, now)
    }

    /// Takes what a request is charged; it was not refused.
    pub(crate) fn take(&mut self, limits: &Limits, cost: Cost, now: Instant) -> Taken {
        let places = self.follow(limits, now);
        let ones = places.iter().filter_map(|(place, limit)| {
            let reserved = cost.reserve(limit, &self.sizes);
            Some(One {
                counter: *place,
                measure: limit.measure(),
                stamp: self.counters[*place].meter.charge(reserved, now)?,
                reserved,
            })
        });
        Taken(ones.collect())
    }

    /// Corrects what a request has taken by what has happened.
    pub(crate) fn settle(&mut self, taken: &Taken, actual: &Actual, now: Instant) {
        self.sizes.learn(actual);
        for one in &taken.0 {
            let used = actual.of(one.measure, one.reserved);
            let meter = &mut self.counters[one.counter].meter;
            meter.correct(one.stamp, one.reserved, used, now);
        }
    }

    /// What there is to tell after a request has settled: of what it has taken.
    pub(crate) fn crossed(&mut self, taken: &Taken, now: Instant) -> Crossed {
        let mut crossed = Crossed::new();
        for one in &taken.0 {
            crossed.extend(self.counters[one.counter].tell(false, now));
        }
        crossed
    }

    /// What is left of each limit.
    pub(crate) fn left(&mut self, limits: &Limits, now: Instant) -> SmallVec<[Left; 3]> {
        let places = self.follow(limits, now);
        let left = places.into_iter().map(|(place, limit)| {
            let meter = &mut self.counters[place].meter;
            Left::new(limit, meter.used(now), meter.empty_at(now))
        });
        left.collect()
    }

    /// How much of a measure is used, of its first limit.
    pub(crate) fn used(&mut self, measure: Measure, now: Instant) -> u64 {
        let mut counters = self.counters.iter_mut();
        let counter = counters.find(|it| it.limit.measure() == measure);
        counter.map_or(0, |it| it.meter.used(now))
    }

    /// Forgets what is used of limits of which `forgets` says so; what is in flight stays.
    pub(crate) fn clear(&mut self, mut forgets: impl FnMut(&Limit) -> bool) {
        for counter in &mut self.counters {
            if forgets(&counter.limit) {
                counter.meter.clear();
                counter.told = Told::default();
            }
        }
    }

    /// Whether it is as good as a new one, but for the size of answers.
    pub(crate) fn is_idle(&mut self, now: Instant) -> bool {
        let mut counters = self.counters.iter_mut();
        counters.all(|counter| counter.meter.used(now) == 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use ziggurat_core::{Money, Scope, Usage};

    use super::*;
    use crate::{LimitKey, Period, Rate, refused::Wait};

    const SECOND: Duration = Duration::from_secs(1);

    /// The naive model: what was charged, when, and who is in flight.
    #[derive(Default)]
    struct Model {
        requests: Vec<(Instant, usize, u64)>,
        tokens: Vec<(Instant, usize, u64)>,
        running: Vec<(usize, Taken, u64)>,
    }

    const fn complete(usage: Usage) -> Actual {
        Actual::Complete { usage, money: None }
    }

    fn sum(charges: &[(Instant, usize, u64)], now: Instant) -> u64 {
        let counts = charges.iter().filter(|(at, ..)| *at + 60 * SECOND > now);
        counts.map(|(.., amount)| amount).sum()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Pause(u64),
        Acquire(u64),
        Settle(usize, Actual),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let actual = prop_oneof![
            Just(Actual::Unsent),
            Just(Actual::Unanswered { money: Money::ZERO }),
            Just(Actual::Unknown { money: None }),
            (0..150_u64).prop_map(|tokens| Actual::Partial {
                usage: Usage::new(tokens, 0),
                money: None,
            }),
            (0..150_u64).prop_map(|output| complete(Usage::new(1, output))),
        ];
        let step = prop_oneof![
            (1..20_u64).prop_map(Step::Pause),
            (1..150_u64).prop_map(Step::Acquire),
            (0..8_usize, actual).prop_map(|(which, actual)| Step::Settle(which, actual)),
        ];
        prop::collection::vec(step, 1..120)
    }

    proptest! {
        /// Pauses are whole seconds, a sixtieth of the period, so the window is exact.
        #[test]
        fn it_decides_as_a_list_of_charges_would(
            rpm in 1..12_u64,
            tpm in 1..200_u64,
            parallel in 1..5_u32,
            steps in steps(),
        ) {
            let limits = Limits::none()
                .with_requests(Rate::per_minute(rpm))
                .with_tokens(Rate::per_minute(tpm))
                .with_in_flight(parallel);
            let mut now = Instant::now();
            let mut cell = Cell::default();
            let mut model = Model::default();
            for (id, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Pause(seconds) => now += Duration::from_secs(seconds),
                    Step::Acquire(tokens) => {
                        let cost = Cost::new(0, Some(tokens));
                        let reserved = tokens.min(tpm);
                        let fits = model.running.len() < parallel as usize
                            && sum(&model.requests, now) < rpm
                            && sum(&model.tokens, now) + reserved <= tpm;
                        prop_assert_eq!(cell.refuses(&limits, cost, now).is_none(), fits);
                        if fits {
                            model.requests.push((now, id, 1));
                            model.tokens.push((now, id, reserved));
                            model.running.push((id, cell.take(&limits, cost, now), reserved));
                        }
                    }
                    Step::Settle(which, actual) => {
                        if which >= model.running.len() {
                            continue;
                        }
                        let (id, taken, reserved) = model.running.remove(which);
                        cell.settle(&taken, &actual, now);
                        let used = match actual {
                            Actual::Unsent | Actual::Unanswered { .. } => 0,
                            Actual::Partial { usage, .. } | Actual::Complete { usage, .. } => {
                                usage.total()
                            }
                            Actual::Unknown { .. } => reserved,
                        };
                        if actual == Actual::Unsent {
                            model.requests.retain(|(_, other, _)| *other != id);
                        }
                        for charge in model.tokens.iter_mut().filter(|(_, other, _)| *other == id) {
                            charge.2 = used.min(reserved);
                        }
                        model.tokens.push((now, usize::MAX, used.saturating_sub(reserved)));
                    }
                }
                prop_assert_eq!(cell.used(Measure::Requests, now), sum(&model.requests, now));
                prop_assert_eq!(cell.used(Measure::Tokens, now), sum(&model.tokens, now));
                prop_assert_eq!(cell.used(Measure::InFlight, now) as usize, model.running.len());
            }
        }
    }

    fn admit(cell: &mut Cell, limits: &Limits, cost: Cost, now: Instant) -> Taken {
        let verdict = cell.refuses(limits, cost, now);
        assert_eq!(verdict, None, "was to be admitted");
        cell.take(limits, cost, now)
    }

    #[test]
    fn a_request_larger_than_the_limit_passes_where_nothing_is_used() {
        let limits = Limits::none().with_tokens(Rate::per_minute(10));
        let now = Instant::now();
        let mut cell = Cell::default();
        let _ = admit(&mut cell, &limits, Cost::new(50_000, None), now);
        assert_eq!(cell.used(Measure::Tokens, now), 10);
        assert!(cell.refuses(&limits, Cost::new(1, Some(0)), now).is_some());
    }

    #[test]
    fn the_size_of_answers_is_learned_where_requests_do_not_tell() {
        let limits = Limits::none().with_tokens(Rate::per_minute(1_000));
        let mut now = Instant::now();
        let mut cell = Cell::default();
        for _ in 0..60 {
            let taken = admit(&mut cell, &limits, Cost::new(10, None), now);
            cell.settle(&taken, &complete(Usage::new(10, 20)), now);
            now += 60 * SECOND;
        }
        let _ = admit(&mut cell, &limits, Cost::new(10, None), now);
        assert_eq!(cell.used(Measure::Tokens, now), 30);
    }

    #[test]
    fn a_refusal_of_tokens_concerns_the_deployment_only_if_no_request_at_all_would_pass() {
        let limits = Limits::none().with_tokens(Rate::per_minute(100));
        let now = Instant::now();
        let mut cell = Cell::default();
        let scope = |cell: &mut Cell| {
            let verdict = cell.refuses(&limits, Cost::new(50, Some(0)), now);
            let refused = verdict
                .expect("is refused")
                .refuse(LimitKey::tenant("a"), Scope::Deployment);
            refused.rejection().scope()
        };
        let _ = admit(&mut cell, &limits, Cost::new(90, Some(0)), now);
        assert_eq!(scope(&mut cell), Scope::Attempt);
        let _ = admit(&mut cell, &limits, Cost::new(10, Some(0)), now);
        assert_eq!(scope(&mut cell), Scope::Deployment);
    }

    #[test]
    fn of_two_limits_the_one_that_takes_longer_says_how_long() {
        let limits = Limits::none()
            .with_requests(Rate::new(1, SECOND).expect("a valid period"))
            .with_tokens(Rate::per_minute(10));
        let now = Instant::now();
        let mut cell = Cell::default();
        let _ = admit(&mut cell, &limits, Cost::new(10, Some(0)), now);
        let verdict = cell.refuses(&limits, Cost::new(10, Some(0)), now);
        let verdict = verdict.expect("is refused");
        assert_eq!(verdict.wait, Wait::Until(now + 60 * SECOND));
        assert_eq!(verdict.limit, Rate::per_minute(10).of(Measure::Tokens));
        assert_eq!(
            cell.refuses(&limits, Cost::new(10, Some(0)), now + 60 * SECOND),
            None
        );
    }

    #[test]
    fn several_limits_on_one_measure_are_counted_each_in_its_window() {
        let limits = Limits::none()
            .with_requests(Rate::per_minute(2))
            .with_requests(Rate::new(3, 3600 * SECOND).expect("a valid period"));
        let mut now = Instant::now();
        let mut cell = Cell::default();
        for _ in 0..2 {
            let _ = admit(&mut cell, &limits, Cost::default(), now);
        }
        now += 60 * SECOND;
        let _ = admit(&mut cell, &limits, Cost::default(), now);
        let verdict = cell
            .refuses(&limits, Cost::default(), now)
            .expect("is refused");
        assert_eq!(verdict.wait, Wait::Until(now + 3540 * SECOND));
        let used: Vec<_> = cell
            .left(&limits, now)
            .iter()
            .map(|left| left.used)
            .collect();
        assert_eq!(used, [1, 3]);
    }

    #[test]
    fn money_is_reserved_by_estimate_and_charged_as_it_was_spent() {
        let dollars = |amount| Money::from_dollars(amount).expect("is an amount");
        let limits = Limits::none().with_budget(dollars(1.0), Period::Month);
        let now = Instant::now();
        let mut cell = Cell::default();
        let cost = Cost::new(1, None).with_money(dollars(0.4));
        let taken = [(); 2].map(|()| admit(&mut cell, &limits, cost, now));
        assert!(
            cell.refuses(&limits, cost, now).is_some(),
            "three would be 1.2"
        );
        let [one, other] = taken;
        let money = dollars(0.1);
        cell.settle(&one, &Actual::Unanswered { money }, now);
        cell.settle(&other, &Actual::Unsent, now);
        assert_eq!(cell.used(Measure::Money, now), 100_000_000);
        let small = Cost::new(1, None);
        assert_eq!(cell.refuses(&limits, small, now), None);
    }

    #[test]
    fn a_limit_of_zero_refuses_for_good() {
        let zero = Rate::per_minute(0);
        for limits in [
            Limits::none().with_requests(zero),
            Limits::none().with_requests(zero.smooth()),
            Limits::none().with_tokens(zero),
            Limits::none().with_in_flight(0),
        ] {
            let verdict = Cell::default().refuses(&limits, Cost::default(), Instant::now());
            assert_eq!(verdict.map(|v| v.wait), Some(Wait::Never), "{limits:?}");
        }
    }
}

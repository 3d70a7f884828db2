//! All that is counted for one key.

use tokio::time::Instant;

use crate::{
    Actual, Cost, Limit, Limits,
    meter::{Meter, Stamp},
    refused::{Verdict, Wait},
};

/// The output tokens an answer is taken to have while none has been seen.
const FIRST_GUESS: u64 = 256;

/// The weight of a new answer in the average.
const WEIGHT: f64 = 1.0 / 8.0;

/// All that is counted for one key. It is decided and charged as a whole, under one lock.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) requests: Meter,
    pub(crate) tokens: Meter,
    pub(crate) in_flight: u32,
    /// The output tokens of an answer, on average.
    output: f64,
}

/// What a request has taken from a cell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    request: Option<Stamp>,
    tokens: Option<(Stamp, u64)>,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            requests: Meter::Unused,
            tokens: Meter::Unused,
            in_flight: 0,
            output: FIRST_GUESS as f64,
        }
    }
}

impl Cell {
    /// Says why a request may not pass; changes no count.
    pub(crate) fn refuses(&mut self, limits: &Limits, cost: Cost, now: Instant) -> Option<Verdict> {
        let most = limits.in_flight().filter(|most| self.in_flight >= *most);
        let busy = most.map(|most| {
            let wait = if most == 0 { Wait::Never } else { Wait::Place };
            Verdict {
                wait,
                any: Some(wait),
                limit: Limit::InFlight(most),
                remaining: 0,
            }
        });
        let requests = limits.requests().and_then(|rate| {
            self.requests.follow(rate, now);
            let wait = self.requests.wait(1, now)?;
            Some(Verdict {
                wait,
                any: Some(wait),
                limit: Limit::Requests(rate),
                remaining: 0,
            })
        });
        let tokens = limits.tokens().and_then(|rate| {
            self.tokens.follow(rate, now);
            let reserve = self.reservation(cost, rate.amount());
            Some(Verdict {
                wait: self.tokens.wait(reserve, now)?,
                any: self.tokens.wait(1, now),
                limit: Limit::Tokens(rate),
                remaining: rate.amount().saturating_sub(self.tokens.used(now)),
            })
        });
        Verdict::of_both(Verdict::of_both(busy, requests), tokens)
    }

    /// Takes what a request is charged, right after [`refuses`](Self::refuses) found nothing.
    pub(crate) fn take(&mut self, limits: &Limits, cost: Cost, now: Instant) -> Taken {
        self.in_flight += 1;
        Taken {
            request: limits.requests().and_then(|_| self.requests.charge(1, now)),
            tokens: limits.tokens().and_then(|rate| {
                let reserved = self.reservation(cost, rate.amount());
                Some((self.tokens.charge(reserved, now)?, reserved))
            }),
        }
    }

    /// Corrects what was taken by what has happened.
    pub(crate) fn settle(&mut self, taken: Taken, actual: Actual, now: Instant) {
        self.in_flight -= 1;
        if let (Actual::Unsent, Some(stamp)) = (actual, taken.request) {
            self.requests.refund(stamp, 1, now);
        }
        if let Actual::Complete(usage) = actual {
            let news = usage.output as f64 - self.output;
            self.output = news.mul_add(WEIGHT, self.output);
        }
        if let Some((stamp, reserved)) = taken.tokens {
            let used = match actual {
                Actual::Unsent | Actual::Unanswered => 0,
                Actual::Partial { tokens } => tokens,
                Actual::Complete(usage) => usage.total(),
                Actual::Unknown => reserved,
            };
            self.tokens.correct(stamp, reserved, used, now);
        }
    }

    /// Whether nothing is used and nothing in flight.
    pub(crate) fn is_idle(&mut self, now: Instant) -> bool {
        self.in_flight == 0 && self.requests.used(now) == 0 && self.tokens.used(now) == 0
    }

    /// The tokens to take: no more than the limit, so that what is larger passes where nothing is
    /// used, and one at least.
    fn reservation(&self, cost: Cost, limit: u64) -> u64 {
        cost.tokens(self.average()).min(limit).max(1)
    }

    fn average(&self) -> u64 {
        self.output as u64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use ziggurat_core::{Scope, Usage};

    use super::*;
    use crate::Rate;

    const SECOND: Duration = Duration::from_secs(1);

    /// The naive model: what was charged, when, and who is in flight.
    #[derive(Default)]
    struct Model {
        requests: Vec<(Instant, usize, u64)>,
        tokens: Vec<(Instant, usize, u64)>,
        running: Vec<(usize, Taken, u64)>,
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
            Just(Actual::Unanswered),
            Just(Actual::Unknown),
            (0..150_u64).prop_map(|tokens| Actual::Partial { tokens }),
            (0..150_u64).prop_map(|output| Actual::Complete(Usage::new(1, output))),
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
                        cell.settle(taken, actual, now);
                        let used = match actual {
                            Actual::Unsent | Actual::Unanswered => 0,
                            Actual::Partial { tokens } => tokens,
                            Actual::Complete(usage) => usage.total(),
                            Actual::Unknown => reserved,
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
                prop_assert_eq!(cell.requests.used(now), sum(&model.requests, now));
                prop_assert_eq!(cell.tokens.used(now), sum(&model.tokens, now));
                prop_assert_eq!(cell.in_flight as usize, model.running.len());
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
        assert_eq!(cell.tokens.used(now), 10);
        assert!(cell.refuses(&limits, Cost::new(1, Some(0)), now).is_some());
    }

    #[test]
    fn the_size_of_answers_is_learned_where_requests_do_not_tell() {
        let limits = Limits::none().with_tokens(Rate::per_minute(1_000));
        let mut now = Instant::now();
        let mut cell = Cell::default();
        for _ in 0..60 {
            let taken = admit(&mut cell, &limits, Cost::new(10, None), now);
            cell.settle(taken, Actual::Complete(Usage::new(10, 20)), now);
            now += 60 * SECOND;
        }
        let _ = admit(&mut cell, &limits, Cost::new(10, None), now);
        assert_eq!(cell.tokens.used(now), 30);
    }

    #[test]
    fn a_refusal_of_tokens_concerns_the_deployment_only_if_no_request_at_all_would_pass() {
        let limits = Limits::none().with_tokens(Rate::per_minute(100));
        let now = Instant::now();
        let mut cell = Cell::default();
        let scope = |cell: &mut Cell| {
            let verdict = cell.refuses(&limits, Cost::new(50, Some(0)), now);
            let refused = verdict.expect("is refused").refuse(Scope::Deployment);
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
        assert_eq!(verdict.limit, Limit::Tokens(Rate::per_minute(10)));
        assert_eq!(
            cell.refuses(&limits, Cost::new(10, Some(0)), now + 60 * SECOND),
            None
        );
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

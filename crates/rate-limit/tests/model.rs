//! The limiter as a whole decides as a list of charges does, in each kind of window.

use std::{ops::ControlFlow, time::Duration};

use proptest::prelude::*;
use tokio::time::{Instant, advance};
use ziggurat_core::{Money, Usage};
use ziggurat_rate_limit::{
    Actual, Charges, Cost, Limit, LimitKey, Limiter, Limits, Measure, MemoryLimiter, MemoryPermit,
    Period, Settle, Window,
};

const PER: Duration = Duration::from_secs(60);

/// The naive model: every charge, with the time it was made.
#[derive(Default)]
struct Model {
    charges: Vec<(Instant, u64)>,
    /// Of fixed periods: when the current one ends.
    ends: Option<Instant>,
}

impl Model {
    fn used(&mut self, window: Window, now: Instant) -> u64 {
        match window {
            Window::Fixed(_) if self.ends.is_some_and(|end| end <= now) => {
                self.charges.iter_mut().for_each(|it| it.1 = 0);
                self.ends = None;
            }
            Window::Sliding(per) => {
                let gone = |it: &&mut (Instant, u64)| it.0 + per <= now;
                self.charges.iter_mut().filter(gone).for_each(|it| it.1 = 0);
            }
            _ => {}
        }
        self.charges.iter().map(|(_, amount)| amount).sum()
    }

    fn charge(&mut self, amount: u64, now: Instant) -> usize {
        self.ends.get_or_insert(now + PER);
        self.charges.push((now, amount));
        self.charges.len() - 1
    }

    /// What was reserved becomes what was used: less is taken back from where it was charged, more
    /// is charged now.
    fn settle(&mut self, charge: usize, reserved: u64, used: u64, now: Instant) {
        let left = &mut self.charges[charge].1;
        *left = left.saturating_sub(reserved.saturating_sub(used));
        if used > reserved {
            self.charge(used - reserved, now);
        }
    }
}

/// How a request ends.
#[derive(Clone, Copy, Debug)]
enum Ends {
    Unsent,
    Unanswered,
    Uses(u64),
    Unknown,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Whole seconds, which the slices of the window tell apart.
    Pause(u64),
    Acquire(u64),
    End(usize, Ends),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ends = prop_oneof![
        Just(Ends::Unsent),
        Just(Ends::Unanswered),
        (0..150_u64).prop_map(Ends::Uses),
        Just(Ends::Unknown),
    ];
    let step = prop_oneof![
        (1..30_u64).prop_map(Step::Pause),
        (1..150_u64).prop_map(Step::Acquire),
        (0..6_usize, ends).prop_map(|(which, ends)| Step::End(which, ends)),
    ];
    prop::collection::vec(step, 1..100)
}

/// Runs the steps on a limit of tokens, or of money, in both.
fn agree(
    measure: Measure,
    window: Window,
    amount: u64,
    steps: &[Step],
) -> Result<(), TestCaseError> {
    let limiter = MemoryLimiter::new();
    let key = LimitKey::tenant("alice");
    let limits = Limits::none().with(Limit::new(measure, amount, window));
    let charges = |tokens: u64| {
        // A nanodollar for each.
        let cost = Cost::new(tokens, Some(0)).with_money(nano(tokens));
        Charges::none()
            .on(key.clone(), limits.clone())
            .with_cost(cost)
    };
    let mut model = Model::default();
    let mut running: Vec<(MemoryPermit, usize, u64)> = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime needs nothing");
    let walked = runtime.block_on(async {
        for step in steps {
            let now = Instant::now();
            let used = model.used(window, now);
            if limiter.used(&key, measure, now) != used {
                return ControlFlow::Break(format!("{used} are used before {step:?}"));
            }
            match *step {
                Step::Pause(seconds) => advance(Duration::from_secs(seconds)).await,
                Step::Acquire(tokens) => {
                    let reserved = tokens.min(amount);
                    let fits = used + reserved <= amount;
                    let permit = limiter.acquire(&charges(tokens)).into_inner();
                    if permit.is_ok() != fits {
                        return ControlFlow::Break(format!("{step:?} fits: {fits}"));
                    }
                    if let Ok(permit) = permit {
                        running.push((permit, model.charge(reserved, now), reserved));
                    }
                }
                Step::End(which, _) if which >= running.len() => {}
                Step::End(which, ends) => {
                    let (mut permit, charge, reserved) = running.remove(which);
                    let (actual, used) = match ends {
                        Ends::Unsent => (Actual::Unsent, 0),
                        Ends::Unanswered => (Actual::Unanswered { money: Money::ZERO }, 0),
                        Ends::Unknown => (Actual::Unknown { money: None }, reserved),
                        Ends::Uses(tokens) => {
                            let usage = Usage::new(tokens, 0);
                            let money = Some(nano(tokens));
                            (Actual::Complete { usage, money }, tokens)
                        }
                    };
                    permit.settle(actual);
                    model.settle(charge, reserved, used, now);
                }
            }
        }
        ControlFlow::Continue(())
    });
    match walked {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(why) => Err(TestCaseError::fail(why)),
    }
}

fn nano(amount: u64) -> Money {
    Money::from_picodollars(u128::from(amount) * 1_000)
}

proptest! {
    #[test]
    fn tokens_in_a_sliding_window(amount in 1..200_u64, steps in steps()) {
        agree(Measure::Tokens, Window::Sliding(PER), amount, &steps)?;
    }

    #[test]
    fn money_in_one_period_after_the_other(amount in 1..200_u64, steps in steps()) {
        let window = Window::Fixed(Period::Rolling(PER));
        agree(Measure::Money, window, amount, &steps)?;
    }

    #[test]
    fn money_for_ever(amount in 1..2_000_u64, steps in steps()) {
        let steps: Vec<_> = steps
            .into_iter()
            .filter(|step| !matches!(step, Step::Pause(_)))
            .collect();
        agree(Measure::Money, Window::Fixed(Period::Forever), amount, &steps)?;
    }
}

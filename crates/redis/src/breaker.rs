//! Whether a server is called.
//!
//! A circuit breaker (Nygard, *Release It!*), with one difference: no request is the one that tries
//! whether the server is back. Probes do, which no request waits for.

use std::{num::NonZeroU32, time::Duration};

/// How many probes are answered in time, one after the other, before calls go out again. With one,
/// a server at the edge of the deadline would come and go all the time.
const PROBES: u32 = 3;

/// Lets calls pass until several fail one after the other, and again after probes succeeded.
///
/// It has no clock: outcomes say how long they took.
#[derive(Debug)]
pub(crate) struct Breaker {
    threshold: NonZeroU32,
    /// An answer that took longer proves nothing good.
    deadline: Duration,
    state: State,
    /// Counts the times it opened, so that late outcomes of calls from before are not counted.
    epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        /// In a row.
        failures: u32,
    },
    Open {
        /// In a row.
        good: u32,
        /// Whether anybody was told.
        is_told: bool,
    },
}

/// How a call or a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With an answer, after that time.
    Answered(Duration),
    /// Without one that tells that the server serves.
    Failed,
}

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Opened,
    Closed,
}

/// The leave for one call.
#[derive(Debug)]
pub(crate) struct Pass(u64);

impl Breaker {
    /// It begins open, because nothing is connected yet.
    pub(crate) const fn new(threshold: NonZeroU32, deadline: Duration) -> Self {
        Self {
            threshold,
            deadline,
            state: State::Open {
                good: 0,
                is_told: false,
            },
            epoch: 0,
        }
    }

    /// Leave for a call; none while it is open.
    pub(crate) const fn pass(&self) -> Option<Pass> {
        match self.state {
            State::Closed { .. } => Some(Pass(self.epoch)),
            State::Open { .. } => None,
        }
    }

    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Whether it has never been closed, nor was anybody told that it is open.
    pub(crate) const fn is_new(&self) -> bool {
        matches!(self.state, State::Open { is_told: false, .. })
    }

    /// A call has ended. A call that its caller gave up is not reported.
    pub(crate) fn ended(&mut self, pass: &Pass, outcome: Outcome) -> Option<Change> {
        let State::Closed { failures } = &mut self.state else {
            return None;
        };
        if pass.0 != self.epoch {
            return None;
        }
        match outcome {
            Outcome::Answered(took) if took <= self.deadline => *failures = 0,
            // Whoever waits longer learns nothing for those who do not.
            Outcome::Answered(_) => {}
            Outcome::Failed => {
                *failures += 1;
                if *failures >= self.threshold.get() {
                    return self.open();
                }
            }
        }
        None
    }

    /// A probe has ended: the only thing that closes it.
    pub(crate) fn probed(&mut self, outcome: Outcome) -> Option<Change> {
        let is_good = matches!(outcome, Outcome::Answered(took) if took <= self.deadline);
        match &mut self.state {
            State::Closed { .. } => {
                let pass = Pass(self.epoch);
                let outcome = if is_good { outcome } else { Outcome::Failed };
                self.ended(&pass, outcome)
            }
            State::Open { good, .. } if is_good => {
                *good += 1;
                if *good < PROBES {
                    return None;
                }
                self.state = State::Closed { failures: 0 };
                Some(Change::Closed)
            }
            State::Open { .. } => self.open(),
        }
    }

    /// The server is known to be gone.
    pub(crate) fn lost(&mut self) -> Option<Change> {
        self.open()
    }

    const fn open(&mut self) -> Option<Change> {
        let was_told = matches!(self.state, State::Open { is_told: true, .. });
        if self.is_closed() {
            self.epoch += 1;
        }
        self.state = State::Open {
            good: 0,
            is_told: true,
        };
        if was_told { None } else { Some(Change::Opened) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAST: Outcome = Outcome::Answered(Duration::from_millis(5));
    const SLOW: Outcome = Outcome::Answered(Duration::from_millis(6));

    fn breaker() -> Breaker {
        let three = NonZeroU32::new(3).expect("is over zero");
        Breaker::new(three, Duration::from_millis(5))
    }

    fn closed() -> Breaker {
        let mut breaker = breaker();
        let changes = [FAST; 3].map(|it| breaker.probed(it));
        assert_eq!(changes, [None, None, Some(Change::Closed)]);
        breaker
    }

    #[test]
    fn nothing_passes_before_probes_succeeded() {
        let mut breaker = breaker();
        assert!(breaker.pass().is_none());
        assert_eq!(breaker.lost(), Some(Change::Opened));
        assert_eq!(breaker.probed(FAST), None);
        assert_eq!(breaker.probed(FAST), None);
        assert!(breaker.pass().is_none());
        assert_eq!(breaker.probed(FAST), Some(Change::Closed));
        assert!(breaker.pass().is_some());
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_in_time_begins_the_row_again() {
        let mut breaker = closed();
        let pass = breaker.pass().expect("is closed");
        for outcome in [Outcome::Failed, Outcome::Failed, FAST, Outcome::Failed] {
            assert_eq!(breaker.ended(&pass, outcome), None);
        }
        assert_eq!(breaker.ended(&pass, SLOW), None, "proves nothing");
        assert_eq!(breaker.ended(&pass, Outcome::Failed), None);
        assert_eq!(breaker.ended(&pass, Outcome::Failed), Some(Change::Opened));
        assert!(breaker.pass().is_none());
    }

    #[test]
    fn what_was_called_before_it_opened_counts_neither_way() {
        let mut breaker = closed();
        let old = breaker.pass().expect("is closed");
        assert_eq!(breaker.lost(), Some(Change::Opened));
        assert_eq!(breaker.ended(&old, FAST), None);
        assert!(!breaker.is_closed());
        for _ in 0..3 {
            breaker.probed(FAST);
        }
        for _ in 0..9 {
            assert_eq!(breaker.ended(&old, Outcome::Failed), None);
        }
        assert!(breaker.is_closed());
    }

    #[test]
    fn slow_probes_do_not_close_it_and_open_it_like_calls() {
        let mut breaker = closed();
        assert_eq!(breaker.probed(SLOW), None);
        assert_eq!(breaker.probed(SLOW), None);
        assert_eq!(breaker.probed(SLOW), Some(Change::Opened));
        for outcome in [FAST, FAST, SLOW, FAST, FAST] {
            assert_eq!(breaker.probed(outcome), None);
        }
        assert_eq!(breaker.probed(FAST), Some(Change::Closed));
    }

    #[derive(Clone, Debug)]
    enum Event {
        Ended(Outcome),
        Probed(Outcome),
        Lost,
    }

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let outcome = || prop_oneof![Just(FAST), Just(SLOW), Just(Outcome::Failed)];
        let event = prop_oneof![
            4 => outcome().prop_map(Event::Ended),
            4 => outcome().prop_map(Event::Probed),
            1 => Just(Event::Lost),
        ];
        prop::collection::vec(event, 0..60)
    }

    proptest! {
        /// A line for each change and no more, whatever happens; and it passes exactly between them.
        #[test]
        fn opening_and_closing_are_told_in_turn(events in events()) {
            let mut breaker = breaker();
            let mut last = None;
            for event in events {
                let told = match event {
                    Event::Ended(outcome) => match breaker.pass() {
                        Some(pass) => breaker.ended(&pass, outcome),
                        None => None,
                    },
                    Event::Probed(outcome) => breaker.probed(outcome),
                    Event::Lost => breaker.lost(),
                };
                if told.is_some() {
                    prop_assert_ne!(told, last);
                    last = told;
                }
                prop_assert_eq!(breaker.pass().is_some(), last == Some(Change::Closed));
            }
        }

        /// The naive model: the last outcomes, in a list.
        #[test]
        fn it_is_open_exactly_after_three_failures_without_a_good_one_between(
            outcomes in prop::collection::vec(prop_oneof![Just(FAST), Just(SLOW), Just(Outcome::Failed)], 0..40)
        ) {
            let mut breaker = closed();
            let mut row = Vec::new();
            for outcome in outcomes {
                let Some(pass) = breaker.pass() else { break };
                breaker.ended(&pass, outcome);
                row.push(outcome);
                let since = row.iter().rposition(|it| *it == FAST).map_or(0, |at| at + 1);
                let failures = row[since..].iter().filter(|it| **it == Outcome::Failed).count();
                prop_assert_eq!(breaker.is_closed(), failures < 3);
            }
        }
    }
}

//! How often a deployment fails.

use std::{collections::VecDeque, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{ErrorKind, Idle};

/// How many failures, within which time, make an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutageRule {
    pub(crate) minor: usize,
    pub(crate) major: usize,
    pub(crate) window: Duration,
}

/// How bad an outage is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    #[default]
    None,
    Minor,
    Major,
}

/// The last failures of a deployment, no more than make a major outage.
#[derive(Debug, Default)]
pub(crate) struct Outage(Mutex<Failures>);

#[derive(Debug, Default)]
struct Failures {
    recent: VecDeque<Instant>,
    level: Level,
}

impl Outage {
    /// It failed. Returns the level that the outage has reached with that, if it is a new one.
    ///
    /// A level is reached again when there were fewer failures than make a minor outage in between.
    pub(crate) fn fail(&self, rule: &OutageRule, now: Instant) -> Option<(Level, u64)> {
        let Failures { recent, level } = &mut *self.0.lock();
        let is_over = |at: &Instant| now.saturating_duration_since(*at) >= rule.window;
        while recent.front().is_some_and(is_over) {
            recent.pop_front();
        }
        while recent.len() >= rule.major.max(1) {
            recent.pop_front();
        }
        recent.push_back(now);
        let reached = match recent.len() {
            n if n >= rule.major => Level::Major,
            n if n >= rule.minor => Level::Minor,
            _ => Level::None,
        };
        if reached == Level::None {
            *level = Level::None;
        }
        let is_new = reached > *level;
        *level = reached.max(*level);
        is_new.then_some((reached, recent.len() as u64))
    }
}

impl Idle for Outage {
    fn is_idle(&self) -> bool {
        self.0.lock().recent.is_empty()
    }
}

/// Whether a failure speaks for an outage: those that a client is told of as 408 or 5xx.
pub(crate) fn counts(kind: ErrorKind) -> bool {
    let status = kind.rule().status;
    status.is_server_error() || status == http::StatusCode::REQUEST_TIMEOUT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULE: OutageRule = OutageRule {
        minor: 5,
        major: 10,
        window: Duration::from_secs(60),
    };

    fn levels(seconds: &[u64]) -> Vec<Option<Level>> {
        let (outage, start) = (Outage::default(), Instant::now());
        let fail = |second: &u64| outage.fail(&RULE, start + Duration::from_secs(*second));
        let levels = seconds.iter().map(fail);
        levels.map(|it| it.map(|(level, _)| level)).collect()
    }

    #[test]
    fn the_fifth_failure_in_a_minute_is_a_minor_outage_and_the_tenth_a_major_one() {
        let told = levels(&(0..30).collect::<Vec<_>>());
        let told: Vec<_> = (1..)
            .zip(told)
            .filter_map(|(n, it)| Some((n, it?)))
            .collect();
        assert_eq!(told, [(5, Level::Minor), (10, Level::Major)]);
    }

    #[test]
    fn failures_that_are_far_apart_are_no_outage() {
        let seconds: Vec<_> = (0..100).map(|n| n * 15).collect();
        assert!(levels(&seconds).iter().all(Option::is_none));
    }

    #[test]
    fn after_a_quiet_time_an_outage_is_a_new_one() {
        let seconds: Vec<_> = (0..5).chain(1_000..1_005).collect();
        let told = levels(&seconds);
        assert_eq!((told[4], told[9]), (Some(Level::Minor), Some(Level::Minor)));
    }

    proptest! {
        #[test]
        fn a_level_is_told_where_a_list_of_all_failures_says_so(
            steps in prop::collection::vec(0_u64..30, 1..100),
        ) {
            let seconds: Vec<u64> = steps.iter().scan(0, |at, step| { *at += step; Some(*at) }).collect();
            let mut level = Level::None;
            let expected: Vec<_> = (0..seconds.len()).map(|last| {
                let within = seconds[..=last].iter().filter(|at| *at + 60 > seconds[last]).count();
                let reached = match within { 10.. => Level::Major, 5.. => Level::Minor, _ => Level::None };
                let is_new = reached > level;
                level = if reached == Level::None { reached } else { reached.max(level) };
                is_new.then_some(reached)
            }).collect();
            prop_assert_eq!(levels(&seconds), expected);
        }
    }
}

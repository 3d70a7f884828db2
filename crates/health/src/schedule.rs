//! Which check is next, and when.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use foldhash::fast::RandomState;
use tokio::time::Instant;
use ziggurat_core::DeploymentId;

use crate::check::Check;

/// The pause between two deployments that were never checked.
const FIRST: Duration = Duration::from_secs(1);

/// How long the list of deployments is not looked at, at most.
const LOOK: Duration = Duration::from_secs(10);

/// How far a pause differs from the mean, at most, as a part of it.
const JITTER: f64 = 0.1;

/// How long after a check began the next one may, at least, as a part of the interval.
pub(crate) const LEAST: f64 = 1.0 - JITTER;

/// When a deployment was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    at: Instant,
    /// By another instance, out of our turn.
    elsewhere: bool,
}

/// Asks for one check at a time, whichever was made the longest ago, so that each has its turn once
/// in an interval and they are spread evenly over it. A list that changes needs no new plan.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    asked: HashMap<DeploymentId, Asked, RandomState>,
    running: HashSet<DeploymentId, RandomState>,
    /// When the last check was started, and how its pause differs from the mean.
    last: Option<(Instant, f64)>,
}

impl Schedule {
    /// Starts the check that is due, or says when to ask again. `jitter` is from 0 to 1.
    pub(crate) fn next(
        &mut self,
        checks: Vec<Check>,
        interval: Duration,
        now: Instant,
        jitter: f64,
    ) -> Result<Check, Instant> {
        let count = u32::try_from(checks.len()).unwrap_or(u32::MAX).max(1);
        let look_at = now + LOOK;
        let oldest = checks
            .into_iter()
            .filter(|check| {
                !check
                    .members()
                    .iter()
                    .any(|it| self.running.contains(it.id()))
            })
            .map(|check| (self.last_asked(&check), check))
            .min_by_key(|(asked, _)| *asked);
        let Some((asked, check)) = oldest else {
            return Err(look_at);
        };
        if let Some((started, factor)) = self.last {
            let pause = interval / count;
            let pause = if asked.is_none() {
                pause.min(FIRST)
            } else {
                pause
            };
            let due = started + pause.mul_f64(factor);
            if due > now {
                return Err(due.min(look_at));
            }
        }
        if let Some(asked) = asked.filter(|asked| asked.elsewhere) {
            let due = asked.at + interval.mul_f64(LEAST);
            if due > now {
                return Err(due.min(look_at));
            }
        }
        self.last = Some((now, 1.0 + JITTER * (2.0 * jitter - 1.0)));
        for member in check.members() {
            let asked = Asked {
                at: now,
                elsewhere: false,
            };
            self.asked.insert(member.id().clone(), asked);
            self.running.insert(member.id().clone());
        }
        Ok(check)
    }

    /// When a check was last made; never, if one of its members was not part of it.
    fn last_asked(&self, check: &Check) -> Option<Asked> {
        let asked = check.members().iter().map(|it| self.asked.get(it.id()));
        asked.min().flatten().copied()
    }

    /// Another instance has asked a deployment, from then to then.
    pub(crate) fn made(&mut self, id: &DeploymentId, began: Instant, ended: Instant) {
        let before = self.asked.get(id).map(|asked| asked.at);
        if before.is_none_or(|before| before < ended) {
            let asked = Asked {
                at: before.map_or(began, |before| before.max(began)),
                elsewhere: true,
            };
            self.asked.insert(id.clone(), asked);
        }
    }

    /// A check has ended.
    pub(crate) fn done(&mut self, check: &Check) {
        for member in check.members() {
            self.running.remove(member.id());
        }
    }

    /// Forgets the deployments that are gone.
    pub(crate) fn retain(&mut self, keep: impl Fn(&DeploymentId) -> bool) {
        self.asked.retain(|id, _| keep(id));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use ziggurat_core::Deployment;

    use super::*;

    fn checks(ids: impl IntoIterator<Item = usize>) -> Vec<Check> {
        let deployment = |id: usize| {
            Arc::new(Deployment::new(
                &*format!("{id:04}"),
                "gpt",
                format!("{id}"),
            ))
        };
        let deployments: Vec<_> = ids.into_iter().map(deployment).collect();
        Check::all(deployments.iter())
    }

    /// Runs a schedule whose checks end at once, and says who was asked when, in seconds.
    fn run(
        schedule: &mut Schedule,
        ids: std::ops::Range<usize>,
        interval: Duration,
        time: std::ops::Range<f64>,
        start: Instant,
    ) -> Vec<(String, f64)> {
        let mut now = start + Duration::from_secs_f64(time.start);
        let mut seen = Vec::new();
        while (now - start).as_secs_f64() < time.end {
            match schedule.next(checks(ids.clone()), interval, now, fastrand::f64()) {
                Ok(check) => {
                    schedule.done(&check);
                    let id = check.deployment().id().to_string();
                    seen.push((id, (now - start).as_secs_f64()));
                }
                Err(at) => {
                    assert!(at > now, "it makes no loop");
                    now = at;
                }
            }
        }
        seen
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn each_has_its_turn_once_in_an_interval_and_all_are_spread_over_it(
            count in 1_usize..16,
            seconds in 1_u64..600,
            seed: u64,
        ) {
            fastrand::seed(seed);
            let interval = Duration::from_secs(seconds);
            let all = seconds as f64;
            let end = all.max(count as f64) * 5.0;
            let schedule = &mut Schedule::default();
            let seen = run(schedule, 0..count, interval, 0.0..end, Instant::now());
            let pause = all / count as f64;
            let mut firsts: Vec<_> = seen[..count.min(seen.len())].iter().map(|(id, _)| id).collect();
            firsts.dedup();
            prop_assert_eq!(firsts.len(), count, "those never asked come first");
            for pair in seen.windows(2) {
                let gap = pair[1].1 - pair[0].1;
                prop_assert!(gap >= 0.9 * pause.min(1.0) - 1e-6, "{gap} of {pause}");
                prop_assert!(gap <= 1.1 * pause + 1e-6, "{gap} of {pause}");
            }
            // After the first round, each comes after all the others.
            for turn in seen[count..].windows(count + 1) {
                prop_assert_eq!(&turn[0].0, &turn[count].0);
                let gap = turn[count].1 - turn[0].1;
                prop_assert!((0.9 * all - 1e-6..=1.1 * all + 1e-6).contains(&gap));
            }
        }
    }

    #[test]
    fn what_is_new_comes_next_and_what_is_gone_is_forgotten() {
        let (start, minute) = (Instant::now(), Duration::from_secs(60));
        let mut schedule = Schedule::default();
        run(&mut schedule, 0..3, minute, 0.0..30.0, start);
        let seen = run(&mut schedule, 1..5, minute, 30.0..35.0, start);
        let new: Vec<_> = seen.iter().map(|(id, _)| &**id).take(2).collect();
        assert_eq!(new, ["0003", "0004"]);
        schedule.retain(|id| id.as_str() > "0000");
        assert_eq!(schedule.asked.len(), 4);
    }

    #[test]
    fn who_is_being_asked_is_not_asked_again() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut schedule = Schedule::default();
        let check = schedule
            .next(checks(0..1), second, now, 0.5)
            .expect("is due");
        let later = now + 1000 * second;
        let waits = schedule.next(checks(0..1), second, later, 0.5);
        assert_eq!(waits.expect_err("runs"), later + LOOK);
        schedule.done(&check);
        assert!(schedule.next(checks(0..1), second, later, 0.5).is_ok());
    }

    #[test]
    fn where_there_is_nothing_to_ask_it_looks_again() {
        let now = Instant::now();
        let mut schedule = Schedule::default();
        let waits = schedule.next(Vec::new(), Duration::from_secs(1), now, 0.5);
        assert_eq!(waits.expect_err("is empty"), now + LOOK);
    }
}

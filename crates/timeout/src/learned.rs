//! How long the first token of a deployment usually takes, and when it is late.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use ziggurat_core::{DeploymentId, Durations, Idle, Keyed};

use crate::Adaptive;

/// So many observations say what is usual.
const ENOUGH: u32 = 20;

/// So many times the 99th percentile is late.
const FACTOR: u32 = 4;

/// No limit is longer.
const LONGEST: Duration = Duration::from_secs(300);

/// Of how many deployments the times are kept.
const DEPLOYMENTS: usize = 10_000;

/// The times of every deployment.
#[derive(Debug)]
pub(crate) struct Learned(Keyed<DeploymentId, FirstTokens>);

impl Learned {
    pub(crate) fn new() -> Self {
        Self(Keyed::new(DEPLOYMENTS))
    }

    /// Watches an attempt that begins now.
    pub(crate) fn watch(&self, id: &DeploymentId, adaptive: Adaptive, now: Instant) -> Watch {
        Watch {
            times: self.0.get_or_default(id),
            adaptive,
            began: now,
        }
    }
}

/// The times of one deployment. Answers that are thought about are late at another time than those
/// that are not.
#[derive(Debug, Default)]
struct FirstTokens {
    plain: Durations,
    reasoning: Durations,
}

impl Idle for FirstTokens {
    fn is_idle(&self) -> bool {
        self.plain.count() == 0 && self.reasoning.count() == 0
    }
}

/// One attempt at a deployment.
#[derive(Debug)]
pub(crate) struct Watch {
    times: Arc<FirstTokens>,
    adaptive: Adaptive,
    began: Instant,
}

impl Watch {
    fn times(&self) -> &Durations {
        match self.adaptive {
            Adaptive::AtLeast(_) => &self.times.plain,
            Adaptive::Learned => &self.times.reasoning,
        }
    }

    /// How long the first token may take.
    pub(crate) fn limit(&self) -> Option<Duration> {
        let times = self.times();
        let usual = (times.count() >= ENOUGH).then(|| times.quantile(0.99));
        let learned = usual.flatten().map(|usual| usual * FACTOR);
        let least = match self.adaptive {
            Adaptive::AtLeast(least) => Some(least),
            Adaptive::Learned => None,
        };
        let longer = learned.into_iter().chain(least).max()?;
        Some(longer.min(LONGEST))
    }

    /// Notes that the first token came at that time, or that nobody waited for it any longer.
    pub(crate) fn note(&self, at: Instant) {
        self.times().note(at.saturating_duration_since(self.began));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Adaptive = Adaptive::AtLeast(secs(10));

    #[test]
    fn what_is_usual_is_known_after_twenty_attempts() {
        let learned = Learned::new();
        assert_eq!(watch(&learned, Adaptive::Learned).limit(), None);
        assert_eq!(watch(&learned, TEN).limit(), Some(secs(10)));
        for number in 0..20 {
            let limit = watch(&learned, Adaptive::Learned).limit();
            assert_eq!(limit, None, "after {number}");
            took(&watch(&learned, Adaptive::Learned), secs(8));
        }
        let limit = watch(&learned, Adaptive::Learned).limit();
        let limit = limit.expect("is known").as_secs_f64();
        assert!((32.0..=32.0 * 1.2).contains(&limit), "{limit}");
        // Answers that are not thought about are another matter.
        assert_eq!(watch(&learned, TEN).limit(), Some(secs(10)));
    }

    #[test]
    fn a_fast_deployment_keeps_the_least_and_a_slow_one_gets_more_up_to_five_minutes() {
        for (usual, least, most) in [(1, 10, 10), (4, 16, 20), (200, 300, 300)] {
            let learned = Learned::new();
            (0..20).for_each(|_| took(&watch(&learned, TEN), secs(usual)));
            let limit = watch(&learned, TEN).limit().expect("has one");
            assert!(
                (secs(least)..=secs(most)).contains(&limit),
                "{limit:?} for {usual} s"
            );
        }
        let long = Adaptive::AtLeast(secs(4000));
        assert_eq!(watch(&Learned::new(), long).limit(), Some(secs(300)));
    }

    #[test]
    fn a_model_that_really_is_slow_is_cut_a_few_times_and_then_gets_its_time() {
        let learned = Learned::new();
        let (really, mut cut) = (secs(100), 0);
        for _ in 0..100 {
            let attempt = watch(&learned, TEN);
            let limit = attempt.limit().expect("has one");
            cut += u32::from(limit < really);
            took(&attempt, limit.min(really));
        }
        assert!((20..=22).contains(&cut), "{cut} times");
    }

    fn watch(learned: &Learned, adaptive: Adaptive) -> Watch {
        learned.watch(&DeploymentId::new("a"), adaptive, Instant::now())
    }

    fn took(attempt: &Watch, time: Duration) {
        attempt.note(attempt.began + time);
    }

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }
}

//! What the balancer measures of deployments for strategies.

mod health;
mod latencies;
mod means;
mod peak;
mod quota;
mod track;

use tokio::time::Instant;
use ziggurat_core::{ProviderLimits, Usage};

pub use self::track::{Awaits, Track};
pub(crate) use self::{
    health::{Failure, Health},
    latencies::{Latencies, STALE, Summary},
    means::Means,
    peak::Peak,
    quota::Headroom,
};
use crate::cells::Clock;

/// From when on an attempt that its caller has left, without an answer, speaks against the
/// deployment: in seconds.
const LONG_WAIT: f32 = 10.0;

/// What is measured of one deployment only if a strategy asks for it.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) latencies: Latencies,
    pub(crate) peak: Peak,
    pub(crate) means: Means,
    pub(crate) headroom: Headroom,
}

/// How long an attempt took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    /// Seconds until the answer began, if it did.
    pub(crate) first: Option<f32>,
    /// Seconds until it was over.
    pub(crate) whole: f32,
    /// Whether the answer came in one piece.
    pub(crate) in_one: bool,
}

impl Gauges {
    /// An answer came to its end.
    pub(crate) fn complete(&self, track: &Track, took: Took, usage: Option<&Usage>, now: u64) {
        let output = usage.map_or(0, |usage| usage.output);
        let (kind, seconds) = match took.first {
            Some(first) if !took.in_one => (Awaits::FirstToken, first),
            _ if output > 0 => (Awaits::Tokens, took.whole / output as f32),
            _ => (Awaits::Answer, took.whole),
        };
        self.latencies.add(track, kind, seconds, now);
        self.peak
            .observe(track, took.first.unwrap_or(took.whole), now);
        if let Some(usage) = usage
            && track.has_output()
        {
            self.means.add(usage);
        }
    }

    /// It failed, and the deployment is to blame.
    pub(crate) fn fail(&self, track: &Track, took: Took, failure: &Failure, now: u64) {
        self.latencies.fail(track, now);
        let rest = failure.rest() as f32 / 1_000.0;
        let penalty = track.penalty().max(rest);
        self.peak.observe(track, took.whole.max(penalty), now);
    }

    /// The caller went away.
    pub(crate) fn abandon(&self, track: &Track, took: Took, now: u64) {
        match took.first {
            Some(first) => {
                self.latencies.add(track, Awaits::FirstToken, first, now);
                self.peak.observe(track, first, now);
            }
            None if took.whole >= LONG_WAIT => {
                self.latencies.fail(track, now);
                self.peak.observe(track, took.whole, now);
            }
            None => {}
        }
    }

    /// Forgets all of it.
    pub(crate) fn reset(&self) {
        self.latencies.reset();
        self.peak.reset();
        self.means.reset();
        self.headroom.reset();
    }

    pub(crate) fn limits(&self, limits: &ProviderLimits, clock: Clock, now: Instant) {
        let tokens = self.means.total().unwrap_or(0.0);
        self.headroom.set(limits, tokens, clock, now);
    }
}

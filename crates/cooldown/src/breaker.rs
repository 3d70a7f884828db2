//! The state machine of one deployment: closed, resting, half open.
//!
//! The pattern is Michael Nygard's circuit breaker (*Release It!*, 2007), with one probe at a time.

use std::time::Duration;

use tokio::time::Instant;
use ziggurat_core::{Cooling, ErrorKind};

use crate::{CooldownPolicy, window::Window};

/// What a refusal during a probe says about when to come back: when a probe ends is not known, and
/// asking again costs little.
pub(crate) const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// How many times as long as the one before a rest is that follows a failed probe. With twice, an
/// always failing target would be asked six times in its first minute.
const GROWTH: u32 = 4;

/// How many times as long as the first one a rest can be.
const MAX_GROWTH: u32 = 8;

/// Whether a deployment serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It serves.
    Closed,
    /// It takes nothing.
    Resting {
        /// When the rest ends.
        until: Instant,
        /// The failure it rests for.
        because: ErrorKind,
    },
    /// Its rest is over; one request at a time goes through until one succeeds.
    HalfOpen {
        /// The failure it rested for.
        because: ErrorKind,
    },
}

/// How a request got through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Ordinary,
    /// As the probe of that number.
    Probe(u64),
}

/// Why a request did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) retry_at: Instant,
    pub(crate) because: ErrorKind,
}

/// A failed attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) retry_after: Option<Duration>,
}

/// A rest that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) until: Instant,
    pub(crate) because: ErrorKind,
}

impl Rest {
    pub(crate) fn new(because: ErrorKind, length: Duration, now: Instant) -> Self {
        Self {
            until: after(now, length),
            because,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Breaker {
    phase: Phase,
    /// Failures since the last success.
    in_a_row: u32,
    window: Window,
    /// How many times its cooldown time the last rest was; zero if there was none.
    growth: u32,
    /// The number of the last probe.
    probe: u64,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Resting(Rest),
    HalfOpen {
        because: ErrorKind,
        /// When the next probe may go: a probe that takes longer than a rest keeps no other away.
        next_probe: Instant,
    },
}

impl Breaker {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Closed,
            in_a_row: 0,
            window: Window::new(now),
            growth: 0,
            probe: 0,
        }
    }

    /// Forgets everything but the number of the last probe, which may still run.
    pub(crate) fn reset(&mut self, now: Instant) {
        *self = Self {
            probe: self.probe,
            ..Self::new(now)
        };
    }

    pub(crate) fn state(&self, now: Instant) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Resting(Rest { until, because }) if now < until => {
                State::Resting { until, because }
            }
            Phase::Resting(Rest { because, .. }) | Phase::HalfOpen { because, .. } => {
                State::HalfOpen { because }
            }
        }
    }

    /// Whether a new one would do the same.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Closed)
            && self.in_a_row == 0
            && self.window.counts().failures == 0
    }

    /// Lets a request through or not. `time` is the deployment's cooldown time.
    pub(crate) fn admit(&mut self, time: Duration, now: Instant) -> Result<Admission, Refusal> {
        let (because, free_at) = match self.phase {
            Phase::Closed => return Ok(Admission::Ordinary),
            Phase::Resting(Rest { until, because }) if now < until => {
                return Err(Refusal {
                    retry_at: until,
                    because,
                });
            }
            Phase::Resting(Rest { because, .. }) => (because, now),
            Phase::HalfOpen {
                because,
                next_probe,
            } => (because, next_probe),
        };
        if now < free_at {
            return Err(Refusal {
                retry_at: free_at.min(now + PROBE_PAUSE),
                because,
            });
        }
        self.phase = Phase::HalfOpen {
            because,
            next_probe: after(now, time),
        };
        self.probe += 1;
        Ok(Admission::Probe(self.probe))
    }

    /// Notes an answer that came to its end. Returns whether the deployment is back.
    ///
    /// What was admitted before a rest says nothing about the time after it.
    pub(crate) fn success(
        &mut self,
        admission: Admission,
        policy: &CooldownPolicy,
        now: Instant,
    ) -> bool {
        match (self.phase, admission) {
            (Phase::Closed, _) => {
                self.in_a_row = 0;
                self.growth = 0;
                self.window.success(policy.window, now);
                false
            }
            (Phase::HalfOpen { .. }, Admission::Probe(_)) => {
                self.reset(now);
                true
            }
            _ => false,
        }
    }

    /// Notes a failure. Returns the rest that is due, which begins with [`rest`](Self::rest).
    pub(crate) fn failure(
        &mut self,
        failure: Failure,
        admission: Admission,
        policy: &CooldownPolicy,
        time: Duration,
        now: Instant,
    ) -> Option<Rest> {
        let at_once = match failure.kind.rule().cooling {
            Cooling::AtOnce => true,
            Cooling::Counted => false,
            _ => {
                self.abandon(admission, now);
                return None;
            }
        };
        let due = match (self.phase, admission) {
            (Phase::Closed, _) => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.window.failure(policy.window, now);
                let counts = self.window.counts();
                at_once
                    || self.in_a_row > policy.allowed_fails
                    || counts.exceed(policy.share, policy.min_requests)
            }
            (Phase::HalfOpen { .. }, Admission::Probe(_)) => {
                self.growth = self.growth.saturating_mul(GROWTH).min(MAX_GROWTH);
                true
            }
            _ => at_once,
        };
        due.then(|| {
            let own = time.saturating_mul(self.growth.max(1));
            let asked = failure
                .retry_after
                .map(|time| time.min(policy.max_retry_after));
            let length = match (failure.kind, asked) {
                (_, None) => own,
                (ErrorKind::RateLimited, Some(asked)) => asked,
                (_, Some(asked)) => own.max(asked),
            };
            Rest::new(failure.kind, length, now)
        })
    }

    /// Begins a rest, or lengthens the one that runs. Returns whether it has begun.
    pub(crate) fn rest(&mut self, rest: Rest) -> bool {
        match self.phase {
            Phase::Resting(runs) => {
                if runs.until < rest.until {
                    self.phase = Phase::Resting(rest);
                }
                false
            }
            Phase::Closed | Phase::HalfOpen { .. } => {
                self.phase = Phase::Resting(rest);
                self.growth = self.growth.max(1);
                true
            }
        }
    }

    /// Begins no rest, although one is due: nobody else would serve. Failures go on counting.
    pub(crate) fn spare(&mut self) {
        if matches!(self.phase, Phase::HalfOpen { .. }) {
            self.phase = Phase::Closed;
        }
    }

    /// Nothing is known of how a request ended: a probe makes room for another.
    pub(crate) fn abandon(&mut self, admission: Admission, now: Instant) {
        if let Phase::HalfOpen { next_probe, .. } = &mut self.phase
            && admission == Admission::Probe(self.probe)
        {
            *next_probe = now;
        }
    }
}

/// That long after now; a time that cannot be told is a century.
fn after(now: Instant, time: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
    now + time.min(CENTURY)
}

#[cfg(test)]
mod tests;

//! The state machine of one deployment: closed, resting, half open.
//!
//! The pattern is Michael Nygard's circuit breaker (*Release It!*, 2007), with one probe at a time.

use std::time::Duration;

use tokio::time::Instant;
use ziggurat_core::{Blame, ErrorKind};

use crate::{CooldownPolicy, Health, State, allowance::Allowance, tally::Tally};

/// What a refusal during a probe says about when to come back: when a probe ends is not known, and
/// asking again costs little.
pub(crate) const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// How many times as long as the one before a rest is that follows a failed probe. With twice, an
/// always failing target would be asked six times in its first minute.
const GROWTH: u32 = 4;

/// How many times as long as the first one a rest can be.
pub(crate) const MAX_GROWTH: u32 = 8;

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
    pub(crate) blame: Blame,
}

/// A failed attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) blame: Blame,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) allowance: Allowance,
}

/// A rest that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rest {
    pub(crate) until: Instant,
    pub(crate) because: ErrorKind,
    /// Whom else it concerns.
    pub(crate) blame: Blame,
    /// How many times the cooldown time it was made of; it goes on to whom else it concerns.
    pub(crate) growth: u32,
}

impl Rest {
    pub(crate) fn refusal(self, retry_at: Instant) -> Refusal {
        Refusal {
            retry_at,
            because: self.because,
            blame: self.blame,
        }
    }
}

/// What a rest that was due did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Began,
    Lengthened,
    /// One that lasts as long runs already.
    Nothing,
}

#[derive(Debug)]
pub(crate) struct Breaker {
    phase: Phase,
    tally: Tally,
    /// How many rests began since it last served well.
    rests: u32,
    /// How many times its cooldown time the last rest was; zero if there was none.
    growth: u32,
    /// The number of the last probe.
    probe: u64,
    /// When a probe brought it back, if it has served since.
    back_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Resting(Rest),
    HalfOpen {
        rest: Rest,
        /// When the next probe may go: a probe that takes longer than a rest keeps no other away.
        next_probe: Instant,
    },
}

impl Breaker {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Closed,
            tally: Tally::new(now),
            rests: 0,
            growth: 0,
            probe: 0,
            back_since: None,
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
            Phase::Resting(Rest { until, because, .. }) if now < until => {
                State::Resting { until, because }
            }
            Phase::Resting(Rest { because, .. })
            | Phase::HalfOpen {
                rest: Rest { because, .. },
                ..
            } => State::HalfOpen { because },
        }
    }

    pub(crate) fn health(&self, now: Instant) -> Health {
        Health {
            state: self.state(now),
            failures: self.tally.failures(),
            rests: self.rests,
            back_since: self.back_since,
        }
    }

    pub(crate) fn back_since(&self) -> Option<Instant> {
        self.back_since
    }

    /// The rest that runs.
    pub(crate) fn runs(&self, now: Instant) -> Option<Rest> {
        match self.phase {
            Phase::Resting(rest) if now < rest.until => Some(rest),
            _ => None,
        }
    }

    /// The rest that is over, while it is half open.
    pub(crate) fn ended(&self, now: Instant) -> Option<Rest> {
        match self.phase {
            Phase::Resting(rest) if rest.until <= now => Some(rest),
            Phase::HalfOpen { rest, .. } => Some(rest),
            _ => None,
        }
    }

    /// Whether a new one would do the same. That it has been back for a while is not missed.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Closed) && self.tally.is_idle()
    }

    /// Lets a request through or not. `time` is the deployment's cooldown time.
    pub(crate) fn admit(&mut self, time: Duration, now: Instant) -> Result<Admission, Refusal> {
        let (rest, free_at) = match self.phase {
            Phase::Closed => return Ok(Admission::Ordinary),
            Phase::Resting(rest) if now < rest.until => return Err(rest.refusal(rest.until)),
            Phase::Resting(rest) => (rest, now),
            Phase::HalfOpen { rest, next_probe } => (rest, next_probe),
        };
        if now < free_at {
            return Err(rest.refusal(free_at.min(now + PROBE_PAUSE)));
        }
        self.phase = Phase::HalfOpen {
            rest,
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
                self.rests = 0;
                self.growth = 0;
                self.tally.success(policy, now);
                false
            }
            (Phase::HalfOpen { .. }, Admission::Probe(_)) => {
                self.reset(now);
                self.back_since = Some(now);
                true
            }
            _ => false,
        }
    }

    /// Notes that a probe of another instance succeeded. Returns whether that brought it back.
    ///
    /// It is as good as a probe of our own, and if each instance made one, a provider that recovers
    /// would get as many at once. What rests here still rests for a reason that came later: the
    /// rest that the other one probed after was over everywhere.
    pub(crate) fn back(&mut self, now: Instant) -> bool {
        let was_over = self.ended(now).is_some();
        if was_over {
            self.reset(now);
            self.back_since = Some(now);
        }
        was_over
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
        if failure.allowance == Allowance::Nothing {
            self.abandon(admission, now);
            return None;
        }
        let due = match (self.phase, admission) {
            (Phase::Closed, _) => self.tally.failure(failure.allowance, policy, now),
            (Phase::HalfOpen { .. }, Admission::Probe(_)) => {
                self.tally.note();
                self.growth = self.growth.saturating_mul(GROWTH).min(MAX_GROWTH);
                true
            }
            _ => {
                self.tally.note();
                failure.allowance == Allowance::AtOnce
            }
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
            Rest {
                until: after(now, length),
                because: failure.kind,
                blame: failure.blame,
                growth: self.growth,
            }
        })
    }

    /// Begins a rest, or lengthens the one that runs; what runs is never shortened.
    pub(crate) fn rest(&mut self, rest: Rest, now: Instant) -> Effect {
        match self.runs(now) {
            Some(runs) if rest.until <= runs.until => return Effect::Nothing,
            Some(_) => {
                self.phase = Phase::Resting(rest);
                return Effect::Lengthened;
            }
            None => {}
        }
        self.phase = Phase::Resting(rest);
        self.rests = self.rests.saturating_add(1);
        self.growth = self.growth.max(rest.growth).max(1);
        self.back_since = None;
        Effect::Began
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

//! Whether a failed request is tried again, and after how long.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use ziggurat_core::{
    Blame, Clock, Cooling, Deployment, Error, ErrorKind, Ledger, Reason, Rejection, Retry,
};

use crate::{Retries, policy::Count, settings::Settings};

/// A failure that took that long is not repeated where another group could answer.
const SLOW: Duration = Duration::from_secs(10);

/// How often one request waits for a deployment to come back.
const MAX_RESTS: u32 = 16;

/// What a decision depends on besides the failure.
pub(crate) struct Moment<'a> {
    pub(crate) settings: &'a Settings,
    /// What the request says itself.
    pub(crate) asked: Retries,
    pub(crate) ledger: Option<&'a Ledger>,
    pub(crate) now: Instant,
    /// A random number from 0 to 1.
    pub(crate) jitter: f64,
}

/// The tries of one request.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    deposited: bool,
    retries: u32,
    rests: u32,
    rested: Duration,
    /// How many attempts the request had left before the first one that failed here.
    attempts: Option<u32>,
    /// The failure to report if there is no answer.
    cause: Option<Error>,
    /// What a retry follows, between the decision for it and its dispatch.
    follows: Option<ErrorKind>,
    /// Where every retry goes, below the balancer.
    deployment: Option<Arc<Deployment>>,
}

/// What comes after a failure.
enum Next {
    /// Another deployment, at once: this one's credential is dead, which is no retry.
    Skip,
    /// A retry after a pause.
    Retry(Duration),
}

impl Tries {
    /// Says that an attempt was dispatched: the first one is a deposit.
    pub(crate) fn dispatched(&mut self, settings: &Settings) {
        if !std::mem::replace(&mut self.deposited, true) {
            settings.budget.deposit();
        }
    }

    /// How long to wait before another try, or the error to give up with.
    pub(crate) fn failed(&mut self, error: Error, moment: &Moment<'_>) -> Result<Duration, Error> {
        if refused(&error) {
            let rest = error.rejection().and_then(|why| self.rest(why, moment));
            return rest.ok_or_else(|| self.give_up(error));
        }
        self.dispatched(moment.settings);
        let pause = match self.next(&error, moment) {
            None => return Err(self.give_up(error)),
            Some(Next::Skip) => Duration::ZERO,
            Some(Next::Retry(pause)) => {
                self.retries += 1;
                self.follows = Some(error.kind());
                self.deployment = moment.asked.bound().cloned();
                pause
            }
        };
        self.cause = Some(original(self.cause.take(), error));
        Ok(pause)
    }

    /// The error to report: a refusal does not hide why an earlier attempt failed.
    pub(crate) fn give_up(&mut self, error: Error) -> Error {
        match self.cause.take() {
            Some(cause) if refused(&error) => cause,
            cause => original(cause, error),
        }
    }

    /// Enters a retry into the ledger, right before its dispatch.
    ///
    /// The balancer charges the attempts that it dispatches. Below it one charge covers what comes
    /// last, so the failure that this retry follows is charged here.
    pub(crate) fn start(&mut self, ledger: Option<&Ledger>) -> Result<(), Error> {
        let (Some(kind), Some(ledger)) = (self.follows.take(), ledger) else {
            return Ok(());
        };
        if let Some(deployment) = &self.deployment {
            match ledger.attempt(deployment) {
                Ok(attempt) => attempt.fail(&Error::new(kind, "failed")),
                Err(error) => return Err(self.give_up(error)),
            }
        }
        ledger.note_retry();
        Ok(())
    }

    /// What comes next, if something does.
    fn next(&mut self, error: &Error, moment: &Moment<'_>) -> Option<Next> {
        let Moment {
            settings,
            asked,
            ledger,
            now,
            ..
        } = moment;
        let kind = error.kind();
        let count = settings.count(kind, asked);
        let place = place(error, count);
        let reserve = ledger.map_or(0, |ledger| self.reserve(ledger));
        let in_time = |at: Instant| ledger.is_none_or(|ledger| ledger.allows(at));
        let wants_none = (asked.own().find(kind)).is_some_and(|own| own.retries == 0);
        if place == Retry::Never || wants_none || !in_time(*now) {
            return None;
        }
        let group = ledger.filter(|ledger| asked.bound().is_none() && ledger.untried() > 0);
        if is_dead(error) && group.is_some_and(Ledger::forgive) {
            return Some(Next::Skip);
        }
        if ledger.is_some_and(|ledger| ledger.attempts_left() <= reserve) {
            return None;
        }
        let used_up = self.retries >= count.retries;
        if let Some(group) = group {
            let goes_on = asked.fails_over()
                && (settings.failover || group.has_tiers())
                && kind.rule().retry != Retry::Never;
            if (!used_up || goes_on) && settings.budget.withdraw() {
                return Some(Next::Retry(Duration::ZERO));
            }
        }
        if used_up || place != Retry::Anywhere {
            return None;
        }
        let pause = self.pause(error, moment)?;
        let at = now.checked_add(pause)?;
        // Who comes back when the quota's owner says adds no load that was not asked for.
        let is_paced = kind == ErrorKind::RateLimited
            && error.retry_after().is_some_and(|asked| !asked.is_zero());
        let pays = || is_paced || (group.is_none() && settings.budget.withdraw());
        (in_time(at) && pays()).then_some(Next::Retry(pause))
    }

    /// How many attempts stay with the groups that could still be asked: one with each, but no more
    /// than half of what there was for this one.
    fn reserve(&mut self, ledger: &Ledger) -> u32 {
        let left = || ledger.attempts_left().saturating_add(1);
        let before = *self.attempts.get_or_insert_with(left);
        ledger.fallbacks_left().min(before / 2)
    }

    /// The pause before the deployment that failed is asked again.
    fn pause(&self, error: &Error, moment: &Moment<'_>) -> Option<Duration> {
        let asked = error.retry_after();
        if let Some(ledger) = moment.ledger.filter(|ledger| ledger.fallbacks_left() > 0) {
            // Another group answers sooner, unless this one says that it is back in a moment.
            let is_brief = self.retries == 0
                && asked.is_some_and(|asked| asked <= moment.settings.wait_before_fallback);
            let rests = asked.is_some() || error.kind().rule().cooling == Cooling::AtOnce;
            if (rests && !is_brief) || last_took(ledger, moment.now) >= SLOW {
                return None;
            }
        }
        let asked = asked.unwrap_or_default();
        let pause = moment.settings.backoff(self.retries, moment.jitter);
        (asked <= moment.settings.max_wait).then(|| pause.max(asked))
    }

    /// The wait for the first deployment that comes back, if it is worth it.
    fn rest(&mut self, why: &Rejection, moment: &Moment<'_>) -> Option<Duration> {
        let resting = match why.reason() {
            Reason::Cooldown => true,
            Reason::NoCandidate => why.cause().is_some(),
            _ => false,
        };
        // Below the balancer there is nothing to wait for: it goes on to the next deployment.
        if !resting || self.rests >= MAX_RESTS || moment.asked.bound().is_some() {
            return None;
        }
        // Who waited in vain, because a probe was let through and others were not, spreads wider.
        let spread = Duration::from_millis(4 << self.rests.min(8)).mul_f64(moment.jitter);
        let wait = why.ends_at()?.saturating_duration_since(moment.now) + spread;
        let at = moment.now.checked_add(wait)?;
        let rested = self.rested.saturating_add(wait);
        let worth_it = |ledger: &Ledger| {
            ledger.fallbacks_left() == 0 && ledger.attempts_left() > 0 && ledger.allows(at)
        };
        if rested > moment.settings.max_wait || !moment.ledger.is_none_or(worth_it) {
            return None;
        }
        self.rests += 1;
        self.rested = rested;
        Some(wait)
    }
}

/// How long the last attempt ran.
fn last_took(ledger: &Ledger, now: Instant) -> Duration {
    ledger.with_trail(|trail| {
        let last = trail.entries().last();
        last.map_or(Duration::ZERO, |last| {
            now.saturating_duration_since(last.began())
        })
    })
}

/// Where a failure may be tried again: what the table says, but that a count for this very kind is
/// carried out.
fn place(error: &Error, count: Count) -> Retry {
    use ErrorKind::{Budget, Cancelled, Rejected, Timeout};
    let kind = error.kind();
    match kind.rule().retry {
        Retry::Never if count.is_of_kind && count.retries > 0 && !error.is_final() => match kind {
            Budget | Cancelled | Rejected | Timeout(Clock::Total) => Retry::Never,
            _ => Retry::Anywhere,
        },
        place if error.is_replayable() => place,
        _ => Retry::Never,
    }
}

/// Whether nothing was sent: a layer refused, or the deadline had passed.
fn refused(error: &Error) -> bool {
    error.rejection().is_some() || error.kind() == ErrorKind::Timeout(Clock::Total)
}

/// Whether it speaks against a credential alone.
fn is_dead(error: &Error) -> bool {
    error.scope() == Blame::Credential
}

/// Whether every deployment would say the same.
fn is_of_request(error: &Error) -> bool {
    let rule = error.kind().rule();
    rule.blame == Blame::Request && rule.retry == Retry::Never
}

/// Which of two failures to report: the first, with the shorter of their waits, unless that one
/// tells of nothing but a dead credential, or the other one tells what is wrong with the request.
fn original(first: Option<Error>, error: Error) -> Error {
    let mut first = match first {
        Some(first) if is_dead(&first) && !is_dead(&error) => return error,
        Some(first) if is_of_request(&first) || !is_of_request(&error) => first,
        _ => return error,
    };
    if let (Some(known), Some(asked)) = (first.retry_after(), error.retry_after())
        && asked < known
    {
        first = first.with_retry_after(asked);
    }
    if error.is_final() {
        first = first.with_replayable(false);
    }
    first
}

#[cfg(test)]
mod tests;

//! Whether a failed request is tried again, and after how long.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tower::retry::budget::Budget;
use ziggurat_core::{
    Clock, Cooling, Deployment, Error, ErrorKind, Ledger, Reason, Rejection, Retry,
};

use crate::{Retries, RetryBudget};

const DEFAULT_RETRIES: u32 = 2;

/// How often one request waits for a deployment to come back.
const MAX_RESTS: u32 = 16;

/// What a layer's services share.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) retries: Retries,
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
    pub(crate) floor: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) budget: Arc<dyn Budget + Send + Sync>,
}

impl Policy {
    pub(crate) fn new() -> Self {
        Self {
            retries: Retries::new(DEFAULT_RETRIES),
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            floor: Duration::ZERO,
            max_wait: Duration::from_secs(60),
            budget: Arc::new(RetryBudget::default()),
        }
    }

    /// Exponential back-off with full jitter: anything between nothing and a ceiling that doubles
    /// with each retry (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    fn backoff(&self, retries: u32, jitter: f64) -> Duration {
        let doubled = self.base.saturating_mul(1 << retries.min(31));
        doubled.min(self.cap).mul_f64(jitter).max(self.floor)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("retries", &self.retries)
            .field("base", &self.base)
            .field("cap", &self.cap)
            .field("floor", &self.floor)
            .field("max_wait", &self.max_wait)
            .finish_non_exhaustive()
    }
}

/// What a decision depends on besides the failure.
pub(crate) struct Moment<'a> {
    pub(crate) policy: &'a Policy,
    /// What the request says itself.
    pub(crate) setting: Retries,
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
    /// The last failure of something that was sent.
    cause: Option<Error>,
    /// Set between the decision for a retry and its dispatch.
    retrying: bool,
    /// Where every retry goes, below the balancer.
    deployment: Option<Arc<Deployment>>,
}

impl Tries {
    /// Says that an attempt was dispatched: the first one is a deposit.
    pub(crate) fn dispatched(&mut self, policy: &Policy) {
        if !std::mem::replace(&mut self.deposited, true) {
            policy.budget.deposit();
        }
    }

    /// How long to wait before another try, or the error to give up with.
    pub(crate) fn failed(&mut self, error: Error, moment: &Moment<'_>) -> Result<Duration, Error> {
        if refused(&error) {
            let rest = error.rejection().and_then(|why| self.rest(why, moment));
            return rest.ok_or_else(|| self.give_up(error));
        }
        self.dispatched(moment.policy);
        let Some(pause) = self.retry(&error, moment) else {
            return Err(error);
        };
        self.retries += 1;
        self.retrying = true;
        self.deployment = moment.setting.deployment().cloned();
        self.cause = Some(error);
        Ok(pause)
    }

    /// The error to report: a refusal does not hide why an earlier attempt failed.
    pub(crate) fn give_up(&mut self, error: Error) -> Error {
        match self.cause.take() {
            Some(cause) if refused(&error) => cause,
            _ => error,
        }
    }

    /// Enters a retry into the ledger, right before its dispatch.
    ///
    /// The balancer charges the attempts that it dispatches. Below it one charge covers what comes
    /// last, so the failure that this retry follows is charged here.
    pub(crate) fn start(&mut self, ledger: Option<&Ledger>) -> Result<(), Error> {
        if !std::mem::take(&mut self.retrying) {
            return Ok(());
        }
        let Some(ledger) = ledger else {
            return Ok(());
        };
        if let (Some(deployment), Some(cause)) = (&self.deployment, &self.cause) {
            match ledger.attempt(deployment) {
                Ok(attempt) => attempt.fail(cause),
                Err(error) => return Err(self.give_up(error)),
            }
        }
        ledger.note_retry();
        Ok(())
    }

    /// The pause before a retry, if there may be one.
    fn retry(&self, error: &Error, moment: &Moment<'_>) -> Option<Duration> {
        let Moment {
            policy,
            setting,
            ledger,
            now,
            ..
        } = moment;
        let kind = error.kind();
        let allowed = setting.get(kind).or_else(|| policy.retries.get(kind));
        if self.retries >= allowed.unwrap_or(DEFAULT_RETRIES)
            || !error.is_replayable()
            || ledger.is_some_and(|ledger| ledger.attempts_left() == 0)
        {
            return None;
        }
        let elsewhere =
            setting.deployment().is_none() && ledger.is_some_and(|ledger| ledger.untried() > 0);
        let pause = match kind.rule().retry {
            Retry::Anywhere | Retry::Elsewhere if elsewhere => Duration::ZERO,
            Retry::Anywhere => self.pause(error, moment)?,
            _ => return None,
        };
        let at = now.checked_add(pause)?;
        let in_time = ledger.is_none_or(|ledger| ledger.allows(at));
        (in_time && policy.budget.withdraw()).then_some(pause)
    }

    /// The pause before the deployment that failed is asked again.
    fn pause(&self, error: &Error, moment: &Moment<'_>) -> Option<Duration> {
        let asked = error.retry_after();
        let rests = asked.is_some() || error.kind().rule().cooling == Cooling::AtOnce;
        if rests
            && moment
                .ledger
                .is_some_and(|ledger| ledger.fallbacks_left() > 0)
        {
            // Another group answers sooner than this one comes back.
            return None;
        }
        let asked = asked.unwrap_or_default();
        let pause = moment.policy.backoff(self.retries, moment.jitter);
        (asked <= moment.policy.max_wait).then(|| pause.max(asked))
    }

    /// The wait for the first deployment that comes back, if it is worth it.
    fn rest(&mut self, why: &Rejection, moment: &Moment<'_>) -> Option<Duration> {
        let resting = match why.reason() {
            Reason::Cooldown => true,
            Reason::NoCandidate => why.cause().is_some(),
            _ => false,
        };
        // Below the balancer there is nothing to wait for: it goes on to the next deployment.
        if !resting || self.rests >= MAX_RESTS || moment.setting.deployment().is_some() {
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
        if rested > moment.policy.max_wait || !moment.ledger.is_none_or(worth_it) {
            return None;
        }
        self.rests += 1;
        self.rested = rested;
        Some(wait)
    }
}

/// Whether nothing was sent: a layer refused, or the deadline had passed.
fn refused(error: &Error) -> bool {
    error.rejection().is_some() || error.kind() == ErrorKind::Timeout(Clock::Total)
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{HasLedger, LlmRequest, Scope};

    use super::*;

    struct Case {
        policy: Policy,
        ledger: Ledger,
        tries: Tries,
        now: Instant,
        jitter: f64,
    }

    fn case() -> Case {
        let request = LlmRequest::chat("gpt", "hi");
        Case {
            policy: Policy::new(),
            ledger: request.ledger().expect("has one").clone(),
            tries: Tries::default(),
            now: Instant::now(),
            jitter: 1.0,
        }
    }

    impl Case {
        fn retries(mut self, retries: u32) -> Self {
            self.policy.retries = Retries::new(retries);
            self
        }

        fn failed(&mut self, error: Error) -> Result<Duration, Error> {
            self.failed_with(error, Retries::default())
        }

        fn failed_with(&mut self, error: Error, setting: Retries) -> Result<Duration, Error> {
            let moment = Moment {
                policy: &self.policy,
                setting,
                ledger: Some(&self.ledger),
                now: self.now,
                jitter: self.jitter,
            };
            self.tries.failed(error, &moment)
        }
    }

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "failed")
    }

    fn resting(until: Instant) -> Error {
        let why = Rejection::new(Reason::Cooldown, Scope::Deployment).retry_at(until);
        Error::rejected(why, "rests")
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn every_kind_follows_its_row_of_the_table() {
        for kind in ErrorKind::ALL {
            for untried in [0, 1] {
                let mut case = case();
                case.ledger.set_untried(untried);
                let pause = case.failed(error(kind)).ok();
                let expected = match (kind.rule().retry, untried) {
                    (Retry::Never, _) | (Retry::Elsewhere, 0) => None,
                    (_, 1) => Some(Duration::ZERO),
                    _ => Some(SECOND / 2),
                };
                assert_eq!(pause, expected, "{kind}, {untried} untried");
            }
        }
    }

    #[test]
    fn the_ceiling_of_the_back_off_doubles_to_its_cap_and_the_floor_holds() {
        let policy = Policy::new();
        let ceilings = [0, 1, 3, 4, 5, 40].map(|retries| policy.backoff(retries, 1.0));
        let millis = [500, 1000, 4000, 8000, 8000, 8000];
        assert_eq!(ceilings, millis.map(Duration::from_millis));
        assert_eq!(policy.backoff(3, 0.0), Duration::ZERO);
        let policy = Policy {
            floor: 3 * SECOND,
            ..policy
        };
        assert_eq!(policy.backoff(0, 1.0), 3 * SECOND);
        assert_eq!(policy.backoff(3, 1.0), 4 * SECOND);
    }

    #[test]
    fn a_kinds_own_number_counts_and_the_requests_number_before_it() {
        let mut case = case();
        case.policy.retries = Retries::new(0).of_kind(ErrorKind::Internal, 1);
        assert!(case.failed(error(ErrorKind::Overloaded)).is_err());
        assert!(case.failed(error(ErrorKind::Internal)).is_ok());
        assert!(case.failed(error(ErrorKind::Internal)).is_err());
        let own = Retries::new(2);
        assert!(case.failed_with(error(ErrorKind::Internal), own).is_ok());
    }

    #[test]
    fn what_must_not_be_sent_twice_is_not() {
        let error = error(ErrorKind::Internal).with_replayable(false);
        assert!(case().failed(error).is_err());
    }

    #[test]
    fn without_attempts_left_there_is_no_retry_and_no_wait() {
        let mut case = case();
        case.ledger.set_attempts(0);
        assert!(case.failed(error(ErrorKind::Internal)).is_err());
        assert!(case.failed(resting(case.now + SECOND)).is_err());
    }

    #[test]
    fn an_exhausted_budget_gives_the_error_back_at_once() {
        let mut case = case();
        case.policy.budget = Arc::new(RetryBudget::new(0, 0));
        let error = case.failed(error(ErrorKind::Overloaded));
        assert_eq!(error.expect_err("no retry").kind(), ErrorKind::Overloaded);
    }

    #[test]
    fn a_throttled_group_is_left_for_a_fallback_and_not_waited_for() {
        let mut case = case();
        case.ledger.set_fallbacks_left(1);
        assert!(case.failed(error(ErrorKind::RateLimited)).is_err());
        assert!(case.failed(resting(case.now + SECOND)).is_err());
        let overloaded = error(ErrorKind::Overloaded);
        assert!(case.failed(overloaded).is_ok(), "a blip is tried again");
    }

    #[test]
    fn waits_for_resting_deployments_are_bounded_in_number_and_in_sum() {
        let mut case = case();
        let waits = std::iter::from_fn(|| case.failed(resting(case.now)).ok()).count();
        assert_eq!(waits as u32, MAX_RESTS);
        let mut case = self::case();
        for _ in 0..2 {
            let wait = case.failed(resting(case.now + 25 * SECOND));
            assert!(wait.is_ok_and(|wait| wait >= 25 * SECOND));
        }
        assert!(case.failed(resting(case.now + 25 * SECOND)).is_err());
    }

    #[test]
    fn other_refusals_are_neither_waited_for_nor_retried_nor_charged() {
        let mut case = case();
        case.policy.budget = Arc::new(RetryBudget::new(1000, 0));
        let until = case.now + SECOND;
        for reason in [Reason::RateLimited, Reason::Busy, Reason::NoCandidate] {
            let why = Rejection::new(reason, Scope::Deployment).retry_at(until);
            assert!(case.failed(Error::rejected(why, "no")).is_err());
        }
        let unknown = Rejection::new(Reason::Cooldown, Scope::Deployment);
        assert!(case.failed(Error::rejected(unknown, "no")).is_err());
        assert!(!case.policy.budget.withdraw(), "nothing was deposited");
    }

    #[test]
    fn a_group_that_rests_for_its_failures_is_waited_for() {
        let mut case = case();
        let why = Rejection::new(Reason::NoCandidate, Scope::Deployment)
            .retry_at(case.now + SECOND)
            .because_of(ErrorKind::RateLimited);
        assert!(case.failed(Error::rejected(why, "all rest")).is_ok());
    }

    #[test]
    fn a_refusal_does_not_hide_an_earlier_failure() {
        let late = Error::rejected(Rejection::new(Reason::Busy, Scope::Request), "busy");
        for refusal in [late, Error::timeout(Clock::Total)] {
            let mut case = case().retries(9);
            assert!(case.failed(error(ErrorKind::Overloaded)).is_ok());
            assert!(case.failed(error(ErrorKind::BadAnswer)).is_ok());
            let reported = case.failed(refusal).expect_err("gives up");
            assert_eq!(reported.kind(), ErrorKind::BadAnswer);
        }
    }

    #[test]
    fn below_the_balancer_each_retry_pauses_and_is_charged() {
        let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
        let mut case = case();
        case.ledger.set_untried(5);
        let dispatched = case.ledger.attempt(&deployment).expect("is allowed");
        let here = Retries::default().on(Arc::clone(&deployment));
        let pause = case.failed_with(error(ErrorKind::Internal), here.clone());
        assert_eq!(pause.expect("is tried again"), SECOND / 2);
        assert_eq!(case.ledger.attempts(), 1, "charged with the dispatch only");
        case.tries.start(Some(&case.ledger)).expect("is allowed");
        dispatched.answering();
        assert_eq!(case.ledger.attempts(), 2);
        let elsewhere = error(ErrorKind::Authentication);
        assert!(case.failed_with(elsewhere, here.clone()).is_err());
        let rests = resting(case.now + SECOND);
        assert!(case.failed_with(rests, here).is_err());
    }
}

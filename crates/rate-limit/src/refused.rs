//! A limiter's refusal.

use std::fmt;

use tokio::time::Instant;
use ziggurat_core::{Error, Reason, Rejection, Scope};

use crate::{Limit, LimitKey, Measure};

/// Why a limiter said no: the refusal, and the limit that is used up.
///
/// It is the source of the [`Error`] that the layer answers, so that an edge can tell a client
/// which limit it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    rejection: Rejection,
    key: LimitKey,
    limit: Limit,
    remaining: u64,
    resets_at: Option<Instant>,
}

impl Refused {
    /// A refusal because of a limit on a key, of which so much remains.
    #[must_use]
    pub fn new(rejection: Rejection, key: LimitKey, limit: Limit, remaining: u64) -> Self {
        Self(Box::new(Inner {
            rejection,
            key,
            limit,
            remaining,
            resets_at: None,
        }))
    }

    /// Says when there is room for the request, or for a budget when its next period begins.
    #[must_use]
    pub fn resets_at(mut self, at: Instant) -> Self {
        self.0.resets_at = Some(at);
        self
    }

    /// The refusal: why, whom it concerns, and when the request would pass. A budget that is spent
    /// says nothing of when: to try again is no use.
    #[must_use]
    pub fn rejection(&self) -> &Rejection {
        &self.0.rejection
    }

    /// The same for this place alone.
    pub(crate) fn leading_on(mut self) -> Self {
        let inner = &mut *self.0;
        if inner.rejection.scope() == Scope::Request {
            inner.rejection = inner.rejection.clone().with_scope(Scope::Attempt);
        }
        self
    }

    /// Whose limit it is.
    #[must_use]
    pub fn key(&self) -> &LimitKey {
        &self.0.key
    }

    /// The limit; of several, the one that takes longest to pass.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.0.limit
    }

    /// How much of it remains: less than the request needs.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.0.remaining
    }

    /// When there is room for the request, or the next period of a budget begins.
    #[must_use]
    pub fn reset(&self) -> Option<Instant> {
        self.0.resets_at
    }

    /// Finds it in an error that this layer answered.
    #[must_use]
    pub fn find(error: &Error) -> Option<&Self> {
        let mut source = std::error::Error::source(error);
        while let Some(current) = source {
            if let Some(refused) = current.downcast_ref() {
                return Some(refused);
            }
            source = current.source();
        }
        None
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.rejection.reason() {
            Reason::TooLarge => write!(
                f,
                "the limit of {} for {} lets nothing pass",
                self.0.limit, self.0.key
            ),
            Reason::Unchecked => write!(
                f,
                "the limit of {} for {} cannot be checked: the store that instances share is gone, and nothing is let pass without it",
                self.0.limit, self.0.key
            ),
            Reason::Budget => write!(
                f,
                "the budget of {} for {} is spent",
                self.0.limit, self.0.key
            ),
            _ => write!(
                f,
                "the limit of {} for {} is used up",
                self.0.limit, self.0.key
            ),
        }
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::rejected(refused.0.rejection.clone(), refused.to_string()).with_source(refused)
    }
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wait {
    /// The end of another request.
    Place,
    /// A time.
    Until(Instant),
    /// Nothing: it can never pass.
    Never,
}

/// The refusal of one limit, or of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What this request waits for.
    pub(crate) wait: Wait,
    /// What any request waits for.
    pub(crate) any: Option<Wait>,
    pub(crate) limit: Limit,
    pub(crate) remaining: u64,
}

impl Verdict {
    /// Both: the one that takes longer says how long.
    pub(crate) fn and(self, other: Self) -> Self {
        let any = self.any.max(other.any);
        let longer = if other.wait > self.wait { other } else { self };
        Self { any, ..longer }
    }

    /// The refusal, of limits on keys of which the widest concerns `scope` at most, and this one is
    /// the key of the limit.
    pub(crate) fn refuse(self, key: LimitKey, scope: Scope) -> Refused {
        let scope = match scope {
            // A smaller request might pass sooner, so the deployment is not to be avoided.
            Scope::Deployment if self.any != Some(self.wait) => Scope::Attempt,
            scope => scope,
        };
        let reason = match self.wait {
            _ if self.limit.measure() == Measure::Money => Reason::Budget,
            Wait::Place => Reason::Busy,
            Wait::Until(_) => Reason::RateLimited,
            Wait::Never => Reason::TooLarge,
        };
        let rejection = Rejection::new(reason, scope);
        let refused = |rejection| Refused::new(rejection, key, self.limit, self.remaining);
        match (self.wait, reason) {
            (Wait::Until(at), Reason::Budget) => refused(rejection).resets_at(at),
            (Wait::Until(at), _) => refused(rejection.retry_at(at)).resets_at(at),
            _ => refused(rejection),
        }
    }
}

//! A limiter's refusal.

use std::fmt;

use tokio::time::Instant;
use ziggurat_core::{Error, Reason, Rejection, Scope};

use crate::Rate;

/// A limit that is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// On requests.
    Requests(Rate),
    /// On tokens.
    Tokens(Rate),
    /// On requests at a time.
    InFlight(u32),
}

impl Limit {
    /// What is limited, in snake case.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Requests(_) => "requests",
            Self::Tokens(_) => "tokens",
            Self::InFlight(_) => "in_flight",
        }
    }

    /// How much is allowed.
    #[must_use]
    pub const fn amount(&self) -> u64 {
        match self {
            Self::Requests(rate) | Self::Tokens(rate) => rate.amount(),
            Self::InFlight(requests) => *requests as u64,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(rate) | Self::Tokens(rate) => {
                let (amount, what, per) = (rate.amount(), self.as_str(), rate.per());
                write!(f, "{amount} {what} in {per:?}")
            }
            Self::InFlight(requests) => write!(f, "{requests} requests at a time"),
        }
    }
}

/// Why a limiter said no: the refusal, and the limit that is used up.
///
/// It is the source of the [`Error`] that the layer answers, so that an edge can tell a client
/// which limit it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    rejection: Rejection,
    limit: Limit,
    remaining: u64,
}

impl Refused {
    /// A refusal because of a limit of which so much remains.
    #[must_use]
    pub const fn new(rejection: Rejection, limit: Limit, remaining: u64) -> Self {
        Self {
            rejection,
            limit,
            remaining,
        }
    }

    /// The refusal: why, whom it concerns, and when the request would pass.
    #[must_use]
    pub const fn rejection(&self) -> &Rejection {
        &self.rejection
    }

    /// The limit; of several, the one that takes longest to pass.
    #[must_use]
    pub const fn limit(&self) -> Limit {
        self.limit
    }

    /// How much of it remains: less than the request needs.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.remaining
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
        match self.rejection.reason() {
            Reason::TooLarge => write!(f, "the limit of {} lets nothing pass", self.limit),
            _ => write!(f, "the limit of {} is used up", self.limit),
        }
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Self::rejected(refused.rejection.clone(), refused.to_string()).with_source(refused)
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

    /// What two limits say.
    pub(crate) fn of_both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        }
    }

    /// The refusal, on keys of which the widest concerns `scope` at most.
    pub(crate) fn refuse(self, scope: Scope) -> Refused {
        let scope = match scope {
            // A smaller request might pass sooner, so the deployment is not to be avoided.
            Scope::Deployment if self.any != Some(self.wait) => Scope::Attempt,
            scope => scope,
        };
        let rejection = match self.wait {
            Wait::Place => Rejection::new(Reason::Busy, scope),
            Wait::Until(at) => Rejection::new(Reason::RateLimited, scope).retry_at(at),
            Wait::Never => Rejection::new(Reason::TooLarge, scope),
        };
        Refused::new(rejection, self.limit, self.remaining)
    }
}

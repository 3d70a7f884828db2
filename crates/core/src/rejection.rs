//! Refusals before dispatch.

use tokio::time::Instant;

use crate::ErrorKind;

/// Why a layer refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The deployment rests after failures.
    Cooldown,
    /// A limit of ours on requests or tokens is used up.
    RateLimited,
    /// As much work is in flight as may be.
    Busy,
    /// The queue is full.
    QueueFull,
    /// The predicted wait passes the deadline.
    Deadline,
    /// A spend limit is reached.
    Budget,
    /// The request is larger than the limit and can never pass.
    TooLarge,
    /// A filter (tags, capability, region, …) leaves this deployment out.
    Filtered,
    /// No deployment is left that could take the request.
    NoCandidate,
    /// The request may make no further attempt.
    Attempts,
    /// A health check found it out of order.
    Unhealthy,
    /// A limit cannot be checked: the store that instances share is gone, and nothing is to pass then.
    Unchecked,
    /// Its provider has no place for something that the request asks for.
    Unsupported,
    /// Who asks may not use the model.
    Forbidden,
}

impl Reason {
    /// A short name in snake case, as trails, logs and metric labels show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cooldown => "cooldown",
            Self::RateLimited => "rate_limited",
            Self::Busy => "busy",
            Self::QueueFull => "queue_full",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::TooLarge => "too_large",
            Self::Filtered => "filtered",
            Self::NoCandidate => "no_candidate",
            Self::Attempts => "attempts",
            Self::Unhealthy => "unhealthy",
            Self::Unchecked => "unchecked",
            Self::Unsupported => "unsupported",
            Self::Forbidden => "forbidden",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whom else a refusal concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Any request would be refused by this deployment until [`Rejection::retry_at`].
    Deployment,
    /// This request on this deployment; another request may pass here.
    Attempt,
    /// This request on any deployment: trying elsewhere is useless.
    Request,
}

/// A layer's refusal *before* anything was sent.
///
/// Nothing has been sent and nothing is kept, so whoever sees it may try elsewhere at no cost.
/// A provider's own 429 is not a rejection: it was dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    reason: Reason,
    scope: Scope,
    retry_at: Option<Instant>,
    cause: Option<ErrorKind>,
}

impl Rejection {
    /// A refusal that says nothing of when it ends.
    #[must_use]
    pub const fn new(reason: Reason, scope: Scope) -> Self {
        Self {
            reason,
            scope,
            retry_at: None,
            cause: None,
        }
    }

    /// Says when the refusal ends.
    #[must_use]
    pub const fn retry_at(mut self, at: Instant) -> Self {
        self.retry_at = Some(at);
        self
    }

    /// Says which failure led to it: what a deployment rests for.
    #[must_use]
    pub const fn because_of(mut self, kind: ErrorKind) -> Self {
        self.cause = Some(kind);
        self
    }

    /// The same refusal for another scope.
    #[must_use]
    pub const fn with_scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// Whom else it concerns.
    #[must_use]
    pub const fn scope(&self) -> Scope {
        self.scope
    }

    /// When it ends; `None` if that is not known, or never.
    #[must_use]
    pub const fn ends_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// The failure that led to it.
    #[must_use]
    pub const fn cause(&self) -> Option<ErrorKind> {
        self.cause
    }

    /// The status and `error.code` a client sees when this refusal is the last word.
    ///
    /// A deployment that rests after a 429 answers 429, one that rests because it was down 503.
    #[must_use]
    pub fn status_and_code(&self) -> (http::StatusCode, &'static str) {
        use http::StatusCode;
        match self.reason {
            Reason::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
            Reason::Busy | Reason::QueueFull => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_requests")
            }
            Reason::TooLarge => (StatusCode::TOO_MANY_REQUESTS, "request_too_large"),
            Reason::Budget => (StatusCode::TOO_MANY_REQUESTS, "budget_exceeded"),
            Reason::Deadline => (StatusCode::SERVICE_UNAVAILABLE, "deadline_exceeded"),
            Reason::Unchecked => (StatusCode::SERVICE_UNAVAILABLE, "limit_store_unavailable"),
            Reason::Filtered => (StatusCode::BAD_REQUEST, "no_matching_deployment"),
            Reason::Unsupported => (StatusCode::BAD_REQUEST, "unsupported_parameter"),
            Reason::Forbidden => (StatusCode::FORBIDDEN, "model_access_denied"),
            Reason::Cooldown | Reason::NoCandidate | Reason::Attempts | Reason::Unhealthy => {
                match self.cause {
                    Some(ErrorKind::RateLimited) => {
                        (StatusCode::TOO_MANY_REQUESTS, "no_deployments_available")
                    }
                    _ => (StatusCode::SERVICE_UNAVAILABLE, "no_deployments_available"),
                }
            }
        }
    }
}

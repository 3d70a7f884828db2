//! What kinds of failure there are, and the one table that says what each of them means.

use http::StatusCode;

/// One of the five clocks that can run out on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Clock {
    /// The connection to the provider was not made in time.
    Connect,
    /// The first content item did not come in time.
    FirstToken,
    /// The stream fell silent between two items.
    Idle,
    /// One attempt took longer than it may.
    Attempt,
    /// The whole request, all attempts and waits together, took longer than it may.
    Total,
}

/// The taxonomy of failures.
///
/// What follows from a kind is not decided where an error is made or caught, but in one table:
/// [`ErrorKind::rule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The provider does not accept the credential.
    Authentication,
    /// The credential is known and may not do this.
    Permission,
    /// The request is malformed; no deployment can serve it.
    BadRequest,
    /// The request is longer than the model's context window.
    ContextWindow,
    /// The provider declines the content.
    ContentPolicy,
    /// The provider does not know the model or the resource.
    NotFound,
    /// The request collides with the state of a resource.
    Conflict,
    /// The request is well-formed and still cannot be processed.
    Unprocessable,
    /// The provider limits the rate of this credential or deployment.
    RateLimited,
    /// A clock ran out.
    Timeout(Clock),
    /// The provider is over capacity.
    Overloaded,
    /// The provider is down for now.
    Unavailable,
    /// The provider failed.
    Internal,
    /// No connection could be made, or it broke before an answer began.
    Connect,
    /// The answer broke off before its end.
    StreamBroken,
    /// The status said success and the body was no answer.
    BadAnswer,
    /// Money is spent: a hard stop, which no waiting ends.
    Budget,
    /// A layer refused before anything was sent; see [`Rejection`](crate::Rejection).
    Rejected,
    /// The caller went away.
    Cancelled,
}

/// Whom a failure speaks against. Only what is blamed may be rested or avoided for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Blame {
    /// The request itself: every deployment would say the same.
    Request,
    /// The credential: every deployment that uses it is concerned.
    Credential,
    /// This deployment.
    Deployment,
    /// The quota that it draws on: every deployment of the same account and model does.
    Quota,
    /// The provider behind it: every deployment of the same model at the same place is concerned,
    /// whatever the account.
    Provider,
}

/// Where a failed request may be tried again inside its model group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Retry {
    /// Nowhere.
    Never,
    /// On another deployment; the same one would fail again.
    Elsewhere,
    /// On another deployment if there is one, else on the same after a pause.
    Anywhere,
}

/// How a failure counts towards a deployment's rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cooling {
    /// Not at all.
    None,
    /// As one failure among those that are allowed.
    Counted,
    /// One is enough.
    AtOnce,
}

/// Which list of other model groups a failure may be answered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FallbackList {
    /// None: the failure goes to the client.
    None,
    /// `fallbacks`.
    General,
    /// `context_window_fallbacks`.
    ContextWindow,
    /// `content_policy_fallbacks`.
    ContentPolicy,
}

/// What an [`ErrorKind`] means to everybody: one row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rule {
    /// The HTTP status for the client, where the provider's own does not say it better.
    pub status: StatusCode,
    /// `error.type` of the OpenAI error shape.
    pub error_type: &'static str,
    /// `error.code` of the OpenAI error shape.
    pub code: &'static str,
    /// Whom it speaks against.
    pub blame: Blame,
    /// Where it may be tried again.
    pub retry: Retry,
    /// How it counts towards a rest.
    pub cooling: Cooling,
    /// Which fallbacks it may use.
    pub fallback: FallbackList,
}

impl ErrorKind {
    /// Every kind, for tables and tests.
    pub const ALL: [Self; 23] = [
        Self::Authentication,
        Self::Permission,
        Self::BadRequest,
        Self::ContextWindow,
        Self::ContentPolicy,
        Self::NotFound,
        Self::Conflict,
        Self::Unprocessable,
        Self::RateLimited,
        Self::Timeout(Clock::Connect),
        Self::Timeout(Clock::FirstToken),
        Self::Timeout(Clock::Idle),
        Self::Timeout(Clock::Attempt),
        Self::Timeout(Clock::Total),
        Self::Overloaded,
        Self::Unavailable,
        Self::Internal,
        Self::Connect,
        Self::StreamBroken,
        Self::BadAnswer,
        Self::Budget,
        Self::Rejected,
        Self::Cancelled,
    ];

    /// The row of the table for this kind. Nothing else decides these things a second time.
    #[must_use]
    pub const fn rule(self) -> Rule {
        use Blame::{Credential, Deployment, Provider, Quota, Request};
        use Cooling::{AtOnce, Counted};
        use FallbackList::{ContentPolicy, ContextWindow, General};
        use Retry::{Anywhere, Elsewhere, Never};
        const NO_FALLBACK: FallbackList = FallbackList::None;
        const NO_COOLING: Cooling = Cooling::None;
        const INVALID: &str = "invalid_request_error";
        const SERVER: &str = "server_error";
        const CLIENT_CLOSED: StatusCode = match StatusCode::from_u16(499) {
            Ok(status) => status,
            Err(_) => StatusCode::BAD_REQUEST,
        };

        #[rustfmt::skip]
        let (status, error_type, code, blame, retry, cooling, fallback) = match self {
            Self::Authentication => (401, "authentication_error", "invalid_api_key", Credential, Elsewhere, AtOnce, General),
            Self::Permission => (403, "permission_error", "permission_denied", Credential, Elsewhere, NO_COOLING, General),
            Self::BadRequest => (400, INVALID, "bad_request", Request, Never, NO_COOLING, NO_FALLBACK),
            Self::ContextWindow => (400, INVALID, "context_length_exceeded", Request, Never, NO_COOLING, ContextWindow),
            Self::ContentPolicy => (400, INVALID, "content_policy_violation", Request, Never, NO_COOLING, ContentPolicy),
            Self::NotFound => (404, INVALID, "model_not_found", Deployment, Elsewhere, AtOnce, General),
            Self::Conflict => (409, INVALID, "conflict", Request, Anywhere, NO_COOLING, General),
            Self::Unprocessable => (422, INVALID, "unprocessable", Request, Never, NO_COOLING, NO_FALLBACK),
            Self::RateLimited => (429, "rate_limit_error", "rate_limit_exceeded", Quota, Anywhere, AtOnce, General),
            Self::Timeout(Clock::Connect) => (408, "timeout_error", "timeout", Deployment, Anywhere, Counted, General),
            Self::Timeout(Clock::Total) => (408, "timeout_error", "deadline_exceeded", Request, Never, NO_COOLING, NO_FALLBACK),
            Self::Timeout(_) => (408, "timeout_error", "timeout", Deployment, Elsewhere, Counted, General),
            Self::Overloaded => (503, SERVER, "overloaded", Provider, Anywhere, Counted, General),
            Self::Unavailable => (503, SERVER, "unavailable", Deployment, Anywhere, Counted, General),
            Self::Internal => (500, SERVER, "internal_error", Deployment, Anywhere, Counted, General),
            Self::Connect => (503, SERVER, "connection_error", Deployment, Anywhere, Counted, General),
            Self::StreamBroken => (502, SERVER, "stream_broken", Deployment, Anywhere, Counted, General),
            Self::BadAnswer => (502, SERVER, "bad_answer", Deployment, Anywhere, Counted, General),
            Self::Budget => (429, "budget_exceeded", "budget_exceeded", Request, Never, NO_COOLING, NO_FALLBACK),
            Self::Rejected => (503, SERVER, "rejected", Request, Never, NO_COOLING, General),
            Self::Cancelled => (499, INVALID, "cancelled", Request, Never, NO_COOLING, NO_FALLBACK),
        };
        let status = match StatusCode::from_u16(status) {
            Ok(status) => status,
            Err(_) => CLIENT_CLOSED,
        };
        Rule {
            status,
            error_type,
            code,
            blame,
            retry,
            cooling,
            fallback,
        }
    }

    /// A short name in snake case, as trails, logs and metric labels show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::BadRequest => "bad_request",
            Self::ContextWindow => "context_window",
            Self::ContentPolicy => "content_policy",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Unprocessable => "unprocessable",
            Self::RateLimited => "rate_limited",
            Self::Timeout(Clock::Connect) => "timeout_connect",
            Self::Timeout(Clock::FirstToken) => "timeout_first_token",
            Self::Timeout(Clock::Idle) => "timeout_idle",
            Self::Timeout(Clock::Attempt) => "timeout_attempt",
            Self::Timeout(Clock::Total) => "timeout_total",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::Connect => "connect",
            Self::StreamBroken => "stream_broken",
            Self::BadAnswer => "bad_answer",
            Self::Budget => "budget",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }
}

impl std::fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_request_is_to_blame_for_never_cools_a_deployment() {
        for kind in ErrorKind::ALL {
            let rule = kind.rule();
            if rule.blame == Blame::Request {
                assert_eq!(rule.cooling, Cooling::None, "{kind}");
            }
        }
    }

    #[test]
    fn what_is_never_retried_in_the_group_cools_nothing_either() {
        for kind in ErrorKind::ALL {
            let rule = kind.rule();
            if rule.retry == Retry::Never {
                assert_eq!(rule.cooling, Cooling::None, "{kind}");
            }
        }
    }

    #[test]
    fn names_are_distinct() {
        let names: std::collections::HashSet<_> =
            ErrorKind::ALL.iter().map(|k| k.as_str()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}

//! What is told when nobody takes a request.

use std::{fmt::Write as _, sync::Arc};

use tokio::time::Instant;
use ziggurat_core::{Deployment, Error, ErrorKind, Reason, Rejection, Scope, Whose};

use crate::filter::{
    ACCESS_GROUP, ACCESS_WINDOW, BLOCKED, CONTEXT_WINDOW, Record, Refused, TEAM, whose_models,
};

/// How many refusals a message lists.
const LISTED: usize = 8;

/// The refusals that one request has met, added up.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    listed: Vec<(usize, Reason, Option<ErrorKind>)>,
    count: usize,
    reason: Option<Reason>,
    cause: Option<ErrorKind>,
    retry_at: Option<Instant>,
    /// What the first of them said whose provider has no place for the request.
    unsupported: Option<Error>,
    /// What the one said of whose limit the end comes first.
    limited: Option<Error>,
}

impl Refusals {
    pub(crate) fn add(&mut self, member: usize, refusal: &Rejection) {
        let (reason, mut cause) = (refusal.reason(), refusal.cause());
        if self.listed.len() < LISTED {
            self.listed.push((member, reason, cause));
        }
        self.count += 1;
        if reason == Reason::Unsupported {
            return;
        }
        self.reason = match self.reason {
            Some(other) if other != reason => Some(Reason::NoCandidate),
            _ => Some(reason),
        };
        if matches!(reason, Reason::RateLimited | Reason::Busy) {
            cause = Some(ErrorKind::RateLimited);
        }
        if self.cause.is_none() || cause == Some(ErrorKind::RateLimited) {
            self.cause = cause;
        }
        self.retry_at = self.retry_at.into_iter().chain(refusal.ends_at()).min();
    }

    /// Keeps what a member said that has no place for the request, or whose limit ends first.
    pub(crate) fn keep(&mut self, error: Error) {
        let Some(refusal) = error.rejection() else {
            return;
        };
        match refusal.reason() {
            Reason::Unsupported => {
                self.unsupported.get_or_insert(error);
            }
            reason if is_limit(reason) => {
                let end = |error: &Error| error.rejection().and_then(Rejection::ends_at);
                let is_sooner = |kept: &Error| match (end(&error), end(kept)) {
                    (Some(one), Some(other)) => one < other,
                    (one, other) => one.is_some() && other.is_none(),
                };
                if self.limited.as_ref().is_none_or(is_sooner) {
                    self.limited = Some(error);
                }
            }
            _ => {}
        }
    }

    /// All of them as one refusal. The reason is what they have in common; more requests than there
    /// is room for weigh more than an outage, since that is what waiting helps against. That some
    /// have no place for the request is told only where nobody else is left who may take it later.
    pub(crate) fn into_error(self, group: &str, members: &[Arc<Deployment>]) -> Error {
        if let (None, Some(error)) = (self.reason, self.unsupported) {
            return error;
        }
        let reason = self.reason.unwrap_or(Reason::NoCandidate);
        let mut rejection = Rejection::new(reason, Scope::Attempt);
        if let Some(cause) = self.cause {
            rejection = rejection.because_of(cause);
        }
        if let Some(at) = self.retry_at {
            rejection = rejection.retry_at(at);
        }
        let mut message = format!("no deployment of `{group}` can take the request now");
        let more = self.count - self.listed.len();
        for (i, (member, reason, cause)) in self.listed.into_iter().enumerate() {
            let before = if i > 0 { ", " } else { ": " };
            let _ = write!(message, "{before}{} ({reason}", members[member].id());
            let _ = match cause {
                Some(cause) => write!(message, " after {cause})"),
                None => write!(message, ")"),
            };
        }
        if more > 0 {
            let _ = write!(message, " and {more} more");
        }
        let error = Error::rejected(rejection, message);
        // Where all of them met limits, one of these is the cause.
        match self.limited.filter(|_| is_limit(reason)) {
            Some(limited) => error.with_source(limited),
            None => error,
        }
    }
}

const fn is_limit(reason: Reason) -> bool {
    matches!(reason, Reason::RateLimited | Reason::Busy | Reason::Budget)
}

/// Why filters leave nobody to a request.
///
/// Where the caller may use none of them, that is all that is told, with a status of 403: of the group
/// that it asked for to the end, of a fallback for this one only. Where one would serve if the
/// request were shorter, the error is the one of a provider that finds it too long, so that the same
/// fallbacks apply. Where all that would serve are blocked, it is not the request that is wrong.
pub(crate) fn filtered(
    group: &str,
    members: &[Arc<Deployment>],
    record: &Record,
    is_fallback: bool,
) -> Error {
    if let Some(error) = forbidden(record, is_fallback) {
        return error;
    }
    let refused = record.refused().iter().zip(members);
    let refused = refused.filter_map(|(refused, member)| Some((refused.as_ref()?, member)));
    let mut message = format!("no deployment of `{group}` fits the request");
    let (mut count, mut blocked, mut too_small, mut wrong) = (0, false, false, false);
    for (Refused { filter, why }, member) in refused {
        match *filter {
            CONTEXT_WINDOW => too_small = true,
            BLOCKED => blocked = true,
            TEAM | ACCESS_GROUP | ACCESS_WINDOW => {}
            _ => wrong = true,
        }
        count += 1;
        if count <= LISTED {
            let before = if count > 1 { ", " } else { ": " };
            let _ = write!(message, "{before}{} ({filter}", member.id());
            let _ = match why.as_deref() {
                Some(why) if !why.is_empty() => write!(message, ": {why})"),
                _ => write!(message, ")"),
            };
        }
    }
    if count > LISTED {
        let _ = write!(message, " and {} more", count - LISTED);
    }
    if too_small {
        return Error::new(ErrorKind::ContextWindow, message);
    }
    let reason = if blocked && !wrong {
        Reason::NoCandidate
    } else {
        Reason::Filtered
    };
    Error::rejected(Rejection::new(reason, Scope::Attempt), message)
}

/// The refusal of who may use none of the members, because of a list of models.
fn forbidden(record: &Record, is_fallback: bool) -> Option<Error> {
    let mut whose = None;
    let mut said = None;
    for refused in record.refused().iter().flatten() {
        whose = Some(whose_models(refused.filter)?);
        said = said.or_else(|| refused.why.clone());
    }
    let scope = match is_fallback {
        true => Scope::Attempt,
        false => Scope::Request,
    };
    let whose: Whose = whose?;
    let error = Error::rejected(Rejection::new(Reason::Forbidden, scope), said?);
    Some(error.with_code(whose.code()).with_param("model"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn error(refusals: &[Rejection]) -> Error {
        let member = |i| Arc::new(Deployment::new(format!("d{i}").as_str(), "g", "m"));
        let members: Vec<_> = (0..refusals.len()).map(member).collect();
        let mut all = Refusals::default();
        for (i, refusal) in refusals.iter().enumerate() {
            all.add(i, refusal);
        }
        all.into_error("g", &members)
    }

    fn rests(cause: ErrorKind) -> Rejection {
        Rejection::new(Reason::Cooldown, Scope::Deployment).because_of(cause)
    }

    fn limited() -> Rejection {
        Rejection::new(Reason::RateLimited, Scope::Deployment)
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_end_that_is_known_is_when_to_retry() {
        let at = |secs| Instant::now() + Duration::from_secs(secs);
        let error = error(&[
            limited().retry_at(at(9)),
            limited(),
            limited().retry_at(at(3)),
        ]);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn refusals_of_one_reason_keep_it_and_mixed_ones_are_no_candidate() {
        let reason =
            |refusals: &[Rejection]| error(refusals).rejection().map(|r| (r.reason(), r.scope()));
        let same = reason(&[limited(), limited()]);
        assert_eq!(same, Some((Reason::RateLimited, Scope::Attempt)));
        let mixed = reason(&[limited(), rests(ErrorKind::Overloaded), limited()]);
        assert_eq!(mixed, Some((Reason::NoCandidate, Scope::Attempt)));
    }

    #[test]
    fn one_that_is_limited_among_them_makes_it_a_429_and_outages_alone_a_503() {
        let down = rests(ErrorKind::Overloaded);
        let broken = rests(ErrorKind::Internal);
        assert_eq!(error(&[down.clone(), broken.clone()]).status(), 503);
        assert_eq!(error(&[down.clone(), limited()]).status(), 429);
        assert_eq!(error(&[limited(), down.clone()]).status(), 429);
        let throttled = rests(ErrorKind::RateLimited);
        assert_eq!(error(&[down, throttled, broken]).status(), 429);
    }

    #[test]
    fn that_none_has_a_place_for_it_is_told_in_the_words_of_the_first() {
        let cannot = Rejection::new(Reason::Unsupported, Scope::Attempt);
        let said = |words: &'static str| Error::rejected(cannot.clone(), words).with_param("n");
        let told = |others: &[Rejection]| {
            let member = |i| Arc::new(Deployment::new(format!("d{i}").as_str(), "g", "m"));
            let members: Vec<_> = (0..2 + others.len()).map(member).collect();
            let mut all = Refusals::default();
            for (i, words) in ["first", "second"].into_iter().enumerate() {
                all.add(i, &cannot);
                all.keep(said(words));
            }
            for (i, other) in others.iter().enumerate() {
                all.add(2 + i, other);
                all.keep(Error::rejected(other.clone(), "other"));
            }
            all.into_error("g", &members)
        };
        let error = told(&[]);
        assert_eq!(
            (error.message(), error.param(), error.status().as_u16()),
            ("first", Some("n"), 400)
        );
        let error = told(&[limited()]);
        assert_eq!((error.status().as_u16(), error.param()), (429, None));
        assert!(
            error
                .message()
                .contains("d0 (unsupported), d1 (unsupported), d2 (rate_limited)")
        );
    }

    #[test]
    fn the_message_says_why_for_each_up_to_a_bound() {
        let two = error(&[rests(ErrorKind::Overloaded), limited()]);
        assert_eq!(
            two.message(),
            "no deployment of `g` can take the request now: d0 (cooldown after overloaded), d1 (rate_limited)"
        );
        let many = error(&vec![limited(); 20]);
        assert!(many.message().ends_with("d7 (rate_limited) and 12 more"));
    }
}

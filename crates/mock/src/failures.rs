//! Which failure is due.

use ziggurat_core::{Error, ErrorKind, Ledger, LlmRequest, Mocks, Param};

/// The failures that a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    group: Option<ErrorKind>,
    attempt: Option<ErrorKind>,
}

impl Failures {
    /// None.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            group: None,
            attempt: None,
        }
    }

    /// Lets the requested group fail.
    #[must_use]
    pub const fn of_group(mut self, kind: ErrorKind) -> Self {
        self.group = Some(kind);
        self
    }

    /// Lets the first try in the requested group fail.
    #[must_use]
    pub const fn of_attempt(mut self, kind: ErrorKind) -> Self {
        self.attempt = Some(kind);
        self
    }
}

impl From<&Mocks> for Failures {
    /// Of several failures of the group the first counts: the general one, the one of the context
    /// window, the one of the content.
    fn from(mocks: &Mocks) -> Self {
        let group = [
            (mocks.fallbacks, ErrorKind::Internal),
            (mocks.context_window, ErrorKind::ContextWindow),
            (mocks.content_policy, ErrorKind::ContentPolicy),
        ];
        let group = group.into_iter().find(|(asked, _)| *asked);
        Self {
            group: group.map(|(_, kind)| kind),
            attempt: mocks.rate_limit.then_some(ErrorKind::RateLimited),
        }
    }
}

impl Param<Failures> for LlmRequest {
    fn param(&self) -> Failures {
        Failures::from(&self.controls().mocks)
    }
}

/// Where a layer stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Position {
    /// A request passes once for each group.
    Group,
    /// A request passes once for each try.
    Attempt,
}

impl Position {
    /// The failure that is due here and now.
    pub(crate) fn due(self, failures: Failures, ledger: Option<&Ledger>) -> Option<Error> {
        let kind = match self {
            Self::Group => failures.group,
            Self::Attempt => failures.attempt,
        }?;
        let ledger = ledger?;
        let is_first = match self {
            Self::Group => true,
            Self::Attempt => ledger.retries() == 0,
        };
        let is_due = is_first && ledger.fallbacks() == 0;
        is_due.then(|| Error::new(kind, "the request asked for this failure; nothing was sent"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(position: Position, failures: Failures, ledger: &Ledger) -> Option<ErrorKind> {
        position
            .due(failures, Some(ledger))
            .map(|error| error.kind())
    }

    #[test]
    fn each_switch_stands_for_its_kind_and_the_first_of_a_group_counts() {
        let mut mocks = Mocks::default();
        assert_eq!(Failures::from(&mocks), Failures::none());
        mocks.content_policy = true;
        let group = |mocks: &Mocks| kind(Position::Group, mocks.into(), &Ledger::new());
        assert_eq!(group(&mocks), Some(ErrorKind::ContentPolicy));
        mocks.context_window = true;
        assert_eq!(group(&mocks), Some(ErrorKind::ContextWindow));
        mocks.fallbacks = true;
        assert_eq!(group(&mocks), Some(ErrorKind::Internal));
        let attempt = |mocks: &Mocks| kind(Position::Attempt, mocks.into(), &Ledger::new());
        assert_eq!(attempt(&mocks), None);
        mocks.rate_limit = true;
        assert_eq!(attempt(&mocks), Some(ErrorKind::RateLimited));
    }

    #[test]
    fn a_group_fails_whenever_it_is_asked_and_another_one_never() {
        let failures = Failures::none().of_group(ErrorKind::Internal);
        let ledger = Ledger::new();
        for _ in 0..2 {
            assert!(kind(Position::Group, failures, &ledger).is_some());
            ledger.note_retry();
        }
        ledger.note_fallback();
        assert_eq!(kind(Position::Group, failures, &ledger), None);
    }

    #[test]
    fn the_first_try_fails_and_no_other() {
        let failures = Failures::none().of_attempt(ErrorKind::RateLimited);
        for note in [Ledger::note_retry, Ledger::note_fallback] {
            let ledger = Ledger::new();
            assert!(kind(Position::Attempt, failures, &ledger).is_some());
            note(&ledger);
            assert_eq!(kind(Position::Attempt, failures, &ledger), None);
        }
    }

    #[test]
    fn where_nobody_counts_nothing_fails() {
        let failures = Failures::none().of_group(ErrorKind::Internal);
        assert!(Position::Group.due(failures, None).is_none());
    }
}

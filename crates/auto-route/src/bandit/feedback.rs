//! How a bandit learns how a request ended.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use ziggurat_core::{Blame, Clock, End, Error, ErrorKind, FallbackList, Ledger, Money, Usage};

use super::{Context, Shared, learner::Result};
use crate::Feedback;

/// Tells a [`Bandit`](super::Bandit) how a request ended that it chose the group for.
#[derive(Debug)]
pub struct BanditFeedback {
    pub(super) shared: Arc<Shared>,
    pub(super) context: Context,
    pub(super) arm: usize,
    pub(super) ledger: Option<Ledger>,
    pub(super) began: Instant,
    pub(super) first_token: Duration,
}

impl Feedback for BanditFeedback {
    fn answering(&mut self) {
        self.first_token = self.began.elapsed();
    }

    fn end(&mut self, end: End<'_>) {
        let fell_back = self.ledger.as_ref().is_some_and(|it| it.fallbacks() > 0);
        let result = match end {
            // Another group answered, or none: this one did not.
            _ if fell_back => Result::Failed,
            End::Complete { usage } => Result::Answered {
                first_token: self.first_token,
                cost: usage.and_then(|usage| self.cost(usage)),
            },
            End::Failed(error) if speaks_against_group(error) => Result::Failed,
            End::Failed(_) | End::Abandoned => return,
        };
        self.shared.settle(self.context, self.arm, result);
    }
}

impl BanditFeedback {
    fn cost(&self, usage: &Usage) -> Option<f64> {
        let cost = match &self.shared.arms[self.arm].prices {
            Some(prices) => prices.cost(usage),
            None => {
                let ledger = self.ledger.as_ref()?;
                ledger.with_trail(|trail| trail.served()?.deployment().cost(usage))
            }
        };
        cost.map(Money::dollars)
    }
}

/// Whether a failure says something of the group: whether another might have done better.
fn speaks_against_group(error: &Error) -> bool {
    let kind = error.kind();
    let rule = kind.rule();
    // The client's own clock was too short; the table says for other clocks that the group is slow.
    let is_callers = error.scope() == Blame::Request && rule.blame != Blame::Request;
    let is_late = kind == ErrorKind::Timeout(Clock::Total);
    is_late || (rule.fallback != FallbackList::None && !is_callers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_that_another_group_may_not_have_speak_against_a_group() {
        for (kind, expected) in [
            (ErrorKind::Overloaded, true),
            (ErrorKind::RateLimited, true),
            (ErrorKind::Authentication, true),
            (ErrorKind::ContextWindow, true),
            (ErrorKind::ContentPolicy, true),
            (ErrorKind::Rejected, true),
            (ErrorKind::Timeout(Clock::Total), true),
            (ErrorKind::Timeout(Clock::FirstToken), true),
            (ErrorKind::BadRequest, false),
            (ErrorKind::Budget, false),
            (ErrorKind::Cancelled, false),
        ] {
            assert_eq!(
                speaks_against_group(&Error::new(kind, "x")),
                expected,
                "{kind}"
            );
        }
        let own_clock = Error::timeout(Clock::Attempt).with_blame(Blame::Request);
        assert!(!speaks_against_group(&own_clock));
    }
}

//! How the outcome of a request gets to its permit.

use std::fmt;

use ziggurat_core::{Clock, End, Error, ErrorKind, Item, Observer};

use crate::{Actual, Charges, Settle};

/// A permit on its way through a request: it is attached to the response and settled when that
/// ends.
pub struct Settlement<P: Settle> {
    permit: Option<P>,
    sent: bool,
    counts: bool,
    /// By the provider's word so far, and before that by estimate.
    input: u64,
    output: u64,
    events: u64,
}

impl<P: Settle> Settlement<P> {
    /// Of a request that is charged so much; without a permit there is nothing to settle.
    pub(crate) fn new(charges: &Charges) -> Self {
        Self {
            permit: None,
            sent: false,
            counts: charges.limit_tokens(),
            input: charges.cost().input(),
            output: 0,
            events: 0,
        }
    }

    pub(crate) fn hold(&mut self, permit: P) {
        self.permit = Some(permit);
    }

    /// The request is handed on: it counts from now on, unless an error says that it was not sent.
    pub(crate) fn sent(&mut self) {
        self.sent = true;
    }

    /// It failed before an answer began.
    pub(crate) fn fail(&mut self, error: &Error) {
        let unsent = error.rejection().is_some()
            || matches!(
                error.kind(),
                ErrorKind::Connect | ErrorKind::Timeout(Clock::Connect)
            );
        self.settle(if unsent {
            Actual::Unsent
        } else {
            Actual::Unanswered
        });
    }

    /// The tokens of an answer that is not complete, each event being one token at least.
    fn seen(&self) -> Actual {
        let output = self.output.max(self.events);
        Actual::Partial {
            tokens: self.input.saturating_add(output),
        }
    }

    fn settle(&mut self, actual: Actual) {
        if let Some(mut permit) = self.permit.take() {
            permit.settle(actual);
        }
    }
}

impl<P: Settle + Send> Observer for Settlement<P> {
    fn wants_items(&self) -> bool {
        self.permit.is_some() && self.counts
    }

    fn item(&mut self, item: &Item) {
        self.events += u64::from(item.events);
        if let Some(usage) = item.usage.filter(|usage| usage.counts_tokens) {
            (self.input, self.output) = (usage.input, usage.output);
        }
    }

    fn end(&mut self, end: End<'_>) {
        self.settle(match end {
            End::Complete { usage: Some(usage) } if usage.counts_tokens => Actual::Complete(*usage),
            End::Complete { .. } => Actual::Unknown,
            End::Failed(_) | End::Abandoned => self.seen(),
        });
    }
}

impl<P: Settle> Drop for Settlement<P> {
    fn drop(&mut self) {
        if self.sent {
            self.settle(Actual::Unanswered);
        }
    }
}

impl<P: Settle> fmt::Debug for Settlement<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settlement")
            .field("settled", &self.permit.is_none())
            .finish_non_exhaustive()
    }
}

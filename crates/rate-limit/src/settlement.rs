//! How the outcome of a request gets to its permit.

use std::fmt;

use ziggurat_core::{Clock, End, Error, ErrorKind, Item, Money, Observer, Seen, Usage};

use crate::{Actual, Charges, Measure, Pricing, Settle};

/// A permit on its way through a request: it is attached to the response and settled when that
/// ends.
pub struct Settlement<P: Settle> {
    permit: Option<P>,
    sent: bool,
    counts: bool,
    pricing: Option<Pricing>,
    seen: Seen,
}

/// What has to be known of an answer that breaks off.
const SEEN: [Measure; 4] = [
    Measure::Tokens,
    Measure::InputTokens,
    Measure::OutputTokens,
    Measure::Money,
];

impl<P: Settle> Settlement<P> {
    /// Of a request that is charged so much; without a permit there is nothing to settle.
    pub(crate) fn new(charges: &Charges) -> Self {
        Self {
            permit: None,
            sent: false,
            counts: charges.limit(&SEEN),
            pricing: charges.pricing().cloned(),
            seen: charges.cost().seen(),
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
        if self.permit.is_none() {
            return;
        }
        let unsent = error.rejection().is_some()
            || matches!(
                error.kind(),
                ErrorKind::Connect | ErrorKind::Timeout(Clock::Connect)
            );
        let nothing = Usage::new(0, 0);
        let money = self.price(error.usage().unwrap_or(&nothing));
        self.settle(match (unsent, money) {
            (true, None | Some(Money::ZERO)) => Actual::Unsent,
            (_, money) => Actual::Unanswered {
                money: money.unwrap_or_default(),
            },
        });
    }

    fn price(&self, usage: &Usage) -> Option<Money> {
        self.pricing.as_ref()?.of(usage)
    }

    /// What is known of an answer that is not complete.
    fn seen(&self) -> Actual {
        let usage = self.seen.usage();
        Actual::Partial {
            usage,
            money: self.price(&usage),
        }
    }

    /// It was given up before an answer began; its input was sent, and costs.
    fn unanswered(&self) -> Actual {
        let money = self.price(&self.seen.usage()).unwrap_or_default();
        Actual::Unanswered { money }
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

    fn body(&mut self, bytes: &[u8]) {
        if self.pricing.as_ref().is_some_and(Pricing::is_by_usage) {
            self.seen.body(bytes);
        }
    }

    fn item(&mut self, item: &Item) {
        self.seen.item(item);
    }

    fn unread(&mut self, item: &Item) {
        self.seen.item(item);
    }

    fn end(&mut self, end: End<'_>) {
        if self.permit.is_none() {
            return;
        }
        self.settle(match end {
            End::Complete { usage: Some(usage) } => Actual::Complete {
                usage: *usage,
                money: self.price(usage),
            },
            End::Complete { usage: None } => Actual::Unknown {
                money: self.price(&self.seen.estimate()),
            },
            End::Failed(_) | End::Abandoned => self.seen(),
        });
    }
}

impl<P: Settle> Drop for Settlement<P> {
    fn drop(&mut self) {
        if self.sent && self.permit.is_some() {
            self.settle(self.unanswered());
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

//! An attempt that is not settled yet.

use std::sync::Arc;

use tokio::time::Instant;
use ziggurat_core::{
    Charge, End, Error, HasLedger, Item, Ledger, LlmRequest, Maker, Money, Observer, Routed, Seen,
    Usage,
};

use crate::{Outcome, Pricing, SettleLayer, Settlement, SettlementSink};

/// An attempt that runs: it watches its answer, and settles when that has ended. Dropped before, it
/// settles as cancelled.
pub struct Account {
    /// What there is to tell so far; none when it is told, or when nothing was sent.
    open: Option<Settlement>,
    /// Of the request, where its costs are added up.
    ledger: Option<Ledger>,
    began: Instant,
    maker: Maker,
    seen: Seen,
    pricing: Pricing,
    sink: Arc<dyn SettlementSink>,
}

impl Account {
    pub(crate) fn open(routed: &Routed<LlmRequest>, layer: &SettleLayer) -> Self {
        let request = routed.request();
        let model = (routed.model() != routed.deployment().model()).then(|| routed.model().into());
        let open = Settlement {
            model,
            ..Settlement::new(request, Arc::clone(routed.deployment()))
        };
        Self {
            open: Some(open),
            ledger: request.ledger().cloned(),
            began: Instant::now(),
            maker: Maker::Provider,
            seen: Seen::of(request),
            pricing: layer.pricing(),
            sink: Arc::clone(layer.sink()),
        }
    }

    /// An answer has begun.
    pub(crate) fn answers(&mut self, maker: Maker) {
        self.maker = maker;
        if let Some(open) = &mut self.open {
            open.first_token = Some(self.began.elapsed());
        }
    }

    /// It came as a whole.
    pub(crate) fn complete(mut self, body: &[u8], usage: Option<&Usage>) -> Charge {
        let usage = usage.copied().unwrap_or_else(|| {
            self.seen.body(body);
            self.seen.estimate()
        });
        let cost = self.settle(self.served(), usage);
        Charge {
            cost,
            estimated: usage.estimated,
        }
    }

    /// It failed before its answer began; a refusal was not even sent.
    pub(crate) fn failed(mut self, error: &Error) {
        if error.rejection().is_some() {
            self.open = None;
        } else {
            let usage = error.usage().copied().unwrap_or(Usage::new(0, 0));
            self.settle(Outcome::Failed(error.kind()), usage);
        }
    }

    const fn served(&self) -> Outcome {
        match self.maker {
            Maker::Provider => Outcome::Served,
            Maker::Cache => Outcome::Cached,
            _ => Outcome::Mocked,
        }
    }

    fn settle(&mut self, outcome: Outcome, usage: Usage) -> Option<Money> {
        let mut settlement = self.open.take()?;
        settlement.took = self.began.elapsed();
        settlement.outcome = outcome;
        settlement.usage = usage;
        settlement.cost = match self.maker {
            Maker::Provider => (self.pricing)(&settlement.deployment, &usage),
            _ => Some(Money::ZERO),
        };
        if let (Some(ledger), Some(cost)) = (&self.ledger, settlement.cost) {
            ledger.add_cost(cost);
        }
        self.sink.settle(&settlement);
        settlement.cost
    }
}

impl Observer for Account {
    fn wants_items(&self) -> bool {
        true
    }

    fn item(&mut self, item: &Item) {
        self.seen.item(item);
    }

    fn unread(&mut self, item: &Item) {
        self.seen.item(item);
    }

    fn end(&mut self, end: End<'_>) {
        let (outcome, usage) = match end {
            End::Complete { usage } => {
                let usage = usage.copied().unwrap_or_else(|| self.seen.estimate());
                (self.served(), usage)
            }
            End::Failed(error) => (Outcome::Failed(error.kind()), self.seen.usage()),
            End::Abandoned => (Outcome::Cancelled, self.seen.usage()),
        };
        self.settle(outcome, usage);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let usage = self.seen.usage();
        self.settle(Outcome::Cancelled, usage);
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("open", &self.open)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

//! An attempt that is not settled yet.

use std::{sync::Arc, time::SystemTime};

use tokio::time::Instant;
use ziggurat_core::{
    Charge, End, Error, HasLedger, Item, LlmRequest, Maker, Money, Observer, Operation, Param,
    RequestId, Routed, UniqueId, Usage,
};

use crate::{
    Outcome, Pricing, SettleLayer, Settlement, SettlementSink,
    text::{self, Members},
};

/// An attempt that runs: it watches its answer, and settles when that has ended. Dropped before, it
/// settles as cancelled.
pub struct Account {
    /// What there is to tell so far; none when it is told, or when nothing was sent.
    open: Option<Settlement>,
    began: Instant,
    maker: Maker,
    /// Input tokens of the request, roughly; `None` where tokens are not estimated.
    input: Option<u64>,
    members: Members,
    /// Bytes of text that came.
    text: u64,
    /// What the provider said last, and whether text came after it.
    usage: Option<Usage>,
    is_stale: bool,
    pricing: Pricing,
    sink: Arc<dyn SettlementSink>,
}

impl Account {
    pub(crate) fn open(routed: &Routed<LlmRequest>, layer: &SettleLayer) -> Self {
        let request = routed.request();
        let operation = request.operation();
        let model = (routed.model() != routed.deployment().model()).then(|| routed.model().into());
        let open = Settlement {
            id: UniqueId::next(),
            request: match request.ledger() {
                Some(ledger) => ledger.request_id(),
                None => RequestId::own(UniqueId::next()),
            },
            group: request.param(),
            deployment: Arc::clone(routed.deployment()),
            model,
            operation,
            caller: request.caller().cloned(),
            user: request.shared_user(),
            tags: request.tags().iter().cloned().collect(),
            started: SystemTime::now(),
            first_token: None,
            took: std::time::Duration::ZERO,
            outcome: Outcome::Cancelled,
            usage: Usage::default(),
            cost: None,
        };
        Self {
            open: Some(open),
            began: Instant::now(),
            maker: Maker::Provider,
            input: is_text(operation).then(|| request.estimated_input_tokens()),
            members: Members::of(operation),
            text: 0,
            usage: None,
            is_stale: false,
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
            if self.input.is_some() {
                self.text = text::of_json(body, self.members);
            }
            self.estimate()
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

    fn see(&mut self, item: &Item) {
        let text = match self.input {
            Some(_) => text::of_events(&item.bytes, self.members),
            None => 0,
        };
        self.text = self.text.saturating_add(text);
        if item.usage.is_some() {
            self.usage = item.usage;
            self.is_stale = false;
        } else {
            self.is_stale |= text > 0;
        }
    }

    /// What came is known of an answer that did not end well.
    fn seen(&self) -> Usage {
        let Some(told) = self.usage else {
            return self.estimate();
        };
        // Some say with the first event what they have read, and a number for what they have yet to
        // say, which may come together with the beginning of it.
        let said = tokens(self.text);
        let is_behind = said > told.output.saturating_mul(2);
        match self.is_stale || is_behind {
            false => told,
            true => Usage {
                output: told.output.max(said),
                estimated: true,
                ..told
            },
        }
    }

    fn estimate(&self) -> Usage {
        match self.input {
            Some(input) => Usage::new(input, tokens(self.text)).as_estimate(),
            None => Usage::default(),
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
        self.sink.settle(&settlement);
        settlement.cost
    }
}

/// Whether what an operation uses are tokens of text, to be estimated.
const fn is_text(operation: Operation) -> bool {
    use Operation::{
        ChatCompletions, Completions, Embeddings, GenerateContent, Messages, Moderation, Rerank,
        Responses,
    };
    matches!(
        operation,
        ChatCompletions
            | Completions
            | Embeddings
            | GenerateContent
            | Messages
            | Moderation
            | Rerank
            | Responses
    )
}

/// The tokens of a text, roughly.
const fn tokens(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

impl Observer for Account {
    fn wants_items(&self) -> bool {
        true
    }

    fn item(&mut self, item: &Item) {
        self.see(item);
    }

    fn unread(&mut self, item: &Item) {
        self.see(item);
    }

    fn end(&mut self, end: End<'_>) {
        let (outcome, usage) = match end {
            End::Complete { usage } => {
                let usage = usage.copied().unwrap_or_else(|| self.estimate());
                (self.served(), usage)
            }
            End::Failed(error) => (Outcome::Failed(error.kind()), self.seen()),
            End::Abandoned => (Outcome::Cancelled, self.seen()),
        };
        self.settle(outcome, usage);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let usage = self.seen();
        self.settle(Outcome::Cancelled, usage);
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("open", &self.open)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

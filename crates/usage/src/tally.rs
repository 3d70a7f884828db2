//! What was done in a span of time.

use std::time::Duration;

use ziggurat_core::{ErrorKind, Money, Usage};
use ziggurat_settle::{Outcome, Settlement};

use crate::Histogram;

const KINDS: usize = ErrorKind::ALL.len();

/// What a deployment, or a group, did in a span of time. Each attempt counts where it ended.
///
/// Two of them can be [added](Self::merge), in any order: those of several minutes, deployments or
/// instances. Counts stop at what they can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub(crate) served: u64,
    pub(crate) cached: u64,
    pub(crate) mocked: u64,
    pub(crate) cancelled: u64,
    /// In the order of [`ErrorKind::ALL`].
    pub(crate) failed: [u64; KINDS],
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) cost: Money,
    pub(crate) unpriced: u64,
    pub(crate) most_in_flight: u32,
    pub(crate) latency: Histogram,
    pub(crate) first_token: Histogram,
}

/// What is counted of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    pub(crate) first_token: Option<Duration>,
    pub(crate) usage: Usage,
    pub(crate) cost: Option<Money>,
    pub(crate) in_flight: u32,
}

impl Sample {
    pub(crate) fn new(settlement: &Settlement, in_flight: u32) -> Self {
        Self {
            in_flight,
            outcome: settlement.outcome(),
            took: settlement.took(),
            first_token: settlement.first_token(),
            usage: *settlement.usage(),
            cost: settlement.cost(),
        }
    }

    /// An earlier answer that is given again.
    pub(crate) fn hit() -> Self {
        Self {
            outcome: Outcome::Cached,
            took: Duration::ZERO,
            first_token: None,
            usage: Usage::default(),
            cost: Some(Money::ZERO),
            in_flight: 0,
        }
    }
}

impl Tally {
    pub(crate) fn record(&mut self, sample: &Sample) {
        let one = |count: &mut u64| *count = count.saturating_add(1);
        match sample.outcome {
            Outcome::Served => one(&mut self.served),
            Outcome::Cached => one(&mut self.cached),
            Outcome::Mocked => one(&mut self.mocked),
            Outcome::Failed(kind) => self.add_failed(kind, 1),
            _ => one(&mut self.cancelled),
        }
        self.most_in_flight = self.most_in_flight.max(sample.in_flight);
        self.input = self.input.saturating_add(sample.usage.input);
        self.output = self.output.saturating_add(sample.usage.output);
        match sample.cost {
            Some(cost) => self.cost += cost,
            None => one(&mut self.unpriced),
        }
        if matches!(sample.outcome, Outcome::Cached | Outcome::Mocked) {
            return;
        }
        if sample.outcome == Outcome::Served {
            self.latency.record(sample.took);
        }
        if let Some(time) = sample.first_token {
            self.first_token.record(time);
        }
    }

    pub(crate) fn add_failed(&mut self, kind: ErrorKind, more: u64) {
        if let Some(at) = ErrorKind::ALL.iter().position(|other| *other == kind) {
            self.failed[at] = self.failed[at].saturating_add(more);
        }
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        let add = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        add(&mut self.served, other.served);
        add(&mut self.cached, other.cached);
        add(&mut self.mocked, other.mocked);
        add(&mut self.cancelled, other.cancelled);
        for (count, more) in self.failed.iter_mut().zip(other.failed) {
            add(count, more);
        }
        add(&mut self.input, other.input);
        add(&mut self.output, other.output);
        self.cost += other.cost;
        add(&mut self.unpriced, other.unpriced);
        self.most_in_flight = self.most_in_flight.max(other.most_in_flight);
        self.latency.merge(&other.latency);
        self.first_token.merge(&other.first_token);
    }

    /// Whether nothing was done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Attempts that ended, however they did.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let ended = [self.served, self.cached, self.mocked, self.cancelled];
        ended
            .iter()
            .fold(self.failures(), |sum, more| sum.saturating_add(*more))
    }

    /// Attempts whose answer came to its end.
    #[must_use]
    pub fn successes(&self) -> u64 {
        self.served
    }

    /// Attempts that failed, before their answer began or in its middle.
    #[must_use]
    pub fn failures(&self) -> u64 {
        let count = |sum: u64, more: &u64| sum.saturating_add(*more);
        self.failed.iter().fold(0, count)
    }

    /// The failures by their kind; only kinds that there were.
    pub fn failures_by_kind(&self) -> impl Iterator<Item = (ErrorKind, u64)> {
        let counts = ErrorKind::ALL.into_iter().zip(self.failed);
        counts.filter(|(_, count)| *count > 0)
    }

    /// Attempts for whose end nobody waited.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.cancelled
    }

    /// Attempts, and requests of which none was made, to which an earlier answer was given.
    #[must_use]
    pub fn cached(&self) -> u64 {
        self.cached
    }

    /// Attempts that the router answered itself, in the place of the provider.
    #[must_use]
    pub fn mocked(&self) -> u64 {
        self.mocked
    }

    /// Input tokens, those of failures and cancelled attempts included.
    #[must_use]
    pub fn input_tokens(&self) -> u64 {
        self.input
    }

    /// Output tokens, likewise.
    #[must_use]
    pub fn output_tokens(&self) -> u64 {
        self.output
    }

    /// What the attempts cost, as far as that is known.
    #[must_use]
    pub fn cost(&self) -> Money {
        self.cost
    }

    /// Attempts whose cost is not known.
    #[must_use]
    pub fn unpriced(&self) -> u64 {
        self.unpriced
    }

    /// The most attempts that were in flight at one deployment of one instance when one of them ended,
    /// itself included; zero where nobody [says it](crate::UsageBook::record).
    #[must_use]
    pub fn most_in_flight(&self) -> u32 {
        self.most_in_flight
    }

    /// How long answers took that came to their end.
    #[must_use]
    pub fn latency(&self) -> &Histogram {
        &self.latency
    }

    /// How long it took to the beginning of an answer.
    #[must_use]
    pub fn first_token(&self) -> &Histogram {
        &self.first_token
    }
}

//! What one request is charged, and to whom.

use std::{fmt, sync::Arc};

use smallvec::SmallVec;
use ziggurat_core::{Ledger, LlmRequest, Money, Operation, Param, Routed, Seen, Usage};

use crate::{
    Limit, LimitKey, Limits, Measure, Sizes,
    measure::{money, nanodollars},
};

/// What a request is expected to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    input: u64,
    output: Option<u64>,
    money: Option<Price>,
    operation: Option<Operation>,
}

/// What a request is expected to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Price {
    Whole(Money),
    Parts { input: Money, output_token: Money },
}

impl Cost {
    /// That many input tokens, and that many output tokens at most. If the request does not say how
    /// much output it allows, the average of what earlier answers on the same key had is taken.
    #[must_use]
    pub const fn new(input: u64, output: Option<u64>) -> Self {
        Self {
            input,
            output,
            money: None,
            operation: None,
        }
    }

    /// The estimate for a request: its text, and the output it allows for each of its answers.
    #[must_use]
    pub fn of(request: &LlmRequest) -> Self {
        let output = request
            .max_output_tokens()
            .map(|tokens| tokens.saturating_mul(request.choices().max(1)));
        Self {
            operation: Some(request.operation()),
            ..Self::new(request.estimated_input_tokens(), output)
        }
    }

    /// What will have been seen of the answer: nothing yet. How its text is written is known of a
    /// [request](Self::of); else each event is taken for a token.
    pub(crate) const fn seen(&self) -> Seen {
        match self.operation {
            Some(operation) => Seen::new(operation, self.input),
            None => Seen::by_events(self.input),
        }
    }

    /// Says what it is expected to cost. Where it is not said, what earlier answers on the same key
    /// cost on average is taken.
    #[must_use]
    pub const fn with_money(mut self, money: Money) -> Self {
        self.money = Some(Price::Whole(money));
        self
    }

    /// Says what its input is expected to cost, and what a token of its output does.
    #[must_use]
    pub const fn with_prices(mut self, input: Money, output_token: Money) -> Self {
        self.money = Some(Price::Parts {
            input,
            output_token,
        });
        self
    }

    /// Input tokens.
    #[must_use]
    pub const fn input(&self) -> u64 {
        self.input
    }

    /// Output tokens, if the request says how many it allows.
    #[must_use]
    pub const fn output(&self) -> Option<u64> {
        self.output
    }

    /// What it is expected to cost where answers are of these sizes, unless it is said.
    #[must_use]
    pub fn money(&self, sizes: &Sizes) -> Money {
        match self.money {
            Some(Price::Whole(money)) => money,
            Some(Price::Parts {
                input,
                output_token,
            }) => {
                let output = self.output.unwrap_or_else(|| sizes.output());
                input + output_token.times(output)
            }
            None => money(sizes.money()),
        }
    }

    /// How much of a limit a request reserves, where answers are of these sizes if nobody says
    /// otherwise: no more than the limit itself, and something of all that is limited.
    #[must_use]
    pub fn reserve(&self, limit: &Limit, sizes: &Sizes) -> u64 {
        let output = self.output.unwrap_or_else(|| sizes.output());
        let amount = match limit.measure() {
            Measure::Requests | Measure::InFlight => 1,
            Measure::Tokens => self.input.saturating_add(output),
            Measure::InputTokens => self.input,
            Measure::OutputTokens => output,
            Measure::Money => nanodollars(self.money(sizes)),
        };
        amount.min(limit.amount()).max(1)
    }
}

/// What a request costs in the end.
#[derive(Clone)]
pub struct Pricing(By);

#[derive(Clone)]
enum By {
    Usage(Arc<dyn Fn(&Usage) -> Option<Money> + Send + Sync>),
    Ledger(Ledger, Money),
}

impl Pricing {
    /// What an answer that used so much costs, by a function; `None` if that is not known.
    #[must_use]
    pub fn new(price: impl Fn(&Usage) -> Option<Money> + Send + Sync + 'static) -> Self {
        Self(By::Usage(Arc::new(price)))
    }

    /// What the attempts of a request cost that settle from now on: what is
    /// [spent](Ledger::spent) by its ledger. For limits above the balancer, where a request may be
    /// several attempts. An attempt whose price is unknown costs nothing there.
    #[must_use]
    pub fn of_attempts(ledger: &Ledger) -> Self {
        Self(By::Ledger(ledger.clone(), ledger.spent()))
    }

    /// Whether it is known by what an answer used.
    pub(crate) const fn is_by_usage(&self) -> bool {
        matches!(self.0, By::Usage(_))
    }

    /// The price.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> Option<Money> {
        match &self.0 {
            By::Usage(price) => price(usage),
            By::Ledger(ledger, before) => {
                let spent = ledger.spent().picodollars();
                let more = spent.saturating_sub(before.picodollars());
                Some(Money::from_picodollars(more))
            }
        }
    }
}

impl fmt::Debug for Pricing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pricing")
    }
}

/// The limits of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    key: LimitKey,
    limits: Limits,
}

impl Charge {
    /// Whom it is charged to.
    #[must_use]
    pub fn key(&self) -> &LimitKey {
        &self.key
    }

    /// What is allowed there.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// What one request is charged: its cost, on each of the keys it counts for.
///
/// All keys are decided in one step. If one of them refuses, none is charged.
///
/// ```
/// use ziggurat_rate_limit::{Charges, Cost, LimitKey, Limits, Rate};
///
/// let charges = Charges::none()
///     .on(LimitKey::tenant("alice"), Limits::none().with_requests(Rate::per_minute(10)))
///     .on(LimitKey::tenant("team"), Limits::none().with_tokens(Rate::per_minute(50_000)))
///     .with_cost(Cost::new(120, Some(800)));
/// assert_eq!(charges.iter().count(), 2);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Charges {
    charges: SmallVec<[Charge; 1]>,
    cost: Cost,
    pricing: Option<Pricing>,
    leads_on: bool,
}

impl Charges {
    /// Nothing: such a request goes straight through.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a key and its limits; of a key that is named twice, the last limits count.
    ///
    /// Without limits, nothing is kept for the key.
    #[must_use]
    pub fn on(mut self, key: LimitKey, limits: Limits) -> Self {
        self.charges.retain(|charge| charge.key != key);
        if !limits.is_none() {
            self.charges.push(Charge { key, limits });
        }
        self
    }

    /// Says what the request is expected to use.
    #[must_use]
    pub const fn with_cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    /// Says what its answer costs when it has ended, for limits on money. Nothing is known if it is
    /// not said, and the estimate stays.
    #[must_use]
    pub fn with_pricing(mut self, pricing: Pricing) -> Self {
        self.pricing = Some(pricing);
        self
    }

    /// Says that a refusal is for this place alone, also where the key is that of whoever asks: as of
    /// one that may use no more of a fallback, and is sent to the next.
    #[must_use]
    pub const fn leading_on(mut self) -> Self {
        self.leads_on = true;
        self
    }

    pub(crate) const fn leads_on(&self) -> bool {
        self.leads_on
    }

    pub(crate) fn pricing(&self) -> Option<&Pricing> {
        self.pricing.as_ref()
    }

    /// What the request is expected to use.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    /// The keys, each with its limits; no key twice.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Charge> {
        self.charges.iter()
    }

    pub(crate) fn as_slice(&self) -> &[Charge] {
        &self.charges
    }

    /// Whether the request counts for nobody.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.charges.is_empty()
    }

    /// Whether one of these is limited on one of the keys.
    #[must_use]
    pub fn limit(&self, measures: &[Measure]) -> bool {
        self.iter().any(|charge| charge.limits.limit(measures))
    }
}

/// Above the balancer: what the application has put into the request's extensions, if anything,
/// with the cost of this request.
impl Param<Charges> for LlmRequest {
    fn param(&self) -> Charges {
        match self.extensions().get::<Charges>() {
            Some(charges) => charges.clone().with_cost(Cost::of(self)),
            None => Charges::none(),
        }
    }
}

/// What it is expected to use.
impl Param<Cost> for Routed<LlmRequest> {
    fn param(&self) -> Cost {
        Cost::of(self.request())
    }
}

/// Below the balancer: what the deployment sets.
impl Param<Charges> for Routed<LlmRequest> {
    fn param(&self) -> Charges {
        let deployment = self.deployment();
        let limits = Limits::of(deployment);
        if limits.is_none() {
            return Charges::none();
        }
        let charges = Charges::none()
            .on(LimitKey::deployment(deployment.id().clone()), limits)
            .with_cost(Cost::of(self.request()));
        if !charges.limit(&[Measure::Money]) {
            return charges;
        }
        let deployment = Arc::clone(deployment);
        charges.with_pricing(Pricing::new(move |usage| deployment.cost(usage)))
    }
}

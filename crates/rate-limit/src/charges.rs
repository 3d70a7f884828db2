//! What one request is charged, and to whom.

use smallvec::SmallVec;
use ziggurat_core::{LlmRequest, Param, Routed};

use crate::{LimitKey, Limits};

/// What a request is expected to use, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    input: u64,
    output: Option<u64>,
}

impl Cost {
    /// That much input, and that much output at most. If the request does not say how much output
    /// it allows, the average of what earlier answers on the same key had is taken.
    #[must_use]
    pub const fn new(input: u64, output: Option<u64>) -> Self {
        Self { input, output }
    }

    /// The estimate for a request: its text, and the output it allows for each of its answers.
    #[must_use]
    pub fn of(request: &LlmRequest) -> Self {
        let output = request
            .max_output_tokens()
            .map(|tokens| tokens.saturating_mul(request.choices().max(1)));
        Self::new(request.estimated_input_tokens(), output)
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

    /// Both together, where answers have `average` tokens if nobody says otherwise.
    #[must_use]
    pub fn tokens(&self, average: u64) -> u64 {
        self.input.saturating_add(self.output.unwrap_or(average))
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charges {
    charges: SmallVec<[Charge; 1]>,
    cost: Cost,
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

    /// Whether tokens are limited on one of the keys.
    #[must_use]
    pub fn limit_tokens(&self) -> bool {
        self.iter().any(|charge| charge.limits.tokens().is_some())
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

/// Below the balancer: what the deployment sets.
impl Param<Charges> for Routed<LlmRequest> {
    fn param(&self) -> Charges {
        let deployment = self.deployment();
        let limits = Limits::of(deployment);
        if limits.is_none() {
            return Charges::none();
        }
        Charges::none()
            .on(LimitKey::deployment(deployment.id().clone()), limits)
            .with_cost(Cost::of(self.request()))
    }
}

//! What a request is expected to cost.

use ziggurat_core::{Deployment, LlmRequest, Money, Usage};
use ziggurat_rate_limit::{Charges, Cost, Measure, Pricing};

use crate::spend;

/// Of how many deployments of a group the prices are looked at.
const LOOKED_AT: usize = 64;

/// The cost of a request to whichever of these deployments serves it: what the dearest would take.
pub(crate) fn cost<'a>(
    request: &LlmRequest,
    members: impl Iterator<Item = &'a Deployment>,
) -> Cost {
    const TOKENS: u64 = 1_000;
    let cost = Cost::of(request);
    let (mut input, mut output) = (Money::ZERO, Money::ZERO);
    for member in members.take(LOOKED_AT) {
        let price = |usage| spend::cost(member, &usage).unwrap_or_default();
        let read = price(Usage::new(cost.input(), 0));
        let both = price(Usage::new(cost.input(), TOKENS));
        let said = both.picodollars().saturating_sub(read.picodollars());
        let token = Money::from_picodollars(said / u128::from(TOKENS));
        (input, output) = (input.max(read), output.max(token));
    }
    match (input, output) {
        (Money::ZERO, Money::ZERO) => cost,
        (input, output) => cost.with_prices(input, output),
    }
}

/// The charges of a request above the balancer, with its cost, and its price if money is limited.
pub(crate) fn of_request<'a>(
    charges: Charges,
    request: &LlmRequest,
    members: impl Iterator<Item = &'a Deployment>,
) -> Charges {
    if !charges.limit(&[Measure::Money]) {
        return charges.with_cost(Cost::of(request));
    }
    let charges = charges.with_cost(cost(request, members));
    match ziggurat_core::HasLedger::ledger(request) {
        Some(ledger) => charges.with_pricing(Pricing::of_attempts(ledger)),
        None => charges,
    }
}

//! What the words of a configuration mean.

use std::{num::NonZeroU32, time::Duration};

use ziggurat_config::{Amounts, BudgetDuration, CallerLimits, ModelLimits};
use ziggurat_core::Money;
use ziggurat_rate_limit::{Limit, Limits, Measure, Period, Rate, Window, nanodollars};

/// The limits that a rule or a quota sets.
pub(crate) fn of_amounts(amounts: &Amounts) -> Limits {
    const MINUTE: Duration = Duration::from_secs(60);
    let mut all = Limits::none();
    let mut add = |limit: Limit| {
        let soft = amounts.soft.map(|share| part(limit.amount(), share));
        let limit = match soft {
            Some(soft) => limit.with_soft(soft),
            None => limit,
        };
        all = std::mem::take(&mut all).with(limit);
    };
    let per = amounts.per.unwrap_or(MINUTE);
    for (measure, amount, per) in [
        (Measure::Requests, amounts.rpm, MINUTE),
        (Measure::Tokens, amounts.tpm, MINUTE),
        (Measure::InputTokens, amounts.itpm, MINUTE),
        (Measure::OutputTokens, amounts.otpm, MINUTE),
        (Measure::Requests, amounts.requests, per),
        (Measure::Tokens, amounts.tokens, per),
    ] {
        // A period that the configuration has let through is one.
        let rate = amount.and_then(|amount| Rate::new(amount, per).ok());
        if let Some(rate) = rate {
            let rate = match amounts.is_smooth {
                true => rate.smooth(),
                false => rate,
            };
            add(rate.of(measure));
        }
    }
    if let Some(most) = amounts.max_parallel {
        add(Limit::new(Measure::InFlight, most.into(), Window::AtOnce));
    }
    if let Some(budget) = amounts.budget {
        let period = match (budget.duration, budget.is_rolling) {
            (Some(time), true) => Period::Rolling(time.length()),
            (time, _) => by_calendar(time),
        };
        let window = Window::Fixed(period);
        add(Limit::new(Measure::Money, nanodollars(budget.max), window));
    }
    all
}

/// The limits of a key, a team or a user.
pub(crate) fn of_caller(limits: &CallerLimits) -> Limits {
    let mut all = rates([
        (Measure::Requests, limits.rpm),
        (Measure::Tokens, limits.tpm),
        (Measure::InputTokens, limits.itpm),
        (Measure::OutputTokens, limits.otpm),
    ]);
    if let Some(most) = limits.max_parallel {
        all = all.with_in_flight(most);
    }
    let (max, soft) = (limits.max_budget, limits.soft_budget);
    match budget(max, soft, limits.budget_duration) {
        Some(budget) => all.with(budget),
        None => all,
    }
}

/// What a caller may use of one model, where a budget is for the caller's time if it says none.
pub(crate) fn of_model(limits: &ModelLimits, time: Option<BudgetDuration>) -> Limits {
    let all = rates([
        (Measure::Requests, limits.rpm),
        (Measure::Tokens, limits.tpm),
    ]);
    let time = limits.budget_duration.or(time);
    match budget(limits.max_budget, None, time) {
        Some(budget) => all.with(budget),
        None => all,
    }
}

/// Both together: of two limits on a measure in the same window, the smaller.
pub(crate) fn both(one: Limits, other: &Limits) -> Limits {
    let mut all = one;
    for limit in other.iter() {
        let alike = |it: &&Limit| it.measure() == limit.measure() && it.window() == limit.window();
        let smaller = all.iter().find(alike).map(Limit::amount);
        if smaller.is_none_or(|amount| limit.amount() <= amount) {
            all = all.with(*limit);
        }
    }
    all
}

fn rates(rates: impl IntoIterator<Item = (Measure, Option<u64>)>) -> Limits {
    let rates = rates
        .into_iter()
        .filter_map(|(measure, amount)| Some(Rate::per_minute(amount?).of(measure)));
    rates.fold(Limits::none(), Limits::with)
}

/// A hard stop, or one that is never reached where there is only something to tell.
fn budget(max: Option<Money>, soft: Option<Money>, time: Option<BudgetDuration>) -> Option<Limit> {
    let most = match (max, soft) {
        (None, None) => return None,
        (Some(max), _) => nanodollars(max),
        (None, Some(_)) => u64::MAX,
    };
    let limit = Limit::new(Measure::Money, most, Window::Fixed(by_calendar(time)));
    Some(match soft {
        Some(soft) => limit.with_soft(nanodollars(soft)),
        None => limit,
    })
}

/// As LiteLLM starts the budgets of keys and teams anew: a day at midnight, seven days on Monday,
/// thirty days and a month with the month. Any other time begins with the first use.
fn by_calendar(time: Option<BudgetDuration>) -> Period {
    match time {
        None => Period::Forever,
        Some(BudgetDuration::Days(days)) if days.get() == 1 => Period::Day,
        Some(BudgetDuration::Days(days)) if days.get() == 7 => Period::Week,
        Some(BudgetDuration::Days(days)) if days.get() == 30 => Period::Month,
        Some(BudgetDuration::Months(NonZeroU32::MIN)) => Period::Month,
        Some(time) => Period::Rolling(time.length()),
    }
}

fn part(amount: u64, share: f64) -> u64 {
    ((amount as f64 * share).ceil() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_of_callers_begin_with_the_calendar_where_it_has_such_a_time() {
        let hour = Duration::from_secs(3_600);
        for (text, period) in [
            (Some("1d"), Period::Day),
            (Some("7d"), Period::Week),
            (Some("1w"), Period::Week),
            (Some("30d"), Period::Month),
            (Some("1mo"), Period::Month),
            (Some("24h"), Period::Rolling(24 * hour)),
            (Some("2d"), Period::Rolling(48 * hour)),
            (Some("2mo"), Period::Rolling(60 * 24 * hour)),
            (None, Period::Forever),
        ] {
            let time = text.map(|text| text.parse().expect("is a time"));
            assert_eq!(by_calendar(time), period, "{text:?}");
        }
    }

    #[test]
    fn of_two_limits_that_are_alike_the_smaller_holds() {
        let of = |rpm, tpm| rates([(Measure::Requests, rpm), (Measure::Tokens, tpm)]);
        for (one, other) in [
            (of(Some(5), Some(7)), of(Some(9), None)),
            (of(Some(9), None), of(Some(5), Some(7))),
        ] {
            assert_eq!(both(one, &other), of(Some(5), Some(7)));
        }
    }

    #[test]
    fn a_soft_budget_alone_refuses_nothing() {
        let soft = Money::from_dollars(2.0);
        let limit = budget(None, soft, None).expect("there is something to tell");
        assert_eq!(
            (limit.amount(), limit.soft()),
            (u64::MAX, Some(2_000_000_000))
        );
        let limit = budget(Money::from_dollars(5.0), soft, None).expect("is one");
        assert_eq!(limit.amount(), 5_000_000_000);
    }
}

//! What a usage costs.

use ziggurat_core::{Prices, Usage};

/// What a usage costs, in dollars, or `None` if a price that it needs is unknown.
///
/// If the input is longer than the threshold of [`Prices::long`], the prices there hold for all
/// tokens of the request; one that is missing there is the usual one. Cached and written input
/// without a price of its own costs as much as other input, reasoning as much as other output;
/// above the threshold, where reasoning has no price of its own, as much as output there.
///
/// ```
/// use ziggurat_catalog::{cost, get};
/// use ziggurat_core::Usage;
///
/// let prices = get("gpt-4o").expect("is in the table").prices();
/// let usage = Usage { cached_input: 600, ..Usage::new(1_000, 100) };
/// let dollars = cost(&prices, &usage).expect("prices are known");
/// let expected: f64 = [400.0 * 2.5e-6, 600.0 * 1.25e-6, 100.0 * 1e-5].iter().sum();
/// assert!((dollars - expected).abs() < 1e-12);
/// ```
#[must_use]
pub fn cost(prices: &Prices, usage: &Usage) -> Option<f64> {
    let mut at = *prices;
    if let Some(long) = prices.long.filter(|long| usage.input > long.above) {
        at.input = long.input.or(at.input);
        at.output = long.output.or(at.output);
        at.cached_input = long.cached_input.or(at.cached_input);
        at.cache_write = long.cache_write.or(at.cache_write);
        at.reasoning = long.output.or(at.reasoning);
    }
    // Hostile counts may say that more was cached than was sent.
    let cached = usage.cached_input.min(usage.input);
    let written = usage.cache_write.min(usage.input - cached);
    let reasoning = usage.reasoning.min(usage.output);
    let parts = [
        (usage.input - cached - written, at.input),
        (cached, at.cached_input.or(at.input)),
        (written, at.cache_write.or(at.input)),
        (usage.output - reasoning, at.output),
        (reasoning, at.reasoning.or(at.output)),
    ];
    parts.into_iter().try_fold(0.0, |sum, (tokens, price)| {
        if tokens == 0 {
            return Some(sum);
        }
        let part = price? * tokens as f64;
        Some(sum + part)
    })
}

#[cfg(test)]
mod tests {
    use ziggurat_core::LongContext;

    use super::*;

    const PRICES: Prices = Prices {
        input: Some(1.0),
        output: Some(10.0),
        cached_input: Some(0.25),
        cache_write: Some(1.5),
        reasoning: Some(20.0),
        long: Some(LongContext {
            above: 100,
            input: Some(2.0),
            output: Some(30.0),
            cached_input: None,
            cache_write: Some(3.0),
        }),
    };

    fn usage(input: u64, output: u64) -> Usage {
        Usage {
            cached_input: 40,
            cache_write: 20,
            reasoning: 4,
            ..Usage::new(input, output)
        }
    }

    #[test]
    fn every_kind_of_token_has_its_price() {
        let parts = [40.0, 40.0 * 0.25, 20.0 * 1.5, 6.0 * 10.0, 4.0 * 20.0];
        assert_eq!(cost(&PRICES, &usage(100, 10)), Some(parts.iter().sum()));
    }

    #[test]
    fn one_token_over_the_threshold_changes_the_price_of_all() {
        let parts = [41.0 * 2.0, 40.0 * 0.25, 20.0 * 3.0, 10.0 * 30.0];
        assert_eq!(cost(&PRICES, &usage(101, 10)), Some(parts.iter().sum()));
    }

    #[test]
    fn tokens_without_a_price_of_their_own_cost_as_the_others() {
        let plain = Prices {
            input: Some(1.0),
            output: Some(10.0),
            ..Prices::default()
        };
        assert_eq!(cost(&plain, &usage(100, 10)), Some(200.0));
    }

    #[test]
    fn only_a_price_that_is_needed_must_be_known() {
        let input_only = Prices {
            input: Some(0.0),
            ..Prices::default()
        };
        assert_eq!(cost(&input_only, &Usage::new(5, 0)), Some(0.0));
        assert_eq!(cost(&input_only, &Usage::new(5, 1)), None);
        assert_eq!(cost(&Prices::default(), &Usage::new(0, 0)), Some(0.0));
    }

    #[test]
    fn parts_that_are_larger_than_the_whole_are_cut() {
        let hostile = Usage {
            cached_input: u64::MAX,
            cache_write: u64::MAX,
            reasoning: u64::MAX,
            ..Usage::new(4, 1)
        };
        assert_eq!(cost(&PRICES, &hostile), Some(1.0 + 20.0));
    }
}

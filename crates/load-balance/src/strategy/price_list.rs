//! What the members of a tier cost, and in which order to ask for the cheapest.

use std::{collections::HashMap, sync::Arc};

use ziggurat_core::{Deployment, Prices};

/// Output tokens for each input token for which the members are kept in order: none, and powers of
/// two from 1/64 to 64.
const RATIOS: usize = 14;
const LEAST_RATIO: i32 = -6;

/// How many more to look at once one has been found, for one that is cheaper after all.
const MORE: u32 = 16;

/// The members of a tier by price.
///
/// The order by expected cost depends on the request only through the ratio of its output to its
/// input, so it is kept for some ratios. A walk begins with the order for the next lower ratio: the
/// cost there is a lower bound of the real one, so it may end at the first member whose bound is
/// over what has been found.
#[derive(Debug)]
pub(crate) struct PriceList {
    classes: Box<[Class]>,
    orders: Box<[Box<[u32]>]>,
}

/// Members of the same prices.
#[derive(Debug)]
struct Class {
    rates: Rates,
    long: Option<(u64, Rates)>,
    /// Their places in the tier.
    members: Box<[u32]>,
}

/// Dollars for a token.
#[derive(Clone, Copy, Debug)]
struct Rates {
    input: Option<f64>,
    cached: Option<f64>,
    output: Option<f64>,
}

/// What a request is expected to use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Input tokens.
    pub(crate) input: u64,
    /// The part of them that the provider has cached, from 0 to 1.
    pub(crate) cached: f64,
    /// Output tokens.
    pub(crate) output: f64,
}

impl PriceList {
    pub(crate) fn new(members: &[Arc<Deployment>]) -> Self {
        let mut by_price: HashMap<_, usize> = HashMap::new();
        let mut classes: Vec<(Prices, Vec<u32>)> = Vec::new();
        for (place, member) in (0..).zip(members) {
            let prices = member.prices();
            let class = *by_price.entry(key(prices)).or_insert_with(|| {
                classes.push((*prices, Vec::new()));
                classes.len() - 1
            });
            classes[class].1.push(place);
        }
        let classes: Box<[_]> = classes
            .into_iter()
            .map(|(prices, members)| Class::new(&prices, members.into()))
            .collect();
        let orders = (0..RATIOS).map(|at| {
            let mut order: Vec<u32> = (0..classes.len() as u32).collect();
            let bound = |class: &u32| classes[*class as usize].bound(ratio(at));
            order.sort_by(|a, b| bound(a).total_cmp(&bound(b)));
            order.into()
        });
        Self {
            orders: orders.collect(),
            classes,
        }
    }

    /// The cheapest member for so many tokens; of several any. `pick` picks one of some members, if
    /// one of them will do. Those of which the price is not known come after all others.
    pub(crate) fn cheapest(
        &self,
        expected: Expected,
        mut pick: impl FnMut(&[u32]) -> Option<usize>,
    ) -> Option<usize> {
        let input = expected.input.max(1);
        let expected = Expected { input, ..expected };
        let at = ratio_at(expected.output / input as f64);
        let (mut best, mut ties) = (None, 0);
        let mut more = MORE;
        for class in &self.orders[at] {
            let class = &self.classes[*class as usize];
            if let Some((least, _)) = best {
                if more == 0 || class.bound(ratio(at)) * input as f64 > least {
                    break;
                }
                more -= 1;
            }
            let Some(cost) = class.cost(expected) else {
                continue;
            };
            let least = best.map_or(f64::INFINITY, |(least, _)| least);
            if cost < least {
                if let Some(index) = pick(&class.members) {
                    (best, ties) = (Some((cost, index)), class.members.len());
                }
            } else if cost == least
                && let Some(index) = pick(&class.members)
            {
                ties += class.members.len();
                if fastrand::usize(..ties) < class.members.len() {
                    best = Some((cost, index));
                }
            }
        }
        best.map(|(_, index)| index)
            .or_else(|| self.unknown(expected, pick))
    }

    /// Any of those of which the price is not known.
    fn unknown(
        &self,
        expected: Expected,
        mut pick: impl FnMut(&[u32]) -> Option<usize>,
    ) -> Option<usize> {
        let (mut found, mut ties) = (None, 0);
        for class in &self.classes {
            if class.cost(expected).is_none()
                && let Some(index) = pick(&class.members)
            {
                ties += class.members.len();
                if fastrand::usize(..ties) < class.members.len() {
                    found = Some(index);
                }
            }
        }
        found
    }
}

impl Rates {
    /// What is no price is not known.
    fn new(input: Option<f64>, cached: Option<f64>, output: Option<f64>) -> Self {
        let valid = |price: &f64| price.is_finite() && *price >= 0.0;
        Self {
            input: input.filter(valid),
            cached: cached.filter(valid),
            output: output.filter(valid),
        }
    }
}

impl Class {
    fn new(prices: &Prices, members: Box<[u32]>) -> Self {
        let rates = Rates::new(prices.input, prices.cached_input, prices.output);
        let long = prices.long.map(|long| {
            let input = long.input.or(prices.input);
            let cached = long.cached_input.or(prices.cached_input);
            let output = long.output.or(prices.output);
            (long.above, Rates::new(input, cached, output))
        });
        Self {
            rates,
            long,
            members,
        }
    }

    fn cost(&self, expected: Expected) -> Option<f64> {
        let output = expected.output;
        let rates = match self.long {
            Some((above, long)) if expected.input > above => long,
            _ => self.rates,
        };
        let of_output = match rates.output {
            Some(price) => output * price,
            None if output == 0.0 => 0.0,
            None => return None,
        };
        let price = rates.input?;
        let discount = price - rates.cached.unwrap_or(price);
        let of_input = expected.input as f64 * (price - expected.cached * discount);
        Some(of_input + of_output)
    }

    /// What an input token costs at least, with the output that goes with it.
    fn bound(&self, ratio: f64) -> f64 {
        let cost = |rates: Rates| {
            let of_output = ratio * rates.output.unwrap_or(0.0);
            let input = rates.input.unwrap_or(f64::INFINITY);
            input.min(rates.cached.unwrap_or(input)) + of_output
        };
        let long = self.long.map_or(f64::INFINITY, |(_, long)| cost(long));
        cost(self.rates).min(long)
    }
}

/// What of the prices decides.
fn key(prices: &Prices) -> ([Option<u64>; 3], Option<(u64, [Option<u64>; 3])>) {
    let bits = |price: Option<f64>| price.map(f64::to_bits);
    let long = prices.long.map(|long| {
        let rates = [bits(long.input), bits(long.cached_input), bits(long.output)];
        (long.above, rates)
    });
    let rates = [prices.input, prices.cached_input, prices.output];
    (rates.map(bits), long)
}

fn ratio(at: usize) -> f64 {
    if at == 0 {
        0.0
    } else {
        f64::from(LEAST_RATIO + at as i32 - 1).exp2()
    }
}

/// The place of the greatest ratio that is not over this one.
fn ratio_at(ratio: f64) -> usize {
    let at = ratio.log2().floor() as i32 - LEAST_RATIO + 1;
    at.clamp(0, RATIOS as i32 - 1) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ziggurat_core::LongContext;

    use super::*;

    #[test]
    fn the_next_lower_ratio_is_found() {
        for at in 1..RATIOS {
            assert_eq!(ratio_at(ratio(at)), at);
            assert_eq!(ratio_at(ratio(at) * 1.9), at);
        }
        assert_eq!((ratio_at(0.0), ratio_at(1e-9)), (0, 0));
        assert_eq!(ratio_at(1e9), RATIOS - 1);
    }

    fn price() -> impl Strategy<Value = Option<f64>> {
        prop::option::weighted(
            0.9,
            prop::sample::select(vec![0.0, 1.0, 1.5, 2.0, 4.0, 30.0]),
        )
    }

    proptest! {
        #[test]
        fn the_first_that_is_open_is_as_cheap_as_any_that_is(
            given in prop::collection::vec(
                (
                    (price(), price(), price()),
                    prop::option::of((0..2_000_u64, price(), price())),
                    any::<bool>(),
                ),
                1..=MORE as usize,
            ),
            cached in prop_oneof![Just(0.0), 0.0..=1.0_f64],
            input in 0..4_000_u64,
            output in prop_oneof![Just(0.0), 0.0..5_000.0_f64],
        ) {
            let members: Vec<_> = given
                .iter()
                .map(|((input, cached_input, output), long, _)| {
                    let prices = Prices {
                        input: *input,
                        cached_input: *cached_input,
                        output: *output,
                        long: long.map(|(above, input, output)| LongContext {
                            above,
                            input,
                            output,
                            ..LongContext::default()
                        }),
                        ..Prices::default()
                    };
                    Arc::new(Deployment::new("a", "g", "m").with_prices(prices))
                })
                .collect();
            let cost = |at: usize| {
                let ((mut of_input, of_cached, mut of_output), long, _) = given[at];
                if let Some((above, long_input, long_output)) = long
                    && input.max(1) > above
                {
                    of_input = long_input.or(of_input);
                    of_output = long_output.or(of_output);
                }
                let of_output = if output == 0.0 { Some(of_output.unwrap_or(0.0)) } else { of_output };
                match (of_input, of_output) {
                    (Some(of_input), Some(of_output)) => {
                        let discount = of_input - of_cached.unwrap_or(of_input);
                        let of_input = input.max(1) as f64 * (of_input - cached * discount);
                        let of_output = output * of_output;
                        of_input + of_output
                    }
                    _ => f64::INFINITY,
                }
            };
            let open = |members: &[u32]| {
                members.iter().map(|at| *at as usize).find(|at| given[*at].2)
            };
            let expected = Expected { input, cached, output };
            let found = PriceList::new(&members).cheapest(expected, open);
            let best = (0..given.len()).filter(|at| given[*at].2).map(cost).reduce(f64::min);
            prop_assert_eq!(found.map(cost), best);
        }
    }
}

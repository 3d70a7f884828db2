use ziggurat_core::Param;

use crate::{
    Candidate, Candidates, InputTokens, OutputTokens, Strategy, Track,
    strategy::{Expected, PriceList},
};

/// The output that is expected while nothing is known.
const OUTPUT: f64 = 256.0;

/// How many deployments are asked how long answers are.
const ASKED: usize = 4;

/// How often to draw one of many of the same price before looking at all of them.
const DRAWS: usize = 24;

/// Picks the deployment where the request costs the least, of several any: `cost-based-routing`.
///
/// The expected cost is that of the input tokens, roughly counted, and of the output tokens: as many
/// as answers have on average, and no more than the request allows. Before any answer it is what
/// the request allows, or 256. A price of zero is free; a deployment without prices comes after all
/// that have some; prices for a long input hold for requests that have one. That a provider may
/// have cached the input is not considered.
///
/// All requests go to the cheapest deployment until it refuses or fails; put a rate limit below the
/// balancer, and give the dearer ones the overflow. One that has just failed is picked only where
/// no other is left.
///
/// It keeps the deployments of each group in order of price, for some ratios of output to input,
/// and the mean output of each. It finds the cheapest also among thousands; where more than 16
/// of different prices are within a factor of two of each other it may take one that is a little
/// dearer.
///
/// # Differences from LiteLLM
///
/// The cost is that of the request, not the sum of two prices. A price of zero is respected, an
/// unknown one is not taken for five dollars, and equal prices share the load. It does not look at
/// limits: that is for the layer below.
#[derive(Clone, Copy, Debug, Default)]
pub struct CostBased;

impl<R: Param<InputTokens> + Param<OutputTokens>> Strategy<R> for CostBased {
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize> {
        let (InputTokens(input), OutputTokens(most)) = (request.param(), request.param());
        let tier = candidates.tier();
        let prices = tier
            .prices
            .get_or_init(|| PriceList::new(candidates.tier_members()));
        let (output, cached) = expected_use(candidates, most);
        let expected = Expected {
            input,
            cached,
            output,
        };
        let healthy = |members: &[u32]| any_of(candidates, members, |it| !it.is_failing());
        let any = |members: &[u32]| any_of(candidates, members, |_| true);
        let cheapest = prices.cheapest(expected, healthy);
        cheapest.or_else(|| prices.cheapest(expected, any))
    }

    fn track(&self, _: &str) -> Track {
        Track::default().output()
    }
}

/// The output tokens of an answer, and the part of the input that is cached, as they were of late.
fn expected_use(candidates: &Candidates<'_>, most: Option<u64>) -> (f64, f64) {
    let (mut output, mut cached, mut count) = (0.0, 0.0, 0);
    let mut ask = |candidate: Candidate<'_>| {
        if let Some(mean) = candidate.mean_output() {
            output += f64::from(mean);
            cached += f64::from(candidate.mean_cached());
            count += 1;
        }
    };
    if candidates.tier().members.len() <= ASKED {
        candidates.iter().for_each(&mut ask);
    } else {
        candidates.draw_any(ASKED).for_each(&mut ask);
    }
    let most = most.map(|most| most as f64);
    if count == 0 {
        return (most.unwrap_or(OUTPUT), 0.0);
    }
    let asked = f64::from(count);
    let output = output / asked;
    (most.map_or(output, |most| output.min(most)), cached / asked)
}

/// Any of these members that may be picked and is allowed.
fn any_of(
    candidates: &Candidates<'_>,
    members: &[u32],
    allow: impl Fn(&Candidate<'_>) -> bool,
) -> Option<usize> {
    let first = candidates.tier().members.start;
    let get = |member: u32| {
        let candidate = candidates.get(first + member as usize)?;
        allow(&candidate).then_some(candidate.index())
    };
    if let [member] = members {
        return get(*member);
    }
    let mut drawn = (0..DRAWS).filter_map(|_| get(members[fastrand::usize(..members.len())]));
    if let Some(index) = drawn.next() {
        return Some(index);
    }
    let (mut found, mut count) = (None, 0);
    for index in members.iter().filter_map(|member| get(*member)) {
        count += 1;
        if fastrand::usize(..count) == 0 {
            found = Some(index);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{LongContext, Prices, Usage};

    use super::*;
    use crate::{bits::Bits, strategy::testing::Members};

    struct Asks(u64, Option<u64>);

    impl Param<InputTokens> for Asks {
        fn param(&self) -> InputTokens {
            InputTokens(self.0)
        }
    }

    impl Param<OutputTokens> for Asks {
        fn param(&self) -> OutputTokens {
            OutputTokens(self.1)
        }
    }

    fn members(prices: &[(Option<f64>, Option<f64>)]) -> Members {
        Members::of(prices.iter().enumerate().map(|(i, (input, output))| {
            Members::plain(i).with_prices(Prices {
                input: *input,
                output: *output,
                ..Prices::default()
            })
        }))
    }

    fn pick(members: &Members, asks: &Asks) -> Option<usize> {
        let closed = Bits::default();
        CostBased.pick(asks, &members.candidates(&closed))
    }

    #[test]
    fn it_depends_on_the_request_which_is_cheaper() {
        let members = members(&[(Some(1.0), Some(10.0)), (Some(5.0), Some(2.0))]);
        assert_eq!(pick(&members, &Asks(1_000, Some(10))), Some(0));
        assert_eq!(pick(&members, &Asks(10, Some(1_000))), Some(1));
    }

    #[test]
    fn how_long_answers_are_is_learned() {
        let members = members(&[(Some(1.0), Some(10.0)), (Some(5.0), Some(2.0))]);
        assert_eq!(pick(&members, &Asks(1_000, Some(4_000))), Some(1));
        members.cell(0).gauges().means.add(&Usage::new(1_000, 20));
        assert_eq!(pick(&members, &Asks(1_000, Some(4_000))), Some(0));
        assert_eq!(pick(&members, &Asks(1, None)), Some(1));
    }

    #[test]
    fn what_providers_have_cached_has_a_price_of_its_own() {
        let price = |input, cached_input| Prices {
            input: Some(input),
            cached_input,
            output: Some(0.0),
            ..Prices::default()
        };
        let members = Members::of([
            Members::plain(0).with_prices(price(2.0, Some(0.1))),
            Members::plain(1).with_prices(price(1.0, None)),
        ]);
        assert_eq!(pick(&members, &Asks(1_000, None)), Some(1));
        let mut usage = Usage::new(1_000, 9);
        usage.cached_input = 900;
        members.cell(1).gauges().means.add(&usage);
        assert_eq!(pick(&members, &Asks(1_000, None)), Some(0));
    }

    #[test]
    fn zero_is_free_and_an_unknown_price_comes_last() {
        let unknown = (Some(f64::NAN), Some(-1.0));
        let all = members(&[unknown, (Some(1.0), Some(0.0)), (Some(0.0), Some(0.0))]);
        assert_eq!(pick(&all, &Asks(100, None)), Some(2));
        all.hint(2);
        assert_eq!(pick(&all, &Asks(100, None)), Some(1));
        all.hint(1);
        assert_eq!(pick(&all, &Asks(100, None)), Some(0));
    }

    #[test]
    fn a_long_input_has_its_own_price() {
        let long = LongContext {
            above: 1_000,
            input: Some(9.0),
            output: None,
            ..LongContext::default()
        };
        let price = |input, long| Prices {
            input: Some(input),
            output: Some(0.0),
            long,
            ..Prices::default()
        };
        let members = Members::of([
            Members::plain(0).with_prices(price(1.0, Some(long))),
            Members::plain(1).with_prices(price(2.0, None)),
        ]);
        assert_eq!(pick(&members, &Asks(1_000, None)), Some(0));
        assert_eq!(pick(&members, &Asks(1_001, None)), Some(1));
    }

    #[test]
    fn equal_prices_share_the_load_and_one_that_fails_has_none_of_it() {
        fastrand::seed(14);
        let cheap = (Some(1.0), Some(1.0));
        let members = members(&[cheap, (Some(2.0), Some(2.0)), cheap, cheap]);
        let pick = || pick(&members, &Asks(100, None));
        members.assert_shares(9_000, pick, &[1.0, 0.0, 1.0, 1.0]);
        members.fail(2);
        members.assert_shares(9_000, pick, &[1.0, 0.0, 0.0, 1.0]);
        members.fail(0);
        members.fail(3);
        members.assert_shares(100, pick, &[0.0, 1.0, 0.0, 0.0]);
        members.fail(1);
        members.assert_shares(9_000, pick, &[1.0, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn what_cannot_be_answered_with_tokens_needs_no_output_price() {
        let members = members(&[(Some(1.0), None), (Some(2.0), Some(0.0))]);
        assert_eq!(pick(&members, &Asks(100, Some(0))), Some(0));
        assert_eq!(pick(&members, &Asks(100, None)), Some(1));
    }
}

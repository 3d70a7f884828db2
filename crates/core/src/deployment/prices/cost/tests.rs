use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::Deployment;

/// Every price is another power of two, in picodollars, so that a sum tells its parts.
fn prices() -> Prices {
    let pico = |power: u32| Some(f64::from(1_u32 << power) * 1e-12);
    Prices {
        input: pico(0),
        output: pico(1),
        cached_input: pico(2),
        cache_write: pico(3),
        cache_write_1h: pico(4),
        reasoning: pico(5),
        long: Some(LongContext {
            above: 1_000,
            input: pico(6),
            output: pico(7),
            cached_input: pico(8),
            cache_write: pico(9),
            cache_write_1h: pico(10),
        }),
        units: UnitPrices {
            audio_input: pico(11),
            audio_output: pico(12),
            image_input: pico(13),
            image_output: pico(14),
            image: pico(15),
            second: pico(16),
            character: pico(17),
            query: pico(18),
            request: None,
        },
    }
}

fn pico(prices: &Prices, usage: &Usage) -> Option<u128> {
    prices.cost(usage).map(Money::picodollars)
}

#[test]
fn every_kind_of_token_has_its_price() {
    let usage = Usage {
        cached_input: 200,
        cache_write: 100,
        cache_write_1h: 30,
        audio_input: 50,
        image_input: 40,
        reasoning: 60,
        audio_output: 7,
        image_output: 5,
        ..Usage::new(1_000, 100)
    };
    let input = 610 + 200 * 4 + 70 * 8 + 30 * 16 + 50 * 2_048 + 40 * 8_192;
    let output = 28 * 2 + 60 * 32 + 7 * 4_096 + 5 * 16_384;
    assert_eq!(pico(&prices(), &usage), Some(input + output));
}

#[test]
fn one_token_over_the_threshold_changes_the_price_of_all() {
    let usage = Usage {
        cached_input: 200,
        cache_write: 100,
        cache_write_1h: 30,
        reasoning: 60,
        ..Usage::new(1_001, 100)
    };
    let input = 701 * 64 + 200 * 256 + 70 * 512 + 30 * 1_024;
    // Reasoning has no price of its own there.
    assert_eq!(pico(&prices(), &usage), Some(input + 100 * 128));
}

#[test]
fn tokens_without_a_price_of_their_own_cost_as_the_others() {
    let plain = Prices {
        input: Some(1e-12),
        output: Some(10e-12),
        ..Prices::default()
    };
    let usage = Usage {
        cached_input: 10,
        cache_write: 10,
        cache_write_1h: 5,
        audio_input: 10,
        image_input: 10,
        reasoning: 5,
        audio_output: 2,
        image_output: 1,
        ..Usage::new(100, 10)
    };
    assert_eq!(pico(&plain, &usage), Some(200));
    // An hour costs as much as five minutes where it has no price of its own.
    let written = Prices {
        cache_write: Some(3e-12),
        ..plain
    };
    assert_eq!(pico(&written, &usage), Some(90 + 10 * 3 + 100));
}

#[test]
fn what_is_unknown_is_none_and_what_is_free_is_zero() {
    let input_only = Prices {
        input: Some(0.0),
        ..Prices::default()
    };
    assert_eq!(pico(&input_only, &Usage::new(5, 0)), Some(0));
    assert_eq!(pico(&input_only, &Usage::new(5, 1)), None);
    assert_eq!(pico(&Prices::default(), &Usage::new(1, 0)), None);
    // Nothing was used: that costs nothing, whatever the price.
    assert_eq!(pico(&Prices::default(), &Usage::new(0, 0)), Some(0));
    // Nothing was counted: nobody knows.
    assert_eq!(pico(&prices(), &Usage::default()), None);
    let no_price = Prices {
        input: Some(f64::NAN),
        output: Some(-1.0),
        ..Prices::default()
    };
    assert_eq!(pico(&no_price, &Usage::new(1, 0)), None);
    assert_eq!(pico(&no_price, &Usage::new(0, 1)), None);
}

#[test]
fn what_is_no_token_is_billed_where_there_are_no_tokens() {
    let all = prices();
    let images = Usage {
        images: Some(2),
        ..Usage::default()
    };
    assert_eq!(pico(&all, &images), Some(2 * 32_768));
    let read_out = Usage {
        characters: Some(3),
        ..Usage::default()
    };
    assert_eq!(pico(&all, &read_out), Some(3 * 131_072));
    // 2.5 s × 65,536, and a third of a second of it: 21,845.33…, rounded.
    let heard = |time| Usage {
        audio_time: Some(time),
        ..Usage::default()
    };
    assert_eq!(
        pico(&all, &heard(Duration::from_millis(2_500))),
        Some(163_840)
    );
    assert_eq!(pico(&all, &heard(Duration::from_secs(1) / 3)), Some(21_845));
    // The image was billed by its tokens.
    let drawn = Usage {
        images: Some(1),
        image_output: 10,
        ..Usage::new(4, 10)
    };
    assert_eq!(pico(&all, &drawn), Some(4 + 10 * 16_384));
    // Tokens were counted that have no price.
    let by_the_image = Prices {
        units: all.units,
        ..Prices::default()
    };
    let counted = Usage {
        images: Some(1),
        ..Usage::new(4, 10)
    };
    assert_eq!(pico(&by_the_image, &counted), Some(32_768));
}

#[test]
fn searches_and_the_request_come_on_top() {
    let mut all = prices();
    let searched = Usage {
        queries: Some(3),
        ..Usage::new(10, 0)
    };
    assert_eq!(pico(&all, &searched), Some(10 + 3 * 262_144));
    let alone = Usage {
        queries: Some(1),
        ..Usage::default()
    };
    assert_eq!(pico(&all, &alone), Some(262_144));
    all.units.request = Some(1e-6);
    assert_eq!(pico(&all, &Usage::new(10, 0)), Some(10 + 1_000_000));
    // A search without a price is part of the answer.
    all.units.query = None;
    assert_eq!(pico(&all, &searched), Some(10 + 1_000_000));
}

#[test]
fn a_class_of_service_has_its_own_prices_and_a_batch_costs_half() {
    let usual = Prices {
        input: Some(10e-12),
        output: Some(40e-12),
        cached_input: Some(5e-12),
        ..Prices::default()
    };
    let flex = Prices {
        input: Some(6e-12),
        output: Some(20e-12),
        ..Prices::default()
    };
    let deployment = Deployment::new("a", "g", "m")
        .with_prices(usual)
        .with_tier_prices(ServiceTier::Flex, flex);
    let cost = |tier| {
        let usage = Usage {
            cached_input: 1,
            tier,
            ..Usage::new(11, 3)
        };
        deployment.cost(&usage).map(Money::picodollars)
    };
    assert_eq!(cost(None), Some(10 * 10 + 5 + 3 * 40));
    // The cached one has no price of its own there.
    assert_eq!(cost(Some(ServiceTier::Flex)), Some(10 * 6 + 5 + 3 * 20));
    assert_eq!(cost(Some(ServiceTier::Priority)), cost(None));
    // 225 / 2, rounded.
    assert_eq!(cost(Some(ServiceTier::Batch)), Some(113));
}

#[test]
fn prices_of_real_models_give_the_sums_of_a_bill() {
    let per_million = |dollars: f64| Some(dollars / 1e6);
    let sonnet = Prices {
        input: per_million(3.0),
        output: per_million(15.0),
        cached_input: per_million(0.3),
        cache_write: per_million(3.75),
        cache_write_1h: per_million(6.0),
        long: Some(LongContext {
            above: 200_000,
            input: per_million(6.0),
            output: per_million(22.5),
            cached_input: per_million(0.6),
            cache_write: per_million(7.5),
            cache_write_1h: per_million(12.0),
        }),
        ..Prices::default()
    };
    let nano = Prices {
        input: per_million(0.05),
        output: per_million(0.4),
        cached_input: per_million(0.005),
        ..Prices::default()
    };
    for (prices, usage, bill) in [
        // 12 × 3 + 34 × 15 = 546 millionths.
        (&sonnet, Usage::new(12, 34), "0.000546"),
        // 10 × 3 + 1,650 × 0.3 + 44 × 3.75 + 7 × 15 = 795 millionths.
        (
            &sonnet,
            Usage {
                cached_input: 1_650,
                cache_write: 44,
                ..Usage::new(1_704, 7)
            },
            "0.000795",
        ),
        // 100 × 3 + 900 × 3.75 + 1,000 × 6 = 9,675 millionths.
        (
            &sonnet,
            Usage {
                cache_write: 1_900,
                cache_write_1h: 1_000,
                ..Usage::new(2_000, 0)
            },
            "0.009675",
        ),
        // (200,001 − 200,000) × 6 + 200,000 × 0.6 + 1,000 × 22.5 = 142,506 millionths.
        (
            &sonnet,
            Usage {
                cached_input: 200_000,
                ..Usage::new(200_001, 1_000)
            },
            "0.142506",
        ),
        // 3 × 0.05 + 1 × 0.005 + 3 × 0.4 = 1.355 millionths.
        (
            &nano,
            Usage {
                cached_input: 1,
                reasoning: 2,
                ..Usage::new(4, 3)
            },
            "0.000001355",
        ),
    ] {
        let cost = prices.cost(&usage).expect("is known");
        assert_eq!(cost.to_string(), bill, "{usage:?}");
    }
}

#[test]
fn parts_that_are_larger_than_the_whole_are_cut() {
    // Grok on Azure: 161 cached of 7.
    let hostile = Usage {
        cached_input: 161,
        cache_write: u64::MAX,
        cache_write_1h: u64::MAX,
        audio_input: u64::MAX,
        reasoning: u64::MAX,
        audio_output: u64::MAX,
        ..Usage::new(7, 1)
    };
    assert_eq!(pico(&prices(), &hostile), Some(7 * 4 + 32));
    let most = Usage::new(u64::MAX, u64::MAX);
    assert!(prices().cost(&most).is_some());
}

fn price() -> impl proptest::strategy::Strategy<Value = Option<f64>> {
    let price = (0..1_000_000_u64).prop_map(|pico| pico as f64 * 1e-12);
    prop::option::weighted(0.9, price)
}

fn some_prices() -> impl proptest::strategy::Strategy<Value = Prices> {
    (
        (price(), price(), price(), price(), price(), price()),
        (price(), price(), price(), price(), price()),
    )
        .prop_map(|(tokens, units)| {
            let (input, output, cached_input, cache_write, cache_write_1h, reasoning) = tokens;
            let (audio_input, audio_output, image_input, image_output, query) = units;
            Prices {
                input,
                output,
                cached_input,
                cache_write,
                cache_write_1h,
                reasoning,
                long: None,
                units: UnitPrices {
                    audio_input,
                    audio_output,
                    image_input,
                    image_output,
                    query,
                    ..UnitPrices::default()
                },
            }
        })
}

/// Counts of which the parts are no more than the whole.
fn some_usage() -> impl proptest::strategy::Strategy<Value = Usage> {
    let many = || 0..1_000_000_u64;
    let parts = (many(), many(), many(), many(), many(), many());
    (
        parts,
        (many(), many(), many(), many(), prop::option::of(many())),
    )
        .prop_map(|(input, output)| {
            let (plain, cached, written, for_an_hour, heard, seen) = input;
            let (said, reasoning, spoken, drawn, queries) = output;
            Usage {
                cached_input: cached,
                cache_write: written + for_an_hour,
                cache_write_1h: for_an_hour,
                audio_input: heard,
                image_input: seen,
                reasoning,
                audio_output: spoken,
                image_output: drawn,
                queries,
                ..Usage::new(
                    plain + cached + written + for_an_hour + heard + seen,
                    said + reasoning + spoken + drawn,
                )
            }
        })
}

proptest! {
    #[test]
    fn the_cost_of_two_answers_is_the_sum_of_their_costs(
        prices in some_prices(),
        a in some_usage(),
        b in some_usage(),
    ) {
        if let (Some(one), Some(other)) = (prices.cost(&a), prices.cost(&b)) {
            prop_assert_eq!(prices.cost(&a.plus(&b)), Some(one + other));
        }
    }

    #[test]
    fn who_uses_more_of_anything_pays_no_less(
        prices in some_prices(),
        less in some_usage(),
        more in some_usage(),
        above in 0..6_000_000_u64,
        dearer in 1..4_u8,
    ) {
        let times = |price: Option<f64>| price.map(|price| price * f64::from(dearer));
        let reasoning = prices.reasoning.or(prices.output);
        let most = |a: Option<f64>, b: Option<f64>| Some(a?.max(b?));
        let long = LongContext {
            above,
            input: times(prices.input),
            output: times(most(prices.output, reasoning)),
            cached_input: times(prices.cached_input),
            cache_write: times(prices.cache_write),
            cache_write_1h: times(prices.cache_write_1h),
        };
        // Where an hour has no price of its own, that of five minutes holds on both sides.
        let prices = match (prices.cache_write, prices.cache_write_1h) {
            (None, Some(_)) => Prices { cache_write: prices.cache_write_1h, ..prices },
            _ => prices,
        };
        let prices = Prices { long: Some(long), ..prices };
        if let (Some(few), Some(many)) = (prices.cost(&less), prices.cost(&less.plus(&more))) {
            prop_assert!(few <= many, "{} > {}", few, many);
        }
    }

    #[test]
    fn a_price_in_picodollars_is_taken_exactly(pico in 0..1_000_000_000_000_u64, tokens in 0..1_000_000_u64) {
        // As a file writes it: dollars for a token.
        let text = format!("0.{pico:012}");
        let prices = Prices { input: text.parse().ok(), ..Prices::default() };
        let cost = prices.cost(&Usage::new(tokens, 0)).map(Money::picodollars);
        prop_assert_eq!(cost, Some(u128::from(pico) * u128::from(tokens)));
    }
}

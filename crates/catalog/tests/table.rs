//! The table against values that were read from the source by hand, and its bounds.

use ziggurat_catalog::{Model, Unit, find, get, models};
use ziggurat_core::{Capability, LongContext, Mode, Prices, ServiceTier, Usage};

fn model(key: &str) -> Model {
    get(key).unwrap_or_else(|| panic!("{key} is not in the table; choose another example"))
}

#[test]
fn a_chat_model_has_its_facts() {
    let model = model("gpt-4o");
    assert_eq!(model.provider(), "openai");
    assert_eq!(model.mode(), Some(Mode::Chat));
    assert_eq!(model.max_input_tokens(), Some(128_000));
    assert_eq!(model.max_output_tokens(), Some(16_384));
    let prices = Prices {
        input: Some(2.5e-6),
        output: Some(1e-5),
        cached_input: Some(1.25e-6),
        ..Prices::default()
    };
    assert_eq!(model.prices(), prices);
    let priority = Prices {
        input: Some(4.25e-6),
        output: Some(1.7e-5),
        cached_input: Some(2.125e-6),
        ..Prices::default()
    };
    assert_eq!(model.tier_prices(ServiceTier::Priority), priority);
    assert_eq!(model.tier_prices(ServiceTier::Flex), Prices::default());
    assert_eq!(model.deprecated_on(), None);
    assert_eq!(model.supports(Capability::Tools), Some(true));
    assert_eq!(model.supports(Capability::Reasoning), None);
}

#[test]
fn long_inputs_have_prices_of_their_own() {
    let prices = model("eu.anthropic.claude-sonnet-4-5-20250929-v1:0").prices();
    assert_eq!(prices.cache_write, Some(4.125e-6));
    let long = LongContext {
        above: 200_000,
        input: Some(6.6e-6),
        output: Some(2.475e-5),
        cached_input: Some(6.6e-7),
        cache_write: Some(8.25e-6),
        cache_write_1h: Some(1.32e-5),
    };
    assert_eq!(prices.long, Some(long));
    let stepped = model("dashscope/qwen-flash").prices();
    assert_eq!(stepped.input, Some(5e-8));
    let long = stepped.long.expect("has two steps");
    assert_eq!((long.above, long.output), (256_000, Some(2e-6)));
}

#[test]
fn models_of_three_price_steps_have_a_window_but_no_price() {
    let model = model("dashscope/qwen3-max");
    assert!(model.max_input_tokens().is_some());
    assert_eq!(model.prices(), Prices::default());
    assert_eq!(model.cost(&Usage::new(1, 0)), None);
}

#[test]
fn what_only_some_models_have_is_read() {
    let claude = model("claude-sonnet-4-5");
    assert_eq!(claude.min_cached_tokens(), Some(1_024));
    assert_eq!(claude.deprecated_on(), Some("2026-11-30"));
    let embedding = model("text-embedding-3-small");
    assert_eq!(embedding.mode(), Some(Mode::Embedding));
    assert_eq!(embedding.dimensions(), Some(1_536));
    assert_eq!(embedding.prices().output, Some(0.0));
    assert_eq!(model("whisper-1").price_of(Unit::InputSecond), Some(1e-4));
    assert_eq!(model("tts-1").price_of(Unit::InputCharacter), Some(1.5e-5));
    let image = model("gpt-image-1");
    assert_eq!(image.price_of(Unit::OutputImageToken), Some(4e-5));
    assert_eq!(image.price_of(Unit::OutputImage), None);
    let small = model("gpt-5.4");
    assert_eq!(
        small.tier_prices(ServiceTier::Batch).cached_input,
        Some(1.3e-7)
    );
}

#[test]
fn what_is_no_text_has_its_price_once() {
    let cost = |key: &str, usage: Usage| {
        let cost = model(key).cost(&usage);
        cost.map(|cost| cost.to_string())
    };
    let is = |dollars: &str| Some(dollars.to_owned());
    let heard = Usage {
        audio_time: Some(std::time::Duration::from_millis(4_500)),
        ..Usage::default()
    };
    // A price for either side is one price: 4.5 × 0.0001.
    assert_eq!(cost("whisper-1", heard), is("0.00045"));
    let read_out = Usage {
        characters: Some(1_000),
        ..Usage::default()
    };
    assert_eq!(cost("tts-1", read_out), is("0.015"));
    let ranked = Usage {
        queries: Some(2),
        ..Usage::default()
    };
    assert_eq!(cost("rerank-v3.5", ranked), is("0.004"));
    // 10 × 5 + 4,160 × 40 millionths.
    let drawn = Usage {
        image_output: 4_160,
        images: Some(1),
        ..Usage::new(10, 4_160)
    };
    assert_eq!(cost("gpt-image-1", drawn), is("0.16645"));
    // 100 × 3.75 + 900 × 6 + 1,000 × 15 millionths.
    let written = Usage {
        cache_write: 1_000,
        cache_write_1h: 900,
        ..Usage::new(1_000, 1_000)
    };
    assert_eq!(cost("claude-sonnet-4-5", written), is("0.020775"));
    // 1,000 × 0.625 + 100 × 5 millionths.
    let flex = Usage {
        tier: Some(ServiceTier::Flex),
        ..Usage::new(1_000, 100)
    };
    assert_eq!(cost("gpt-5", flex), is("0.001125"));
}

/// Every word, number and date of the table is one that the getters know.
#[test]
fn every_column_is_read_as_what_it_is() {
    let table = include_str!("../src/models.tsv");
    let names: Vec<_> = table.lines().nth(1).expect("header").split('\t').collect();
    for (line, model) in table.lines().skip(2).zip(models()) {
        let cell = |name: &str| {
            let at = names.iter().position(|it| *it == name).expect("a column");
            line.split('\t').nth(at).unwrap_or_default()
        };
        let key = cell("model");
        assert_eq!(model.key(), key);
        assert_eq!(model.provider(), cell("provider"));
        assert_eq!(model.mode().map(Mode::as_str), Some(cell("mode")), "{key}");
        for (name, count) in [
            ("max_input", model.max_input_tokens()),
            ("max_output", model.max_output_tokens()),
            ("cache_min", model.min_cached_tokens()),
            ("dimensions", model.dimensions()),
        ] {
            let text = count.map(|count| count.to_string()).unwrap_or_default();
            assert_eq!(text, cell(name), "{key}");
        }
        assert_eq!(
            model.deprecated_on().unwrap_or_default(),
            cell("deprecated")
        );

        let words = cell("capabilities").split_whitespace();
        let (no, yes): (Vec<_>, Vec<_>) = words.partition(|word| word.starts_with('!'));
        let known = model.capabilities();
        assert_eq!(known.yes().iter().count(), yes.len(), "{key}");
        assert_eq!(known.no().iter().count(), no.len(), "{key}");

        for (name, prices) in [
            ("prices", model.prices()),
            ("batch", model.tier_prices(ServiceTier::Batch)),
            ("flex", model.tier_prices(ServiceTier::Flex)),
            ("priority", model.tier_prices(ServiceTier::Priority)),
        ] {
            assert_eq!(
                numbers(&prices),
                cell(name).split_whitespace().count(),
                "{key} {name}"
            );
        }
        let units = Unit::ALL.iter().filter_map(|unit| model.price_of(*unit));
        assert_eq!(
            units.count(),
            cell("units").split_whitespace().count(),
            "{key}"
        );
    }
}

fn numbers(prices: &Prices) -> usize {
    let usual = [
        prices.input,
        prices.output,
        prices.cached_input,
        prices.cache_write,
        prices.cache_write_1h,
        prices.reasoning,
    ];
    let long = prices.long.map_or(0, |long| {
        let all = [
            long.input,
            long.output,
            long.cached_input,
            long.cache_write,
            long.cache_write_1h,
        ];
        1 + all.iter().flatten().count()
    });
    usual.iter().flatten().count() + long
}

#[test]
fn the_table_is_large_in_models_and_small_in_bytes() {
    for (mode, at_least) in [
        (Mode::Chat, 2_000),
        (Mode::Embedding, 100),
        (Mode::Responses, 100),
        (Mode::ImageGeneration, 100),
        (Mode::AudioTranscription, 30),
        (Mode::Rerank, 20),
    ] {
        let count = models().filter(|it| it.mode() == Some(mode)).count();
        assert!(count >= at_least, "{mode}: {count}");
    }
    assert!(include_str!("../src/models.tsv").len() < 600_000);
}

#[test]
fn lookups_and_getters_do_not_allocate() {
    let work = || {
        let model = find("openai", "gpt-5.4").expect("is there");
        assert!(model.prices().long.is_some());
        assert!(model.capabilities().is_listed());
        assert!(model.tier_prices(ServiceTier::Flex).input.is_some());
        assert_eq!(model.price_of(Unit::Query), None);
        assert!(find("bedrock", "eu.anthropic.no-such-model").is_none());
        assert_eq!(
            find("azure", "apac/gpt-4o").map(|it| it.prices().input),
            Some(None)
        );
        assert_eq!(ziggurat_catalog::tokens::estimate("one, two"), 3);
    };
    work();
    assert_eq!(allocation_counter::measure(work).count_total, 0);
}

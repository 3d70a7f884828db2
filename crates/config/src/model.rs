//! What the model of a deployment is: prices, windows, what it can do.

use ziggurat_catalog::Model;
use ziggurat_core::{
    Capability, Deployment, FieldSet, LongContext, Mode, Prices, ServiceTier, UnitPrices,
};

use crate::{
    catalog,
    deployments::Reader,
    keys,
    problem::Report,
    read::{
        self, Found,
        Range::{NotNegative, OverZero},
        first,
    },
    source::Facts,
    tables::INFO,
};

/// The keys of the prices for inputs that are longer than so many tokens: those of input, output,
/// cached input, and input that is written to the cache.
const LONG: [(u64, [&str; 4]); 3] = [
    (
        128_000,
        [
            "input_cost_per_token_above_128k_tokens",
            "output_cost_per_token_above_128k_tokens",
            "cache_read_input_token_cost_above_128k_tokens",
            "cache_creation_input_token_cost_above_128k_tokens",
        ],
    ),
    (
        200_000,
        [
            "input_cost_per_token_above_200k_tokens",
            "output_cost_per_token_above_200k_tokens",
            "cache_read_input_token_cost_above_200k_tokens",
            "cache_creation_input_token_cost_above_200k_tokens",
        ],
    ),
    (
        272_000,
        [
            "input_cost_per_token_above_272k_tokens",
            "output_cost_per_token_above_272k_tokens",
            "cache_read_input_token_cost_above_272k_tokens",
            "cache_creation_input_token_cost_above_272k_tokens",
        ],
    ),
];

/// The keys of the prices in a class of service: those of input, output and cached input.
const TIERS: [(ServiceTier, [&str; 3]); 3] = [
    (
        ServiceTier::Batch,
        [
            "input_cost_per_token_batches",
            "output_cost_per_token_batches",
            "cache_read_input_token_cost_batches",
        ],
    ),
    (
        ServiceTier::Flex,
        [
            "input_cost_per_token_flex",
            "output_cost_per_token_flex",
            "cache_read_input_token_cost_flex",
        ],
    ),
    (
        ServiceTier::Priority,
        [
            "input_cost_per_token_priority",
            "output_cost_per_token_priority",
            "cache_read_input_token_cost_priority",
        ],
    ),
];

impl Reader<'_> {
    /// Adds what the model is.
    pub(crate) fn model(
        &self,
        mut deployment: Deployment,
        facts: &mut Facts,
        report: &mut Report,
    ) -> Deployment {
        let info = &self.info;
        let known = self.known(&deployment, facts, report);
        let mode = catalog::or(self.mode(report), known, Model::mode);
        if let Some(mode) = facts.take("mode", mode) {
            deployment = deployment.with_mode(mode);
        }
        let window = info.whole("max_input_tokens", OverZero, report);
        let window = catalog::or(window, known, Model::max_input_tokens);
        if let Some(tokens) = facts.take("max_input_tokens", window) {
            deployment = deployment.with_max_input_tokens(tokens);
        }
        let longest =
            ["max_output_tokens", "max_tokens"].map(|key| info.whole(key, OverZero, report));
        let longest = catalog::or(first(longest, report), known, Model::max_output_tokens);
        if let Some(tokens) = facts.take("max_output_tokens", longest) {
            deployment = deployment.with_max_output_tokens(tokens);
        }
        let mut capabilities = catalog::capabilities(known, facts);
        for key in INFO.acted {
            let capability = key.strip_prefix("supports_").and_then(Capability::parse);
            if let Some(capability) = capability
                && let Some(has) = facts.take(key, info.flag(key, report))
            {
                capabilities = capabilities.with(capability, has);
            }
        }
        if let Some(fields) = self.fields(facts, report) {
            deployment = deployment.with_fields(fields);
        }
        let deployment = deployment.with_capabilities(capabilities);
        self.prices(deployment, known, facts, report)
    }

    fn mode(&self, report: &mut Report) -> Option<Found<Mode>> {
        let found = self.info.text("mode", report)?;
        if let Some(mode) = Mode::parse(&found.value) {
            return Some(found.map(|_| mode));
        }
        let told = read::name(&found.value);
        let all = Mode::ALL.iter().map(|mode| mode.as_str());
        match keys::near(&found.value, all) {
            Some(near) => report.error(
                found.at,
                format!("unknown mode {told}; did you mean `{near}`?"),
            ),
            None => report.warning(found.at, format!("unknown mode {told}, ignored")),
        }
        None
    }

    fn fields(&self, facts: &mut Facts, report: &mut Report) -> Option<FieldSet> {
        let key = "supported_openai_params";
        let field = self.info.field(key)?;
        let found = self.info.one_or_more(key, report);
        for found in &found {
            if FieldSet::of(&found.value).is_none() {
                let told = read::name(&found.value);
                let message = format!("`{key}`: {told} is no field that is looked for, ignored");
                report.warning(found.at, message);
            }
        }
        let set: FieldSet = found.iter().map(|found| &*found.value).collect();
        let names: Vec<_> = set.names().map(std::sync::Arc::from).collect();
        facts.take(key, Some(field.found(names, None)));
        Some(set)
    }

    fn prices(
        &self,
        mut deployment: Deployment,
        known: Option<Model>,
        facts: &mut Facts,
        report: &mut Report,
    ) -> Deployment {
        let sections = [&self.params, &self.info];
        let mut price = |key: &'static str, report: &mut Report| {
            let found = sections.map(|section| section.number(key, NotNegative, report));
            facts.take(key, first(found, report))
        };
        let mut prices = Prices {
            input: price("input_cost_per_token", report),
            output: price("output_cost_per_token", report),
            cached_input: price("cache_read_input_token_cost", report),
            cache_write: price("cache_creation_input_token_cost", report),
            cache_write_1h: price("cache_creation_input_token_cost_above_1hr", report),
            reasoning: price("output_cost_per_reasoning_token", report),
            long: None,
            units: UnitPrices {
                audio_input: price("input_cost_per_audio_token", report),
                audio_output: price("output_cost_per_audio_token", report),
                image_input: price("input_cost_per_image_token", report),
                image_output: price("output_cost_per_image_token", report),
                image: price("output_cost_per_image", report),
                second: price("input_cost_per_second", report),
                character: price("input_cost_per_character", report),
                query: price("input_cost_per_query", report),
                request: price("input_cost_per_request", report),
            },
        };
        // The reference has names for one price on either side.
        let either = [
            ("input_cost_per_image", &mut prices.units.image),
            ("output_cost_per_second", &mut prices.units.second),
        ];
        for (key, set) in either {
            let other = price(key, report);
            *set = set.or(other);
        }
        for (above, keys) in LONG {
            let set = keys
                .into_iter()
                .find_map(|key| sections.iter().find_map(|section| section.field(key)));
            let Some(field) = set else {
                continue;
            };
            if let Some(LongContext { above, .. }) = prices.long {
                let message =
                    format!("prices of one length are kept: those above {above} tokens hold");
                report.warning(field.node.at, message);
                continue;
            }
            let [input, output, cached_input, cache_write] = keys.map(|key| price(key, report));
            prices.long = Some(LongContext {
                above,
                input,
                output,
                cached_input,
                cache_write,
                cache_write_1h: None,
            });
        }
        let has_own = prices.input.is_some() || prices.output.is_some();
        for (tier, keys) in TIERS {
            let [input, output, cached_input] = keys.map(|key| price(key, report));
            let own = Prices {
                input,
                output,
                cached_input,
                ..Prices::default()
            };
            let known = known.filter(|_| !has_own);
            let known = known.map(|known| known.tier_prices(tier));
            let own = match known {
                Some(known) if own.is_empty() => known,
                _ => own,
            };
            if !own.is_empty() {
                deployment = deployment.with_tier_prices(tier, own);
            }
        }
        catalog::complete(&mut prices, known, facts);
        deployment.with_prices(prices)
    }
}

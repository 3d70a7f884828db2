//! What the catalog says of the model of a deployment, where the file says nothing.

use std::sync::Arc;

use ziggurat_catalog::Model;
use ziggurat_core::{Capabilities, Deployment, Prices, UnitPrices};

use crate::{
    deployments::Reader,
    problem::Report,
    read::{self, Found, first},
    source::{Facts, Source},
    yaml::Pos,
};

impl Reader<'_> {
    /// The entry of the model: that of `base_model`, if that is given, else of what is asked for.
    pub(crate) fn known(
        &self,
        deployment: &Deployment,
        facts: &mut Facts,
        report: &mut Report,
    ) -> Option<Model> {
        let (provider, model) = (deployment.provider(), deployment.model());
        let base = [&self.info, &self.params].map(|section| section.text("base_model", report));
        let Some(base) = first(base, report) else {
            return ziggurat_catalog::find(provider, model);
        };
        let (name, at) = (Arc::clone(&base.value), base.at);
        facts.take("base_model", Some(base));
        let known = ziggurat_catalog::get(&name);
        let known = known.or_else(|| ziggurat_catalog::find(provider, &name));
        if known.is_none() {
            let told = read::name(&name);
            report.warning(at, format!("the catalog has no model {told}"));
        }
        known
    }
}

/// What the file says, else the catalog.
pub(crate) fn or<T>(
    found: Option<Found<T>>,
    known: Option<Model>,
    of: impl FnOnce(&Model) -> Option<T>,
) -> Option<Found<T>> {
    found.or_else(|| {
        known.as_ref().and_then(of).map(|value| Found {
            value,
            source: Source::Catalog,
            at: Pos::NOWHERE,
            path: String::new(),
        })
    })
}

/// What the catalog says that the model can do.
pub(crate) fn capabilities(known: Option<Model>, facts: &mut Facts) -> Capabilities {
    let Some(known) = known.map(|known| known.capabilities()) else {
        return Capabilities::default();
    };
    let names: Vec<Arc<str>> = known.yes().iter().map(|it| it.as_str().into()).collect();
    if !names.is_empty() {
        facts.note("supports", &names, Source::Catalog);
    }
    known
}

/// Fills prices that the file does not set with those of the catalog.
///
/// A price that the file sets keeps out those of the catalog that are a part of it or stand in for
/// it: they would be somebody else's discount.
pub(crate) fn complete(prices: &mut Prices, known: Option<Model>, facts: &mut Facts) {
    let Some(known) = known.map(|known| known.prices()) else {
        return;
    };
    let mut fill = |name: &str, price: &mut Option<f64>, known: Option<f64>| {
        if let (None, Some(known)) = (*price, known) {
            *price = Some(known);
            facts.note(name, &known, Source::Catalog);
        }
    };
    let (has_input, has_output) = (prices.input.is_some(), prices.output.is_some());
    let has_cache = prices.cache_write.is_some();
    let units = &mut prices.units;
    let by_unit = [units.image, units.second, units.character];
    if !has_input && !has_output && by_unit.iter().any(Option::is_some) {
        // It is billed by them, and not by the tokens of the catalog.
        return;
    }
    if *units == UnitPrices::default() && !has_input && !has_output {
        let known = &known.units;
        for (name, price, known) in [
            (
                "input_cost_per_audio_token",
                &mut units.audio_input,
                known.audio_input,
            ),
            (
                "output_cost_per_audio_token",
                &mut units.audio_output,
                known.audio_output,
            ),
            (
                "input_cost_per_image_token",
                &mut units.image_input,
                known.image_input,
            ),
            (
                "output_cost_per_image_token",
                &mut units.image_output,
                known.image_output,
            ),
            ("output_cost_per_image", &mut units.image, known.image),
            ("input_cost_per_second", &mut units.second, known.second),
            (
                "input_cost_per_character",
                &mut units.character,
                known.character,
            ),
            ("input_cost_per_query", &mut units.query, known.query),
            ("input_cost_per_request", &mut units.request, known.request),
        ] {
            fill(name, price, known);
        }
    }
    fill("input_cost_per_token", &mut prices.input, known.input);
    fill("output_cost_per_token", &mut prices.output, known.output);
    if !has_input {
        for (name, price, known) in [
            (
                "cache_read_input_token_cost",
                &mut prices.cached_input,
                known.cached_input,
            ),
            (
                "cache_creation_input_token_cost",
                &mut prices.cache_write,
                known.cache_write,
            ),
        ] {
            fill(name, price, known);
        }
    }
    if !has_input && !has_cache {
        let key = "cache_creation_input_token_cost_above_1hr";
        fill(key, &mut prices.cache_write_1h, known.cache_write_1h);
    }
    if !has_output {
        let key = "output_cost_per_reasoning_token";
        fill(key, &mut prices.reasoning, known.reasoning);
    }
    if let (false, false, None, Some(long)) = (has_input, has_output, prices.long, known.long) {
        let told = format!("above {} tokens", long.above);
        facts.note("long_context_prices", &told, Source::Catalog);
        prices.long = Some(long);
    }
}

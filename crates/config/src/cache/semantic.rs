//! Whether questions that mean the same have one answer.

use std::{sync::Arc, time::Duration};

use crate::{
    names::Names,
    problem::Report,
    read::{Found, Range, Section, first},
    source::{Facts, Source},
    tables::SEMANTIC,
    yaml::Pos,
};

/// The model for embeddings that LiteLLM asks if nobody says it.
const MODEL: &str = "text-embedding-ada-002";

/// `ziggurat_settings.cache.semantic`, after what `cache_params` adds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SemanticSettings {
    /// The group that is asked for embeddings.
    pub model: Arc<str>,
    /// How alike two questions must be: a cosine over 0 and up to 1.
    pub threshold: f64,
    /// How long an embedding is waited for. Over 0, and five seconds at most.
    pub timeout: Duration,
    /// How many answers are kept in memory.
    pub max_entries: u32,
    /// How many bytes of answers and vectors are kept in memory.
    pub max_bytes: u64,
}

/// Reads it; `wanted` says whether the type of the cache asks for it.
pub(super) fn read(
    own: &Section<'_>,
    params: &[Section<'_>; 2],
    wanted: bool,
    names: &Names,
    facts: &mut Facts,
    report: &mut Report,
) -> Option<SemanticSettings> {
    const PATIENCE: Duration = Duration::from_secs(5);
    const MAX_ENTRIES: u32 = 10_000;
    const MAX_BYTES: u64 = 128 << 20;
    let field = own.field("semantic");
    let section = own.child("semantic", &SEMANTIC, report);
    let old = params.map(|it| it.number("similarity_threshold", Range::Share, report));
    let old_model = params.map(|it| it.text("redis_semantic_cache_embedding_model", report));
    let old = first(old, report);
    if field.is_none() && !wanted {
        if let Some(old) = old {
            let message = "`similarity_threshold` has no effect: `type` is not `redis-semantic`";
            report.warning(old.at, message);
        }
        facts.note("cache.semantic", &"off", Source::Default);
        return None;
    }
    let at = field.map_or(Pos::NOWHERE, |field| field.node.at);
    let threshold = [section.number("threshold", Range::Share, report), old];
    let threshold = first(threshold, report);
    if threshold.is_none() {
        report.error(at, "a semantic cache needs a threshold of similarity");
    }
    let model = [section.text("model", report), first(old_model, report)];
    let model = first(model, report);
    let (name, place) = match &model {
        Some(found) => (&*found.value, found.at_or(at)),
        None => (MODEL, at),
    };
    if let Some(message) = names.refuse("the semantic cache: ", name, report) {
        report.error(place, message);
    }
    let timeout = section.seconds("timeout", Range::OverZero, report);
    let too_long = |found: &&Found<Duration>| found.value > PATIENCE;
    if let Some(found) = timeout.as_ref().filter(too_long) {
        report.error(
            found.at,
            "`timeout` of the semantic cache is 5 seconds at most",
        );
    }
    let max_entries = section.whole("max_entries", Range::OverZero, report);
    let max_bytes = section.whole("max_bytes", Range::OverZero, report);
    Some(SemanticSettings {
        model: facts.settle("cache.semantic.model", model, Arc::from(MODEL)),
        threshold: facts.settle("cache.semantic.threshold", threshold, 1.0),
        timeout: facts.settle("cache.semantic.timeout", timeout, PATIENCE),
        max_entries: facts.settle("cache.semantic.max_entries", max_entries, MAX_ENTRIES),
        max_bytes: facts.settle("cache.semantic.max_bytes", max_bytes, MAX_BYTES),
    })
}

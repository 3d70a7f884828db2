//! What strategies can be told.

use std::{fmt, time::Duration};

use serde_json::{Map, Value as Json};

use crate::{
    Strategy,
    problem::Report,
    read::{Found, Range, Section},
    source::{Facts, Show},
    tables::STRATEGY_ARGS,
};

/// More measurements of one deployment are not kept.
const MAX_LIST: u32 = 1_000;

/// `routing_strategy_args`. `None` leaves a strategy's own default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct StrategyArgs {
    /// How long measurements count; of `latency-based-routing`.
    pub ttl: Option<Duration>,
    /// By which part of the lowest latency another may be slower and still be chosen; of
    /// `latency-based-routing`.
    pub lowest_latency_buffer: Option<f64>,
    /// How many measurements are kept of each deployment, 1 to 1,000; of `latency-based-routing`.
    pub max_latency_list_size: Option<u32>,
    /// Which percentile of the times to first token counts, instead of their mean: over 0 and at
    /// most 1; of `latency-based-routing`.
    pub ttft_percentile: Option<f64>,
    /// The time in which what was measured loses two thirds of its weight; of `p2c`.
    pub decay: Option<Duration>,
    /// Which part of the deployments counts as not too busy, over 0 and at most 1; of `prequal`.
    pub quantile: Option<f64>,
    /// How many times the mean load one deployment may have, over 1; of `affinity`.
    pub load_factor: Option<f64>,
    /// What requests are kept together by; of `affinity`.
    pub key: Option<AffinityKey>,
}

/// What requests are kept together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AffinityKey {
    /// The session that the client names.
    Session,
    /// Who asks: the key of the caller, or else the user.
    Caller,
    /// The beginning of the prompt.
    Prompt,
}

const KEYS: [(&str, AffinityKey); 3] = [
    ("session", AffinityKey::Session),
    ("caller", AffinityKey::Caller),
    ("prompt", AffinityKey::Prompt),
];

impl AffinityKey {
    /// Its name in `routing_strategy_args.key`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut all = KEYS.iter();
        all.find(|(_, key)| *key == self)
            .map_or("", |(name, _)| name)
    }
}

impl fmt::Display for AffinityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The arguments that a strategy goes by.
fn of(strategy: Strategy) -> &'static [&'static str] {
    match strategy {
        Strategy::LatencyBased => &[
            "ttl",
            "lowest_latency_buffer",
            "max_latency_list_size",
            "ttft_percentile",
        ],
        Strategy::P2c => &["decay"],
        Strategy::Prequal => &["quantile"],
        Strategy::Affinity => &["load_factor", "key"],
        _ => &[],
    }
}

/// Reads `routing_strategy_args`; one that the strategy does not go by is a warning.
pub(crate) fn read(
    section: &Section<'_>,
    strategy: Strategy,
    facts: &mut Facts,
    report: &mut Report,
) -> StrategyArgs {
    use Range::{NotNegative, OverOne, OverZero, Share};
    let args = section.child("routing_strategy_args", &STRATEGY_ARGS, report);
    for (key, _) in args.acted() {
        if !of(strategy).contains(&&*key.text) {
            let message = format!("`{}` changes nothing for `{strategy}`", key.text);
            report.warning(key.at, message);
        }
    }
    let mut seconds = |key, report: &mut Report| {
        let found = args.seconds(key, OverZero, report);
        take(facts, key, found)
    };
    let (ttl, decay) = (seconds("ttl", report), seconds("decay", report));
    let mut number = |key, range, report: &mut Report| {
        let found = args.number(key, range, report);
        take(facts, key, found)
    };
    let lowest_latency_buffer = number("lowest_latency_buffer", NotNegative, report);
    let ttft_percentile = number("ttft_percentile", Share, report);
    let quantile = number("quantile", Share, report);
    let load_factor = number("load_factor", OverOne, report);
    let size = args.whole::<u32>("max_latency_list_size", OverZero, report);
    if let Some(long) = size.as_ref().filter(|found| found.value > MAX_LIST) {
        let message = format!("`max_latency_list_size` must be at most {MAX_LIST}");
        report.error(long.at, message);
    }
    let key = args.choice("key", &KEYS, report);
    StrategyArgs {
        ttl,
        lowest_latency_buffer,
        max_latency_list_size: take(facts, "max_latency_list_size", size),
        ttft_percentile,
        decay,
        quantile,
        load_factor,
        key: take(facts, "key", key),
    }
}

fn take<T: Show>(facts: &mut Facts, key: &str, found: Option<Found<T>>) -> Option<T> {
    facts.take(&format!("routing_strategy_args.{key}"), found)
}

impl StrategyArgs {
    /// As a configuration writes them.
    pub(crate) fn to_json(self) -> Json {
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64().into());
        let all: [(&str, Option<Json>); 8] = [
            ("ttl", seconds(self.ttl)),
            (
                "lowest_latency_buffer",
                self.lowest_latency_buffer.map(Json::from),
            ),
            (
                "max_latency_list_size",
                self.max_latency_list_size.map(Json::from),
            ),
            ("ttft_percentile", self.ttft_percentile.map(Json::from)),
            ("decay", seconds(self.decay)),
            ("quantile", self.quantile.map(Json::from)),
            ("load_factor", self.load_factor.map(Json::from)),
            ("key", self.key.map(|key| key.name().into())),
        ];
        let set = all.into_iter();
        let set = set.filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Json::Object(set.collect::<Map<_, _>>())
    }
}

//! When a second deployment is asked beside the first.

use std::time::Duration;

use crate::{
    problem::Report,
    read::{Range, Section},
    source::{Facts, Source},
    tables::HEDGE,
    yaml::Value,
};

const KEY: &str = "hedge";

/// `ziggurat_settings.hedge`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HedgeSettings {
    /// The second is asked when the first takes longer than so many percent of the answers did: at
    /// least 50, less than 100.
    pub percentile: f64,
    /// How many of the requests may be asked twice, in percent: 0 to 100.
    pub budget: f64,
    /// No second is asked before that. `None` leaves the layer's own.
    pub min_delay: Option<Duration>,
}

/// Reads `hedge`: a mapping, or a truth value.
pub(crate) fn read(
    own: &Section<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> Option<HedgeSettings> {
    let Some(field) = own.field(KEY) else {
        facts.note(KEY, &"off", Source::Default);
        return None;
    };
    let section = match &field.node.value {
        Value::Map(_) => own.child(KEY, &HEDGE, report),
        _ if own.flag(KEY, report)?.value => Section::empty(&HEDGE),
        _ => {
            facts.note(KEY, &"off", Source::of(field.node, None));
            return None;
        }
    };
    let percentile = section.number("percentile", Range::Percentile, report);
    let budget = section.number("budget", Range::Percent, report);
    let min_delay = section.seconds("min_delay", Range::NotNegative, report);
    Some(HedgeSettings {
        percentile: facts.settle("hedge.percentile", percentile, 95.0),
        budget: facts.settle("hedge.budget", budget, 5.0),
        min_delay: facts.maybe("hedge.min_delay", min_delay),
    })
}

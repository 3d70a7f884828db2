//! When a deployment rests, as far as LiteLLM has no word for it.

use std::time::Duration;

use crate::{
    problem::Report,
    read::{Range, Section},
    source::Facts,
    tables::COOLDOWN,
};

/// `ziggurat_settings.cooldown`. `None` leaves the layer's own default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct CooldownSettings {
    /// The share of failures above which a deployment rests, from 0 to 1; 1 is never
    /// exceeded.
    pub failure_share: Option<f64>,
    /// How many answers within the window it takes before their share counts. At least 1.
    pub min_requests: Option<u32>,
    /// How far back the share looks.
    pub window: Option<Duration>,
    /// The longest rest that a provider can ask for.
    pub max_retry_after: Option<Duration>,
    /// How long a deployment that comes back takes to its full share of the requests. Zero for none.
    pub slow_start: Option<Duration>,
}

/// Reads `cooldown`.
pub(crate) fn read(own: &Section<'_>, facts: &mut Facts, report: &mut Report) -> CooldownSettings {
    use Range::{NotNegative, OverZero, Part};
    let section = own.child("cooldown", &COOLDOWN, report);
    let share = section.number("failure_share", Part, report);
    let requests = section.whole("min_requests", OverZero, report);
    let window = section.seconds("window", OverZero, report);
    let longest = section.seconds("max_retry_after", OverZero, report);
    let slow_start = section.seconds("slow_start", NotNegative, report);
    CooldownSettings {
        failure_share: facts.maybe("cooldown.failure_share", share),
        min_requests: facts.maybe("cooldown.min_requests", requests),
        window: facts.maybe("cooldown.window", window),
        max_retry_after: facts.maybe("cooldown.max_retry_after", longest),
        slow_start: facts.maybe("cooldown.slow_start", slow_start),
    }
}

//! What holds for the requests of one model group.

use std::sync::Arc;

use ziggurat_core::Timeouts;

use crate::{
    HoldBackSetting, OnBreakSetting,
    names::Names,
    problem::Report,
    read::{self, Found, Range, Section},
    source::{Facts, Show},
    streams,
    tables::GROUP,
};

/// An entry of `ziggurat_settings.groups`. `None` leaves what holds for all groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupSettings {
    /// The clocks of an attempt, where its deployment sets nothing.
    pub timeouts: Timeouts,
    /// What follows when a stream breaks off after its beginning was sent.
    pub on_break: Option<OnBreakSetting>,
    /// How much of a stream is kept back. [`Events(0)`](HoldBackSetting::Events) for nothing,
    /// whatever holds for all groups.
    pub hold_back: Option<HoldBackSetting>,
    /// Whether a second deployment may be asked beside the first.
    pub hedge: Option<bool>,
}

/// Reads `groups`. The key may be what a key of `fallbacks` may be.
pub(crate) fn read(
    own: &Section<'_>,
    names: &Names,
    facts: &mut Facts,
    report: &mut Report,
) -> Vec<(Arc<str>, GroupSettings)> {
    let key = "groups";
    let groups = own
        .field(key)
        .and_then(|field| read::map(field.node, key, report));
    let mut all = Vec::new();
    for (group, node) in groups.unwrap_or_default() {
        if &*group.text != "*" && !names.has(&group.text) {
            report.error(group.at, names.unknown("", &group.text, report));
        }
        if let Some(section) = Section::open(node, &GROUP, report) {
            let settings = settings(&section, &group.text, facts, report);
            all.push((Arc::clone(&group.text), settings));
        }
    }
    all
}

fn settings(
    section: &Section<'_>,
    group: &str,
    facts: &mut Facts,
    report: &mut Report,
) -> GroupSettings {
    let mut seconds = |key, report: &mut Report| {
        let found = section.seconds(key, Range::OverZero, report);
        take(facts, group, key, found)
    };
    let timeouts = Timeouts {
        attempt: seconds("timeout", report),
        stream: seconds("stream_timeout", report),
        first_token: seconds("first_token_timeout", report),
        idle: seconds("idle_timeout", report),
    };
    let on_break = streams::on_break(section, report);
    let hold_back = streams::hold_back(section, report);
    let hedge = section.flag("hedge", report);
    GroupSettings {
        timeouts,
        on_break: take(facts, group, "on_break", on_break),
        hold_back: take(facts, group, "hold_back", hold_back),
        hedge: take(facts, group, "hedge", hedge),
    }
}

fn take<T: Show>(facts: &mut Facts, group: &str, key: &str, found: Option<Found<T>>) -> Option<T> {
    facts.take(&format!("{key} of {}", group.escape_debug()), found)
}

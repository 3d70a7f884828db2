//! What becomes of streams.

use std::{fmt, time::Duration};

use crate::{
    problem::Report,
    read::{self, Found, Range, Section},
    source::Facts,
    tables::STREAMS,
};

/// How often a client that waits is told that the request is alive, if nobody says it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `ziggurat_settings.streams`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamSettings {
    /// What follows when a stream breaks off after its beginning was sent.
    pub on_break: OnBreakSetting,
    /// How much of a stream is kept back, so that its failure can be hidden. `None` for no more than
    /// what comes before the first content. Never [`Events(0)`](HoldBackSetting::Events).
    pub hold_back: Option<HoldBackSetting>,
    /// How long a client of a stream hears nothing before it gets a comment. `None` for never.
    pub keep_alive: Option<Duration>,
    /// Whether an answer is read to its end although the client is gone, so that its usage is known.
    pub drain_on_cancel: bool,
}

/// What follows when a stream breaks off after its beginning was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnBreakSetting {
    /// A deployment that can do that goes on with the answer.
    #[default]
    Continue,
    /// The client is told.
    Fail,
}

/// How much of a stream is kept back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HoldBackSetting {
    /// All of it: nothing is sent before the answer is whole.
    All,
    /// So many events with content. Of 0, which a group may say, nothing is kept back.
    Events(u32),
}

/// How long the first token of a stream may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FirstTokenSetting {
    /// As long as is learned from the answers before.
    #[default]
    Auto,
    /// As long as the attempt.
    Off,
    /// So long.
    After(Duration),
}

const ON_BREAK: [(&str, OnBreakSetting); 2] = [
    ("continue", OnBreakSetting::Continue),
    ("fail", OnBreakSetting::Fail),
];

impl fmt::Display for OnBreakSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Continue => "continue",
            Self::Fail => "fail",
        })
    }
}

impl fmt::Display for HoldBackSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Events(0) => f.write_str("off"),
            Self::Events(events) => events.fmt(f),
        }
    }
}

impl fmt::Display for FirstTokenSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Off => f.write_str("off"),
            Self::After(time) => fmt::Debug::fmt(time, f),
        }
    }
}

/// Reads `ziggurat_settings.streams`.
pub(crate) fn read(own: &Section<'_>, facts: &mut Facts, report: &mut Report) -> StreamSettings {
    let section = own.child("streams", &STREAMS, report);
    let held = hold_back(&section, report);
    let held = held.filter(|found| found.value != HoldBackSetting::Events(0));
    let keep_alive = section.field("keep_alive").and_then(|field| {
        let what = "a number of seconds over 0, or `off`";
        field.read(what, report, |text| match read::is_off(text) {
            true => Some(None),
            false => read::time(text, Range::OverZero).map(Some),
        })
    });
    StreamSettings {
        on_break: facts.settle(
            "streams.on_break",
            on_break(&section, report),
            OnBreakSetting::default(),
        ),
        hold_back: facts.maybe("streams.hold_back", held),
        keep_alive: facts.settle("streams.keep_alive", keep_alive, Some(KEEP_ALIVE)),
        drain_on_cancel: facts.settle(
            "streams.drain_on_cancel",
            section.flag("drain_on_cancel", report),
            false,
        ),
    }
}

/// Reads `on_break`, of all streams or of those of a group.
pub(crate) fn on_break(
    section: &Section<'_>,
    report: &mut Report,
) -> Option<Found<OnBreakSetting>> {
    section.choice("on_break", &ON_BREAK, report)
}

/// Reads `hold_back`, of all streams or of those of a group.
pub(crate) fn hold_back(
    section: &Section<'_>,
    report: &mut Report,
) -> Option<Found<HoldBackSetting>> {
    let what = "`all`, a whole number of events, or `off`";
    section.field("hold_back")?.read(what, report, |text| {
        if text == "all" {
            return Some(HoldBackSetting::All);
        }
        let events = if read::is_off(text) {
            0
        } else {
            u32::try_from(read::whole(text)?).ok()?
        };
        Some(HoldBackSetting::Events(events))
    })
}

/// Reads `ziggurat_settings.first_token_timeout`.
pub(crate) fn first_token(
    own: &Section<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> FirstTokenSetting {
    let key = "first_token_timeout";
    let found = own.field(key).and_then(|field| {
        let what = "a number of seconds over 0, `auto` or `off`";
        field.read(what, report, |text| match text {
            "auto" => Some(FirstTokenSetting::Auto),
            text if read::is_off(text) => Some(FirstTokenSetting::Off),
            text => read::time(text, Range::OverZero).map(FirstTokenSetting::After),
        })
    });
    facts.settle(key, found, FirstTokenSetting::default())
}

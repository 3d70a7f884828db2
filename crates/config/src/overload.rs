//! What a gateway bears, and how it ends.

use std::time::Duration;

use crate::{
    problem::Report,
    read::{self, Range, Section},
    source::Facts,
    tables::{OVERLOAD, SHUTDOWN},
};

/// How long a body may take, if nobody says it.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// `ziggurat_settings.overload`. `None` leaves the gateway's own default, unless it says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverloadSettings {
    /// How many bytes of bodies are held at a time. At least 1.
    pub body_bytes: Option<u64>,
    /// How long a body may take, beside the time that it earns by coming. `None` for ever.
    pub body_timeout: Option<Duration>,
    /// How many connections are open at a time. At least 1.
    pub connections: Option<u32>,
    /// How many of them may be of one address. At least 1. `None` for no bound of its own.
    pub connections_per_address: Option<u32>,
}

/// `ziggurat_settings.shutdown`. `None` leaves what the command line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownSettings {
    /// How long new requests are still taken after it has been said that it is not ready.
    pub grace: Option<Duration>,
    /// How long requests may take to finish after that.
    pub limit: Option<Duration>,
}

/// Reads `ziggurat_settings.overload`.
pub(crate) fn read(own: &Section<'_>, facts: &mut Facts, report: &mut Report) -> OverloadSettings {
    let section = own.child("overload", &OVERLOAD, report);
    let body_timeout = section.field("body_timeout").and_then(|field| {
        let what = "a number of seconds over 0, or `off`";
        field.read(what, report, |text| match read::is_off(text) {
            true => Some(None),
            false => read::time(text, Range::OverZero).map(Some),
        })
    });
    OverloadSettings {
        body_bytes: facts.maybe(
            "overload.body_bytes",
            section.whole("body_bytes", Range::OverZero, report),
        ),
        body_timeout: facts.settle("overload.body_timeout", body_timeout, Some(BODY_TIMEOUT)),
        connections: facts.maybe(
            "overload.connections",
            section.whole("connections", Range::OverZero, report),
        ),
        connections_per_address: facts.maybe(
            "overload.connections_per_address",
            section.whole("connections_per_address", Range::OverZero, report),
        ),
    }
}

/// Reads `ziggurat_settings.shutdown`.
pub(crate) fn shutdown(
    own: &Section<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> ShutdownSettings {
    let section = own.child("shutdown", &SHUTDOWN, report);
    let mut seconds = |key, name, report: &mut Report| {
        let found = section.seconds(key, Range::NotNegative, report);
        facts.maybe(name, found)
    };
    ShutdownSettings {
        grace: seconds("grace", "shutdown.grace", report),
        limit: seconds("limit", "shutdown.limit", report),
    }
}

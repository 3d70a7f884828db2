//! Fallbacks of single callers.

use std::sync::Arc;

use crate::{
    FallbackMaps, fallbacks,
    names::Names,
    problem::Report,
    read::{self, Section},
    source::Entry,
    tables::{CALLER, FALLBACKS_FOR},
};

/// Who has fallbacks of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CallerName {
    /// Every key of a team.
    Team(Arc<str>),
    /// The key of that name.
    Key(Arc<str>),
}

/// Reads `ziggurat_settings.fallbacks_for`: first the teams, then the keys.
pub(crate) fn read(
    own: &Section<'_>,
    names: &Names,
    entries: &mut Vec<Entry>,
    report: &mut Report,
) -> Vec<(CallerName, FallbackMaps)> {
    let section = own.child("fallbacks_for", &FALLBACKS_FOR, report);
    let mut all = Vec::new();
    let team: fn(Arc<str>) -> CallerName = CallerName::Team;
    for (key, word, caller) in [("teams", "team", team), ("keys", "key", CallerName::Key)] {
        let callers = section
            .field(key)
            .and_then(|field| read::map(field.node, key, report));
        for (name, node) in callers.unwrap_or_default() {
            let Some(section) = Section::open(node, &CALLER, report) else {
                continue;
            };
            let of_whom = format!(" of {word} {}", name.text.escape_debug());
            let maps = fallbacks::read(&[&section], &of_whom, names, entries, report);
            all.push((caller(Arc::clone(&name.text)), maps));
        }
    }
    all
}

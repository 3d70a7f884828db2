//! Fallback maps.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ziggurat_core::FallbackTarget;

use crate::{
    fallback_target,
    names::Names,
    problem::Report,
    read::{self, Field, Section},
    source::{Entry, Source, Subject},
    yaml::{Node, Pos},
};

/// Which groups a request goes to next, by the group it asked for. `"*"` is any other group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackMaps {
    /// After any failure that has no map of its own.
    pub general: Vec<(Arc<str>, Vec<FallbackTarget>)>,
    /// After the context window was exceeded.
    pub context_window: Vec<(Arc<str>, Vec<FallbackTarget>)>,
    /// After the provider's content policy was violated.
    pub content_policy: Vec<(Arc<str>, Vec<FallbackTarget>)>,
}

/// Reads the fallback maps; those of the first section win as a whole. Explanations add `of_whom` to
/// their names.
pub(crate) fn read(
    sections: &[&Section<'_>],
    of_whom: &str,
    names: &Names,
    entries: &mut Vec<Entry>,
    report: &mut Report,
) -> FallbackMaps {
    let mut lists = |key: &'static str, default: Option<&'static str>, report: &mut Report| {
        let mut reader = Lists {
            names,
            key,
            of_whom,
            lists: Vec::new(),
            seen: HashMap::new(),
            entries,
        };
        if let Some(field) = one_of(sections, key, report) {
            reader.map(&field, report);
        }
        if let Some(field) = default.and_then(|key| one_of(sections, key, report)) {
            reader.targets(Arc::from("*"), field.node.at, field.node, report);
        }
        reader.lists
    };
    FallbackMaps {
        general: lists("fallbacks", Some("default_fallbacks"), report),
        context_window: lists("context_window_fallbacks", None, report),
        content_policy: lists("content_policy_fallbacks", None, report),
    }
}

/// The field of the first section that has it.
fn one_of<'a>(
    sections: &[&Section<'a>],
    key: &'static str,
    report: &mut Report,
) -> Option<Field<'a>> {
    let mut fields = sections.iter().filter_map(|section| section.field(key));
    let winner = fields.next()?;
    for loser in fields {
        let (winner, loser) = (winner.found((), None), loser.found((), None));
        let message = format!(
            "`{}` has no effect: `{}` {} wins",
            loser.path,
            winner.path,
            winner.at.told()
        );
        report.warning(loser.at, message);
    }
    Some(winner)
}

struct Lists<'a> {
    names: &'a Names,
    key: &'static str,
    of_whom: &'a str,
    lists: Vec<(Arc<str>, Vec<FallbackTarget>)>,
    seen: HashMap<Arc<str>, Pos>,
    entries: &'a mut Vec<Entry>,
}

impl Lists<'_> {
    /// `[{group: [target, …]}, …]`.
    fn map(&mut self, field: &Field<'_>, report: &mut Report) {
        let entry = format!("an entry of `{}`", self.key);
        for item in read::list(field.node, self.key, report).unwrap_or_default() {
            let Some(map) = read::map(item, &entry, report) else {
                continue;
            };
            let [(group, targets)] = map else {
                let message = format!(
                    "{entry} has one key, the model group; this one has {}",
                    map.len()
                );
                report.error(item.at, message);
                continue;
            };
            if &*group.text != "*" && !self.names.has(&group.text) {
                let message = self.names.unknown("", &group.text, report);
                report.error(group.at, message);
            }
            self.targets(Arc::clone(&group.text), group.at, targets, report);
        }
    }

    fn targets(&mut self, group: Arc<str>, at: Pos, node: &Node, report: &mut Report) {
        if let Some(first) = self.seen.get(&group) {
            let told = read::name(&group);
            let message = format!("{told} has fallbacks already, {}", first.told());
            report.error(at, message);
            return;
        }
        self.seen.insert(Arc::clone(&group), at);
        let Some(nodes) = read::list(node, self.key, report) else {
            return;
        };
        let mut seen = HashSet::new();
        let mut told = Vec::new();
        let mut targets = Vec::new();
        for node in nodes {
            let Some(read) = fallback_target::read(node, self.key, report) else {
                continue;
            };
            let name = read.target.group();
            let label = read::name(name);
            if let Some(message) = self.names.refuse("fallback ", name, report) {
                report.error(node.at, message);
            } else if *name == group && read.target.overrides().is_none() {
                let message = format!("{label} is no fallback for itself, ignored");
                report.warning(node.at, message);
            } else if !seen.insert(read.identity) {
                report.warning(node.at, format!("{label} stands twice, ignored"));
            } else {
                told.push(read.told);
                targets.push(read.target);
            }
        }
        if nodes.is_empty() {
            report.warning(at, format!("{} has no fallbacks here", read::name(&group)));
        }
        self.entries.push(Entry {
            subject: Subject::Fallbacks,
            name: format!("{} ({}{})", group.escape_debug(), self.key, self.of_whom),
            value: told.join(", "),
            source: Source::of(node, None),
        });
        self.lists.push((group, targets));
    }
}

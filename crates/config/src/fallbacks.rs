//! Fallback maps.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    names::Names,
    problem::Report,
    read::{self, Field, Section},
    source::{Entry, Source, Subject},
    yaml::{Node, Pos, Value},
};

/// Which groups a request goes to next, by the group it asked for. `"*"` is any other group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FallbackMaps {
    /// After any failure that has no map of its own.
    pub general: Vec<(Arc<str>, Vec<Arc<str>>)>,
    /// After the context window was exceeded.
    pub context_window: Vec<(Arc<str>, Vec<Arc<str>>)>,
    /// After the provider's content policy was violated.
    pub content_policy: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

/// Reads the fallback maps; those of `router_settings` win as a whole.
pub(crate) fn read(
    router: &Section<'_>,
    litellm: &Section<'_>,
    names: &Names,
    entries: &mut Vec<Entry>,
    report: &mut Report,
) -> FallbackMaps {
    let mut lists = |key: &'static str, default: Option<&'static str>, report: &mut Report| {
        let mut reader = Lists {
            names,
            key,
            lists: Vec::new(),
            seen: HashMap::new(),
            entries,
        };
        if let Some(field) = one_of(router, litellm, key, report) {
            reader.map(&field, report);
        }
        if let Some(field) = default.and_then(|key| one_of(router, litellm, key, report)) {
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

/// The field of `router_settings`, else that of `litellm_settings`.
fn one_of<'a>(
    router: &Section<'a>,
    litellm: &Section<'a>,
    key: &'static str,
    report: &mut Report,
) -> Option<Field<'a>> {
    let (winner, loser) = (router.field(key), litellm.field(key));
    if let (Some(winner), Some(loser)) = (winner, loser) {
        let message = format!(
            "`litellm_settings.{key}` has no effect: `router_settings.{key}` {} wins",
            winner.node.at.told()
        );
        report.warning(loser.node.at, message);
    }
    winner.or(loser)
}

struct Lists<'a> {
    names: &'a Names,
    key: &'static str,
    lists: Vec<(Arc<str>, Vec<Arc<str>>)>,
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
        let mut targets: Vec<Arc<str>> = Vec::new();
        for node in nodes {
            let Some(target) = self.target(node, report) else {
                continue;
            };
            let told = read::name(&target);
            if let Some(message) = self.names.refuse("fallback ", &target, report) {
                report.error(node.at, message);
            } else if target == group {
                report.warning(
                    node.at,
                    format!("{told} is no fallback for itself, ignored"),
                );
            } else if !seen.insert(Arc::clone(&target)) {
                report.warning(node.at, format!("{told} stands twice, ignored"));
            } else {
                targets.push(target);
            }
        }
        if nodes.is_empty() {
            report.warning(at, format!("{} has no fallbacks here", read::name(&group)));
        }
        let told: Vec<_> = targets
            .iter()
            .map(|name| name.escape_debug().to_string())
            .collect();
        self.entries.push(Entry {
            subject: Subject::Fallbacks,
            name: format!("{} ({})", group.escape_debug(), self.key),
            value: told.join(", "),
            source: Source::of(node, None),
        });
        self.lists.push((group, targets));
    }

    /// A name, or `{model: name}`.
    fn target(&self, node: &Node, report: &mut Report) -> Option<Arc<str>> {
        let Value::Map(entries) = &node.value else {
            return Some(read::text(node, self.key, report)?.value);
        };
        let mut model = None;
        for (key, value) in entries {
            if &*key.text == "model" {
                model = read::text(value, "model", report);
            } else {
                let told = read::name(&key.text);
                let message = format!(
                    "{told}: overrides of a fallback are not supported yet; make a model group with them"
                );
                report.error(key.at, message);
            }
        }
        if node.get("model").is_none() {
            report.error(node.at, "a fallback needs a `model`");
        }
        Some(model?.value)
    }
}

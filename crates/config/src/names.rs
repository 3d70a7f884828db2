//! The names that lead to model groups.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ziggurat_core::{Deployment, Snapshot};

use crate::{
    keys,
    problem::Report,
    read::{self, Section},
    source::{Entry, Source, Subject},
    tables,
    yaml::{Node, Pos, Value},
};

/// Another name for a model group, or for another alias.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alias {
    /// What a client asks for.
    pub name: Arc<str>,
    /// What it gets.
    pub target: Arc<str>,
    /// Whether it is left out of listings.
    pub hidden: bool,
}

/// The names that can be asked for.
pub(crate) struct Names {
    groups: Snapshot,
    /// Groups, each with the number of its deployments.
    exact: HashMap<Arc<str>, usize>,
    /// Names of several groups together.
    united: HashSet<Arc<str>>,
    /// Where aliases lead, as far as it could be read.
    aliases: HashMap<Arc<str>, Option<Arc<str>>>,
    /// Names that lead to a group only for some requests: those of auto-routing and of teams.
    asked: Snapshot,
}

impl Names {
    /// The names of groups, one for each deployment; of several groups together, and those that lead to one for some requests.
    pub(crate) fn new(groups: &[Arc<str>], united: Vec<Arc<str>>, asked: &[Arc<str>]) -> Self {
        let snapshot = |names: &[Arc<str>]| {
            let stand_ins = names.iter();
            Snapshot::new(stand_ins.map(|name| Deployment::new(&**name, Arc::clone(name), "")))
        };
        let mut exact = HashMap::new();
        for name in groups {
            *exact.entry(Arc::clone(name)).or_default() += 1;
        }
        Self {
            groups: snapshot(groups),
            exact,
            united: united.into_iter().collect(),
            aliases: HashMap::new(),
            asked: snapshot(asked),
        }
    }

    /// Whether a model group has just this name.
    pub(crate) fn is_group(&self, name: &str) -> bool {
        self.exact.contains_key(name)
    }

    /// How many deployments a group has.
    pub(crate) fn members(&self, name: &str) -> usize {
        self.exact.get(name).copied().unwrap_or_default()
    }

    pub(crate) fn is_alias(&self, name: &str) -> bool {
        self.aliases.contains_key(name)
    }

    /// Whether a client may ask for it.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.aliases.contains_key(name) || self.leads(name) || self.asked.resolve(name).is_some()
    }

    fn leads(&self, name: &str) -> bool {
        self.united.contains(name) || self.groups.resolve(name).is_some()
    }

    /// Whether a name that can be asked for leads to deployments, whatever the request is. So does an
    /// alias that leads nowhere: that has been told.
    fn serves(&self, name: &str) -> bool {
        let mut at = name;
        for _ in 0..=self.aliases.len() {
            match self.aliases.get(at) {
                Some(Some(next)) => at = next,
                Some(None) => return true,
                None => return self.leads(at) || self.asked.resolve(at).is_none(),
            }
        }
        true
    }

    /// What to say of a name to which the stack cannot send a request.
    pub(crate) fn refuse(&self, what: &str, name: &str, report: &Report) -> Option<String> {
        if !self.has(name) {
            return Some(self.unknown(what, name, report));
        }
        let told = read::name(name);
        if name.contains('*') {
            return Some(format!("{what}{told} must be one name, not a wildcard"));
        }
        (!self.serves(name)).then(|| {
            format!("{what}{told} leads to no model group by itself: it is a name of a team, or of `auto_route`")
        })
    }

    /// What to say of a name that is none.
    pub(crate) fn unknown(&self, what: &str, name: &str, report: &Report) -> String {
        let names = self.exact.keys().chain(&self.united);
        let names = names.chain(self.aliases.keys()).map(|name| &**name);
        let told = read::name(name);
        let near = if report.is_full() {
            None
        } else {
            keys::near(name, names)
        };
        match near {
            Some(near) => format!(
                "{what}{told} is no model group; did you mean {}?",
                read::name(near)
            ),
            None => format!("{what}{told} is no model group"),
        }
    }
}

/// Reads `model_group_alias` and adds what it finds to `names`.
pub(crate) fn aliases(
    router: &Section<'_>,
    names: &mut Names,
    entries: &mut Vec<Entry>,
    report: &mut Report,
) -> Vec<Alias> {
    let key = "model_group_alias";
    let nodes = router
        .field(key)
        .and_then(|field| read::map(field.node, key, report));
    let mut found: Vec<(Alias, Pos, Source)> = Vec::new();
    for (name, node) in nodes.unwrap_or_default() {
        let found_alias = alias(node, report);
        let target = found_alias.as_ref().map(|(target, ..)| Arc::clone(target));
        names.aliases.insert(Arc::clone(&name.text), target);
        if let Some((target, hidden, source)) = found_alias {
            let name_at = name.at;
            let name = Arc::clone(&name.text);
            found.push((
                Alias {
                    name,
                    target,
                    hidden,
                },
                name_at,
                source,
            ));
        }
    }
    for (alias, at, source) in &found {
        if !names.has(&alias.target) {
            let what = format!("alias {}: ", read::name(&alias.name));
            let message = names.unknown(&what, &alias.target, report);
            report.error(*at, message);
        }
        if alias.name.contains('*') || alias.target.contains('*') {
            let told = read::name(&alias.name);
            let message =
                format!("alias {told}: an alias and its target are one name each, not wildcards");
            report.error(*at, message);
        }
        if names.is_group(&alias.name) {
            let told = read::name(&alias.name);
            report.warning(
                *at,
                format!("the alias {told} hides the model group of that name"),
            );
        }
        let hidden = if alias.hidden { " (hidden)" } else { "" };
        entries.push(Entry {
            subject: Subject::Alias,
            name: alias.name.escape_debug().to_string(),
            value: format!("{}{hidden}", alias.target.escape_debug()),
            source: source.clone(),
        });
    }
    cycles(&found, report);
    found.into_iter().map(|(alias, ..)| alias).collect()
}

/// A target, or `{model: target, hidden: true}`.
fn alias(node: &Node, report: &mut Report) -> Option<(Arc<str>, bool, Source)> {
    if !matches!(&node.value, Value::Map(_)) {
        let found = read::text(node, "model_group_alias", report)?;
        return Some((found.value, false, found.source));
    }
    let section = Section::open(node, &tables::ALIAS, report)?;
    let hidden = section
        .flag("hidden", report)
        .is_some_and(|found| found.value);
    if section.field("model").is_none() {
        report.error(node.at, "an alias needs a `model`");
    }
    let model = section.text("model", report)?;
    Some((model.value, hidden, model.source))
}

/// Reports each alias from which one comes back to it.
fn cycles(found: &[(Alias, Pos, Source)], report: &mut Report) {
    let targets: HashMap<&str, &str> = found
        .iter()
        .map(|(alias, ..)| (&*alias.name, &*alias.target))
        .collect();
    let mut ends: HashSet<&str> = HashSet::new();
    for (alias, at, _) in found {
        let mut walked = HashSet::new();
        let mut name = &*alias.name;
        while !ends.contains(name) && walked.insert(name) {
            match targets.get(name) {
                Some(target) => name = target,
                None => break,
            }
        }
        if walked.contains(name) && targets.contains_key(name) && !ends.contains(name) {
            let told = read::name(&alias.name);
            report.error(*at, format!("the alias {told} leads to itself"));
        }
        ends.extend(walked);
    }
}

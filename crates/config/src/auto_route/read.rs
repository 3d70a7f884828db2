//! Reads `auto_route`.

use std::{collections::HashMap, sync::Arc};

use ziggurat_core::{Capability, CapabilitySet};

use super::{AutoRoutePlan, BanditPlan, BanditWeights, RulePlan, SplitPlan};
use crate::{
    names::Names,
    problem::Report,
    read::{self, Found, Range, Section},
    source::{Entry, Source, Subject},
    tables::{AUTO_ROUTE, BANDIT, BANDIT_WEIGHTS, RULE, SPLIT},
    yaml::{Node, Pos},
};

/// How many keywords a rule may have, and how long they may be in bytes.
const MAX_KEYWORDS: (usize, usize) = (1024, 256);

/// How many groups a bandit may choose among.
const MAX_ARMS: usize = 32;

/// A group that is chosen, and where that stands. It can be checked when all names are known.
pub(crate) type Chosen = Found<Arc<str>>;

/// Reads `auto_route`; also what it leads to.
pub(crate) fn read(
    own: &Section<'_>,
    entries: &mut Vec<Entry>,
    report: &mut Report,
) -> (AutoRoutePlan, Vec<Chosen>) {
    let section = own.child("auto_route", &AUTO_ROUTE, report);
    let mut reader = Reader {
        chosen: Vec::new(),
        rules: HashMap::new(),
        models: HashMap::new(),
        entries,
    };
    let plan = AutoRoutePlan {
        rules: section
            .each("rules", &RULE, report)
            .into_iter()
            .filter_map(|(node, rule)| reader.rule(node, &rule, report))
            .collect(),
        bandits: section
            .each("bandits", &BANDIT, report)
            .into_iter()
            .filter_map(|(node, bandit)| reader.bandit(node, &bandit, report))
            .collect(),
        splits: section
            .each("splits", &SPLIT, report)
            .into_iter()
            .filter_map(|(node, split)| reader.split(node, &split, report))
            .collect(),
    };
    (plan, reader.chosen)
}

/// Reports what leads to no deployments.
pub(crate) fn check(chosen: &[Chosen], names: &Names, report: &mut Report) {
    for found in chosen {
        if let Some(message) = names.refuse("auto_route: ", &found.value, report) {
            report.error(found.at, message);
        }
    }
}

struct Reader<'a> {
    chosen: Vec<Chosen>,
    rules: HashMap<Arc<str>, Pos>,
    /// The names that have a bandit or a split.
    models: HashMap<Arc<str>, Pos>,
    entries: &'a mut Vec<Entry>,
}

impl Reader<'_> {
    fn rule(&mut self, node: &Node, rule: &Section<'_>, report: &mut Report) -> Option<RulePlan> {
        let name = need(node, rule, "a rule", "name", report);
        if let Some(found) = &name
            && let Some(first) = self.rules.insert(Arc::clone(&found.value), found.at)
        {
            let told = read::name(&found.value);
            let message = format!("the rule {told} stands twice, the first {}", first.told());
            report.error(found.at, message);
        }
        let to = need(node, rule, "a rule", "to", report);
        self.chosen.extend(to.clone());
        let texts = |key, report: &mut Report| {
            let found = rule.texts(key, report);
            if let Some(empty) = found.as_ref().filter(|found| found.value.is_empty()) {
                report.error(empty.at, format!("`{key}` is empty: leave it out for any"));
            }
            found
        };
        let keywords = texts("keywords", report);
        let (many, long) = MAX_KEYWORDS;
        if let Some(found) = &keywords
            && (found.value.len() > many || found.value.iter().any(|word| word.len() > long))
        {
            let message = format!("`keywords` may be {many}, each of at most {long} bytes");
            report.error(found.at, message);
        }
        let (needs, lacks) = needs(rule, report);
        let tokens = |key, report: &mut Report| rule.whole::<u64>(key, Range::NotNegative, report);
        let (min, max) = (
            tokens("min_input_tokens", report),
            tokens("max_input_tokens", report),
        );
        if let (Some(min), Some(max)) = (&min, &max)
            && min.value > max.value
        {
            let message = "`min_input_tokens` is more than `max_input_tokens`: nothing is both";
            report.error(min.at, message);
        }
        let texts = |key, report: &mut Report| texts(key, report).map_or(Vec::new(), value);
        let plan = RulePlan {
            models: texts("models", report),
            tags: texts("tags", report),
            all_tags: texts("all_tags", report),
            users: texts("users", report),
            min_input_tokens: min.map(value),
            max_input_tokens: max.map(value),
            needs,
            lacks,
            stream: rule.flag("stream", report).map(value),
            keywords: keywords.map_or(Vec::new(), value),
            name: name?.value,
            to: to?.value,
        };
        self.note("rule", &plan.name, &plan.to, node);
        Some(plan)
    }

    fn bandit(
        &mut self,
        node: &Node,
        bandit: &Section<'_>,
        report: &mut Report,
    ) -> Option<BanditPlan> {
        let model = self.model(node, bandit, "a bandit", report);
        if bandit.field("among").is_none() {
            report.error(node.at, "a bandit needs `among`");
        }
        let among = bandit.one_or_more("among", report);
        if among.len() > MAX_ARMS || (among.is_empty() && bandit.field("among").is_some()) {
            let message = format!("`among` must be 1 to {MAX_ARMS} model groups");
            report.error(node.at, message);
        }
        for (i, found) in among.iter().enumerate().take(MAX_ARMS) {
            if among[..i].iter().any(|other| other.value == found.value) {
                let message = format!("{} stands twice", read::name(&found.value));
                report.error(found.at, message);
            }
        }
        let weights = bandit.child("weights", &BANDIT_WEIGHTS, report);
        let mut weight = |key| Some(weights.number(key, Range::NotNegative, report)?.value);
        let weights = BanditWeights {
            success: weight("success"),
            latency: weight("latency"),
            cost: weight("cost"),
            outcome: weight("outcome"),
        };
        let BanditWeights {
            success,
            latency,
            cost,
            outcome,
        } = weights;
        if [success, latency, cost, outcome] == [Some(0.0); 4] {
            report.error(node.at, "one of the `weights` must be over 0");
        }
        let explore = bandit.number("explore", Range::Part, report).map(value);
        let groups: Vec<_> = among.iter().map(|found| Arc::clone(&found.value)).collect();
        self.chosen.extend(among);
        let plan = BanditPlan {
            model: model?,
            among: groups,
            weights,
            explore,
        };
        self.note("bandit", &plan.model, &plan.among.join(", "), node);
        Some(plan)
    }

    fn split(
        &mut self,
        node: &Node,
        split: &Section<'_>,
        report: &mut Report,
    ) -> Option<SplitPlan> {
        let model = self.model(node, split, "a split", report);
        let Some(field) = split.field("to") else {
            report.error(node.at, "a split needs `to`");
            return None;
        };
        let mut to = Vec::new();
        for (group, share) in read::map(field.node, "to", report)? {
            let share = read::number_of(share, "to", Range::NotNegative, report);
            self.chosen.push(Found {
                value: Arc::clone(&group.text),
                source: Source::of(field.node, None),
                at: group.at,
                path: String::new(),
            });
            to.push((Arc::clone(&group.text), share?));
        }
        let whole: f64 = to.iter().map(|(_, share)| share).sum();
        if !(whole > 0.0 && whole.is_finite()) {
            report.error(field.node.at, "one of the shares must be over 0");
        }
        let plan = SplitPlan { model: model?, to };
        let percent = |share: f64| (share / whole * 1000.0).round() / 10.0;
        let told: Vec<_> = plan
            .to
            .iter()
            .map(|(group, share)| format!("{group} {} %", percent(*share)))
            .collect();
        self.note("split", &plan.model, &told.join(", "), node);
        Some(plan)
    }

    /// The name that a bandit or a split is for. It has one of them.
    fn model(
        &mut self,
        node: &Node,
        section: &Section<'_>,
        what: &str,
        report: &mut Report,
    ) -> Option<Arc<str>> {
        let found = need(node, section, what, "model", report)?;
        let told = read::name(&found.value);
        if found.value.contains('*') {
            let message = format!("{told} must be one name, not a wildcard");
            report.error(found.at, message);
        } else if let Some(first) = self.models.insert(Arc::clone(&found.value), found.at) {
            let first = first.told();
            let message = format!("{told} has a bandit or a split already, {first}");
            report.error(found.at, message);
        }
        Some(found.value)
    }

    fn note(&mut self, what: &str, name: &str, value: &str, node: &Node) {
        self.entries.push(Entry {
            subject: Subject::AutoRoute,
            name: format!("{what} {}", name.escape_debug()),
            value: value.escape_debug().to_string(),
            source: Source::of(node, None),
        });
    }
}

fn value<T>(found: Found<T>) -> T {
    found.value
}

fn need(
    node: &Node,
    section: &Section<'_>,
    what: &str,
    key: &'static str,
    report: &mut Report,
) -> Option<Found<Arc<str>>> {
    if section.field(key).is_none() {
        report.error(node.at, format!("{what} needs a `{key}`"));
    }
    section.text(key, report)
}

/// What a request asks of a model, and what it does not.
fn needs(rule: &Section<'_>, report: &mut Report) -> (CapabilitySet, CapabilitySet) {
    let all: Vec<_> = Capability::ALL
        .iter()
        .map(|capability| (capability.as_str(), *capability))
        .collect();
    let mut set = |key| -> CapabilitySet {
        let found = rule.one_or_more(key, report).into_iter();
        let found = found.filter_map(|found| read::choose(found, key, &all, report));
        found.map(value).collect()
    };
    let (mut needs, mut lacks) = (set("needs"), set("lacks"));
    for (key, capability) in [("images", Capability::Vision), ("tools", Capability::Tools)] {
        match rule.flag(key, report).map(value) {
            Some(true) => needs = needs.with(capability),
            Some(false) => lacks = lacks.with(capability),
            None => {}
        }
    }
    for both in needs.and(lacks).iter() {
        if let Some(field) = rule.field("lacks").or_else(|| rule.field("needs")) {
            let message = format!("no request needs `{both}` and lacks it");
            report.error(field.node.at, message);
        }
    }
    (needs, lacks)
}

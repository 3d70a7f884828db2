//! Several model groups under one name, or with a strategy of their own.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use ziggurat_core::RoutingGroup;

use crate::{
    RouterSettings, Strategy, StrategyArgs,
    names::Names,
    problem::Report,
    read::{self, Found, Range, Section},
    source::{Entry, Facts, Source, Subject},
    strategy, strategy_args,
    tables::ROUTING_GROUP,
    yaml::{self, Node, Pos},
};

const KEY: &str = "routing_groups";

/// An entry of `routing_groups`: model groups that share a strategy, and a name for all of them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RoutingGroupPlan {
    /// What a client asks for to get any of the members.
    pub name: Arc<str>,
    /// The model groups.
    pub models: Vec<Arc<str>>,
    /// How a deployment is chosen among all of them, and in each of them.
    pub strategy: Strategy,
    /// What the strategy is told.
    pub args: StrategyArgs,
    /// The `order` that the deployments of a model group have under the common name. A group with
    /// priorities changes nothing for its members when they are asked for by their own names.
    pub priorities: Vec<(Arc<str>, i32)>,
}

impl RoutingGroupPlan {
    pub(crate) fn to_core(&self) -> RoutingGroup {
        RoutingGroup {
            name: Arc::clone(&self.name),
            models: self
                .members()
                .map(|(model, order)| (Arc::clone(model), order))
                .collect(),
        }
    }

    /// The model groups, each with its priority.
    fn members(&self) -> impl Iterator<Item = (&Arc<str>, Option<i32>)> {
        let orders: HashMap<&str, i32> = self
            .priorities
            .iter()
            .map(|(model, order)| (&**model, *order))
            .collect();
        let models = self.models.iter();
        models.map(move |model| (model, orders.get(&**model).copied()))
    }
}

/// The names alone, which aliases may lead to.
pub(crate) fn names(router: &Section<'_>) -> Vec<Arc<str>> {
    let Some(field) = router.field(KEY) else {
        return Vec::new();
    };
    // What is wrong with them is told when they are read.
    let silent = &mut Report::new("");
    let nodes = read::list(field.node, KEY, silent).unwrap_or_default();
    let name = |node: &Node| read::text(node.get("group_name")?, "group_name", silent);
    nodes
        .iter()
        .filter_map(name)
        .map(|found| found.value)
        .collect()
}

/// Reads `routing_groups`. A group that names no strategy has the router's, arguments included.
pub(crate) fn read(
    router: &Section<'_>,
    settings: &RouterSettings,
    names: &Names,
    entries: &mut Vec<Entry>,
    report: &mut Report,
) -> Vec<RoutingGroupPlan> {
    let mut reader = Reader {
        names,
        settings,
        first: HashMap::new(),
        homes: HashMap::new(),
        members: 0,
        plans: Vec::new(),
    };
    for (node, group) in router.each(KEY, &ROUTING_GROUP, report) {
        if let Some(facts) = reader.group(node, &group, report) {
            entries.extend(facts.about(&Subject::RoutingGroup));
        }
    }
    reader.plans
}

struct Reader<'a> {
    names: &'a Names,
    settings: &'a RouterSettings,
    /// Where each name stood first.
    first: HashMap<Arc<str>, Pos>,
    /// The group without priorities that each model is in.
    homes: HashMap<Arc<str>, Arc<str>>,
    /// How many deployments all of them have, each counted as often as it is in one.
    members: usize,
    plans: Vec<RoutingGroupPlan>,
}

impl Reader<'_> {
    fn group(&mut self, node: &Node, group: &Section<'_>, report: &mut Report) -> Option<Facts> {
        if group.field("group_name").is_none() {
            report.error(node.at, "a routing group needs a `group_name`");
        }
        let name = group.text("group_name", report);
        if let Some(found) = &name {
            self.check_name(found, report);
        }
        let priorities = priorities(group, report);
        let models = self.models(node, group, report);
        let named: HashSet<_> = models.iter().map(|found| &found.value).collect();
        for (model, _, at) in &priorities {
            if !named.contains(model) {
                let told = read::name(model);
                report.error(*at, format!("{told} is not among the `models`"));
            }
        }
        self.members += models
            .iter()
            .map(|found| self.names.members(&found.value))
            .sum::<usize>();
        if !yaml::fits(self.members) {
            let message = format!("the members of routing groups are {}", yaml::too_many());
            report.error(node.at, message);
            return None;
        }
        let mut facts = Facts::default();
        let own = strategy::read(group, report);
        let (strategy, inherits) = match &own {
            Some(found) => (found.value, false),
            None => (self.settings.strategy, true),
        };
        let read = strategy_args::read(group, strategy, &mut Facts::default(), report);
        let args = match (inherits, group.field("routing_strategy_args")) {
            (true, None) => self.settings.strategy_args,
            _ => read,
        };
        let name = name?.value;
        if priorities.is_empty() {
            for found in &models {
                self.settle_in(&name, found, report);
            }
        }
        let priorities: Vec<_> = priorities
            .into_iter()
            .map(|(model, order, _)| (model, order))
            .collect();
        let models: Vec<_> = models.into_iter().map(|found| found.value).collect();
        let plan = RoutingGroupPlan {
            name,
            models,
            strategy,
            args,
            priorities,
        };
        facts.note(
            &plan.name.escape_debug().to_string(),
            &plan.told(),
            Source::of(node, None),
        );
        self.plans.push(plan);
        Some(facts)
    }

    fn check_name(&mut self, name: &Found<Arc<str>>, report: &mut Report) {
        let told = read::name(&name.value);
        let why = if *name.value == *"default" {
            "is reserved"
        } else if name.value.contains('*') {
            "must be one name, not a wildcard"
        } else if self.names.is_group(&name.value) {
            "is the name of a model group"
        } else if self.names.is_alias(&name.value) {
            "is an alias"
        } else if let Some(first) = self.first.get(&name.value) {
            let message = format!(
                "the routing group {told} stands twice, the first {}",
                first.told()
            );
            report.error(name.at, message);
            return;
        } else {
            self.first.insert(Arc::clone(&name.value), name.at);
            return;
        };
        report.error(name.at, format!("the routing group {told} {why}"));
    }

    /// The members, each once.
    fn models(
        &self,
        node: &Node,
        group: &Section<'_>,
        report: &mut Report,
    ) -> Vec<Found<Arc<str>>> {
        let Some(field) = group.field("models") else {
            report.error(node.at, "a routing group needs `models`");
            return Vec::new();
        };
        let nodes = read::list(field.node, "models", report);
        if nodes.is_some_and(<[Node]>::is_empty) {
            report.error(field.node.at, "a routing group needs a model");
        }
        let mut seen = HashSet::new();
        let mut models = Vec::new();
        for node in nodes.unwrap_or_default() {
            let Some(found) = read::text(node, "models", report) else {
                continue;
            };
            if self.names.is_alias(&found.value) && !self.names.is_group(&found.value) {
                let told = read::name(&found.value);
                let message = format!("{told} is an alias: name its model group");
                report.error(found.at, message);
            } else if found.value.contains('*') {
                let told = read::name(&found.value);
                let message = format!("{told} must be one name, not a wildcard");
                report.error(found.at, message);
            } else if !self.names.is_group(&found.value) {
                let message = self.names.unknown("", &found.value, report);
                report.error(found.at, message);
            } else if !seen.insert(Arc::clone(&found.value)) {
                let told = read::name(&found.value);
                report.warning(found.at, format!("{told} stands twice, ignored"));
            } else {
                models.push(found);
            }
        }
        models
    }

    /// Says that a model has its strategy from a group.
    fn settle_in(&mut self, name: &Arc<str>, model: &Found<Arc<str>>, report: &mut Report) {
        let home = self.homes.entry(Arc::clone(&model.value));
        let home = home.or_insert_with(|| Arc::clone(name));
        if home != name {
            let (told, home) = (read::name(&model.value), read::name(home));
            let message = format!("{told} has a strategy from the routing group {home} already");
            report.error(model.at, message);
        }
    }
}

impl RoutingGroupPlan {
    fn told(&self) -> String {
        let members = self.members().map(|(model, order)| match order {
            Some(order) => format!("{} ({order})", model.escape_debug()),
            None => model.escape_debug().to_string(),
        });
        let members: Vec<_> = members.collect();
        format!("{} of {}", self.strategy, members.join(", "))
    }
}

/// `model_priorities`: the order of each model.
fn priorities(group: &Section<'_>, report: &mut Report) -> Vec<(Arc<str>, i32, Pos)> {
    let key = "model_priorities";
    let nodes = group
        .field(key)
        .and_then(|field| read::map(field.node, key, report));
    let mut priorities = Vec::new();
    for (model, node) in nodes.unwrap_or_default() {
        if let Some(order) = read::whole_of(node, key, Range::Any, report) {
            priorities.push((Arc::clone(&model.text), order, model.at));
        }
    }
    priorities
}

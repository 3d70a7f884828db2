//! The list of deployments, as a snapshot that is swapped whole.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use foldhash::{HashMap, HashMapExt};

use crate::{
    CapabilitySet, Deployment, DeploymentId,
    pattern::{Pattern, substitute},
};

/// The deployments of one model group, in the order they were given.
#[derive(Clone, Debug)]
pub struct Group {
    name: Arc<str>,
    pattern: Option<Pattern>,
    members: Arc<[Arc<Deployment>]>,
}

impl Group {
    /// The public name; holds `*` if it is a wildcard route.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The deployments.
    #[must_use]
    pub fn members(&self) -> &[Arc<Deployment>] {
        &self.members
    }

    /// Whether its name is a pattern.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.pattern.is_some()
    }

    /// What a deployment of this group is to be asked for when a client asked for `name`: its
    /// model, with what the group's stars stood for put into its own.
    #[must_use]
    pub fn target<'a>(&self, deployment: &'a Deployment, name: &str) -> Cow<'a, str> {
        match &self.pattern {
            Some(pattern) if deployment.model().contains('*') => match pattern.captures(name) {
                Some(captures) => Cow::Owned(substitute(deployment.model(), &captures, name)),
                None => Cow::Borrowed(deployment.model()),
            },
            _ => Cow::Borrowed(deployment.model()),
        }
    }
}

/// An alias that leads to itself.
#[derive(Debug)]
pub struct AliasCycle {
    name: Arc<str>,
}

impl AliasCycle {
    /// The alias.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for AliasCycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the alias `{}` leads to itself", self.name)
    }
}

impl std::error::Error for AliasCycle {}

/// All deployments at one moment. Immutable; a request that holds one sees no change.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    generation: u64,
    groups: HashMap<Arc<str>, Arc<Group>>,
    patterns: Vec<Arc<Group>>,
    listed: Vec<Arc<str>>,
    aliases: HashMap<Arc<str>, Arc<str>>,
    by_id: HashMap<Arc<str>, Arc<Deployment>>,
    /// Team and public name → group.
    team_models: HashMap<Arc<str>, HashMap<Arc<str>, Arc<str>>>,
    /// What at least one deployment is known to be able to do.
    capabilities: CapabilitySet,
}

/// Several model groups under one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutingGroup {
    /// The name, which is asked for like that of a model group.
    pub name: Arc<str>,
    /// The model groups, each with the `order` its deployments are to have, if any.
    pub models: Vec<(Arc<str>, Option<i32>)>,
}

/// Where a name leads.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The group.
    pub group: &'a Arc<Group>,
    /// The only member that may serve, if the name is that of a deployment.
    pub only: Option<&'a Arc<Deployment>>,
}

impl Snapshot {
    /// A snapshot of these deployments, grouped by [`Deployment::group`].
    #[must_use]
    pub fn new(deployments: impl IntoIterator<Item = Deployment>) -> Self {
        let mut order: Vec<Arc<str>> = Vec::new();
        let mut members: HashMap<Arc<str>, Vec<Arc<Deployment>>> = HashMap::new();
        for deployment in deployments {
            let name: Arc<str> = Arc::from(deployment.group());
            let group = members.entry(Arc::clone(&name)).or_default();
            if group.is_empty() {
                order.push(name);
            }
            group.push(Arc::new(deployment));
        }
        let mut snapshot = Self::default();
        for deployment in members.values().flatten() {
            snapshot.enter(deployment);
        }
        for name in order {
            let pattern = Pattern::new(&name);
            let members = members.remove(&name).unwrap_or_default().into();
            let group = Arc::new(Group {
                name: Arc::clone(&name),
                pattern,
                members,
            });
            if group.is_wildcard() {
                snapshot.patterns.push(Arc::clone(&group));
            } else {
                snapshot.listed.push(Arc::clone(&name));
            }
            snapshot.groups.insert(name, group);
        }
        snapshot
            .patterns
            .sort_by_key(|group| group.pattern.as_ref().map(Pattern::specificity));
        snapshot
    }

    /// What at least one deployment is known to be able to do.
    #[must_use]
    pub const fn capabilities(&self) -> CapabilitySet {
        self.capabilities
    }

    fn enter(&mut self, deployment: &Arc<Deployment>) {
        let can = deployment.capabilities().yes();
        self.capabilities = self.capabilities.union(can);
        self.by_id
            .insert(Arc::from(deployment.id().as_str()), Arc::clone(deployment));
        if let (Some(team), Some(model)) = (deployment.team(), deployment.team_model()) {
            let models = self.team_models.entry(Arc::from(team)).or_default();
            models.insert(Arc::clone(model), Arc::from(deployment.group()));
        }
    }

    /// Adds names for several groups together. The deployments stay members of their own groups,
    /// and what is known of them is the same under either name.
    ///
    /// A group that does not exist is left out; a name that is taken already stays what it is.
    #[must_use]
    pub fn with_routing_groups(mut self, groups: impl IntoIterator<Item = RoutingGroup>) -> Self {
        for RoutingGroup { name, models } in groups {
            let members = models.iter().flat_map(|(model, order)| {
                let group = self.groups.get(model);
                let members = group.into_iter().flat_map(|group| group.members());
                members.map(move |member| match order {
                    Some(order) => Arc::new(Deployment::clone(member).with_order(*order)),
                    None => Arc::clone(member),
                })
            });
            let members: Arc<[_]> = members.collect();
            if self.groups.contains_key(&name) || members.is_empty() {
                continue;
            }
            let group = Group {
                name: Arc::clone(&name),
                pattern: None,
                members,
            };
            self.listed.push(Arc::clone(&name));
            self.groups.insert(name, Arc::new(group));
        }
        self
    }

    /// Adds aliases: other names for a group, or for another alias.
    ///
    /// A hidden alias can be asked for and is not listed by [`names`](Self::names).
    ///
    /// # Errors
    ///
    /// If an alias leads to itself.
    pub fn with_aliases(
        mut self,
        aliases: impl IntoIterator<Item = (Arc<str>, Arc<str>, bool)>,
    ) -> Result<Self, AliasCycle> {
        for (alias, target, hidden) in aliases {
            if !hidden {
                self.listed.push(Arc::clone(&alias));
            }
            self.aliases.insert(alias, target);
        }
        for alias in self.aliases.keys() {
            let mut at = alias;
            for _ in 0..=self.aliases.len() {
                match self.aliases.get(at) {
                    Some(next) => at = next,
                    None => break,
                }
            }
            if self.aliases.contains_key(at) {
                return Err(AliasCycle {
                    name: Arc::clone(alias),
                });
            }
        }
        Ok(self)
    }

    /// Counts up with each swap.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The name at the end of a chain of aliases; `name` itself if it is none.
    #[must_use]
    pub fn unalias<'a>(&'a self, name: &'a str) -> &'a str {
        let mut at = name;
        while let Some(target) = self.aliases.get(at) {
            at = target;
        }
        at
    }

    /// The group that serves `name`; see [`route`](Self::route).
    #[must_use]
    pub fn resolve(&self, name: &str) -> Option<&Arc<Group>> {
        self.route(name).map(|route| route.group)
    }

    /// Where `name` leads: by alias, by the exact name of a group, by the id of a deployment, else
    /// by the most specific wildcard.
    #[must_use]
    pub fn route(&self, name: &str) -> Option<Route<'_>> {
        let name = self.unalias(name);
        if let Some(group) = self.groups.get(name)
            && !group.is_wildcard()
        {
            return Some(Route { group, only: None });
        }
        if let Some(only) = self.by_id.get(name) {
            let group = self.groups.get(only.group())?;
            return Some(Route {
                group,
                only: Some(only),
            });
        }
        let matches = |group: &&Arc<Group>| {
            let pattern = group.pattern.as_ref();
            pattern.is_some_and(|pattern| pattern.captures(name).is_some())
        };
        let group = self.patterns.iter().find(matches)?;
        Some(Route { group, only: None })
    }

    /// The group that a team means by a name of its own, if it has one of that name.
    #[must_use]
    pub fn team_model(&self, team: &str, name: &str) -> Option<&Arc<str>> {
        self.team_models.get(team)?.get(name)
    }

    /// The names that a team has of its own.
    pub fn team_models(&self, team: &str) -> impl Iterator<Item = &Arc<str>> {
        self.team_models
            .get(team)
            .into_iter()
            .flat_map(HashMap::keys)
    }

    /// Whether a name is an alias.
    #[must_use]
    pub fn is_alias(&self, name: &str) -> bool {
        self.aliases.contains_key(name)
    }

    /// The names a client may ask for: groups and aliases that are not hidden, without wildcards.
    #[must_use]
    pub fn names(&self) -> &[Arc<str>] {
        &self.listed
    }

    /// Every group, wildcards and routing groups included, in no order.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.values()
    }

    /// Every deployment, in no order.
    pub fn deployments(&self) -> impl Iterator<Item = &Arc<Deployment>> {
        self.by_id.values()
    }

    /// The deployment of that id.
    #[must_use]
    pub fn get(&self, id: &DeploymentId) -> Option<&Arc<Deployment>> {
        self.by_id.get(id.as_str())
    }
}

/// The handle to the current [`Snapshot`]: cheap to clone, read without a lock, swapped whole.
///
/// ```
/// use ziggurat_core::{Deployment, Deployments, Snapshot};
///
/// let deployments = Deployments::new(Snapshot::new([Deployment::new("a", "gpt", "gpt-4o")]));
/// let before = deployments.load();
/// deployments.swap(Snapshot::default());
/// assert!(before.resolve("gpt").is_some(), "who holds a snapshot keeps it");
/// assert!(deployments.load().resolve("gpt").is_none());
/// ```
#[derive(Clone, Debug)]
pub struct Deployments(Arc<Current>);

#[derive(Debug)]
struct Current {
    snapshot: ArcSwap<Snapshot>,
    next_generation: AtomicU64,
}

impl Deployments {
    /// A handle to a first snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        let snapshot = ArcSwap::from_pointee(snapshot);
        Self(Arc::new(Current {
            snapshot,
            next_generation: AtomicU64::new(1),
        }))
    }

    /// The current snapshot.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.snapshot.load_full()
    }

    /// Replaces the snapshot. Requests in flight keep theirs.
    pub fn swap(&self, mut snapshot: Snapshot) {
        snapshot.generation = self.0.next_generation.fetch_add(1, Relaxed);
        self.0.snapshot.store(Arc::new(snapshot));
    }
}

impl FromIterator<Deployment> for Deployments {
    fn from_iter<I: IntoIterator<Item = Deployment>>(deployments: I) -> Self {
        Self::new(Snapshot::new(deployments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(groups: &[&str]) -> Snapshot {
        Snapshot::new(
            groups
                .iter()
                .map(|group| Deployment::new(*group, *group, "*")),
        )
    }

    fn alias(from: &str, to: &str) -> (Arc<str>, Arc<str>, bool) {
        (Arc::from(from), Arc::from(to), false)
    }

    #[test]
    fn an_exact_name_beats_a_wildcard_and_the_longer_wildcard_the_shorter() {
        let snapshot = snapshot(&["*", "openai/*", "openai/gpt-*", "openai/gpt-4o"]);
        let group = |name| snapshot.resolve(name).map(|g| g.name().to_string());
        assert_eq!(group("openai/gpt-4o").as_deref(), Some("openai/gpt-4o"));
        assert_eq!(group("openai/gpt-5").as_deref(), Some("openai/gpt-*"));
        assert_eq!(group("openai/o3").as_deref(), Some("openai/*"));
        assert_eq!(group("claude").as_deref(), Some("*"));
    }

    #[test]
    fn aliases_go_over_several_hops() {
        let snapshot = snapshot(&["gpt"]).with_aliases([alias("a", "b"), alias("b", "gpt")]);
        let snapshot = snapshot.expect("there is no cycle");
        assert_eq!(snapshot.unalias("a"), "gpt");
        assert!(snapshot.resolve("a").is_some());
    }

    #[test]
    fn an_alias_that_leads_to_itself_is_refused() {
        let error = snapshot(&["gpt"]).with_aliases([alias("a", "b"), alias("b", "a")]);
        assert!(error.is_err());
    }

    #[test]
    fn a_hidden_alias_is_not_listed() {
        let hidden = (Arc::from("h"), Arc::from("gpt"), true);
        let snapshot = snapshot(&["gpt", "x/*"]).with_aliases([hidden, alias("a", "gpt")]);
        let names = snapshot
            .expect("there is no cycle")
            .names()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        assert_eq!(names, ["gpt", "a"]);
    }

    #[test]
    fn the_id_of_a_deployment_leads_to_it_alone() {
        let snapshot = Snapshot::new([
            Deployment::new("a", "gpt", "m"),
            Deployment::new("b", "gpt", "m"),
            Deployment::new("gpt", "other", "m"),
        ]);
        let only = |name| snapshot.route(name).and_then(|route| route.only);
        assert_eq!(only("b").map(|it| it.id().as_str()), Some("b"));
        assert!(only("gpt").is_none(), "a group's name is the group's");
        assert_eq!(snapshot.deployments().count(), 3);
    }

    #[test]
    fn a_routing_group_unites_the_members_of_groups_and_may_order_them() {
        let group = |name: &str, order| RoutingGroup {
            name: Arc::from(name),
            models: vec![(Arc::from("big"), order), (Arc::from("gone"), None)],
        };
        let snapshot = Snapshot::new([
            Deployment::new("a", "big", "m"),
            Deployment::new("b", "big", "m"),
        ])
        .with_routing_groups([group("fast", Some(2)), group("big", None)]);
        let fast = snapshot.resolve("fast").expect("is there");
        assert!(fast.members().iter().all(|it| it.order() == Some(2)));
        let big = snapshot.resolve("big").expect("is there");
        assert!(big.members().iter().all(|it| it.order().is_none()));
        assert_eq!(snapshot.deployments().count(), 2);
        assert!(snapshot.names().iter().any(|name| &**name == "fast"));
    }

    #[test]
    fn a_team_has_names_of_its_own() {
        let public = Some(Arc::from("gpt"));
        let member = Deployment::new("a", "gpt-of-red", "m").with_team("red", public);
        let snapshot = Snapshot::new([member]);
        let group = snapshot.team_model("red", "gpt").map(|name| &**name);
        assert_eq!(group, Some("gpt-of-red"));
        assert!(snapshot.team_model("blue", "gpt").is_none());
    }

    #[test]
    fn generations_count_up() {
        let deployments: Deployments = [Deployment::new("a", "g", "m")].into_iter().collect();
        assert_eq!(deployments.load().generation(), 0);
        deployments.swap(snapshot(&["x"]));
        deployments.swap(snapshot(&["y"]));
        assert_eq!(deployments.load().generation(), 2);
    }
}

//! Which group a failed request goes to next.

use std::sync::Arc;

use ziggurat_core::{Controls, Deployments, FallbackList, Snapshot};

use crate::lists::{FallbackLists, Source};

/// Which names are groups, and which of them are the same one.
#[derive(Debug)]
pub(crate) struct Names(Option<Arc<Snapshot>>);

impl Names {
    pub(crate) fn of(deployments: Option<&Deployments>) -> Self {
        Self(deployments.map(Deployments::load))
    }

    fn resolve<'a>(&'a self, name: &'a str) -> &'a str {
        (self.0.as_ref()).map_or(name, |snapshot| snapshot.unalias(name))
    }

    fn known(&self, name: &str) -> bool {
        (self.0.as_ref()).is_none_or(|snapshot| snapshot.resolve(name).is_some())
    }

    fn same(&self, a: &str, b: &str) -> bool {
        self.resolve(a) == self.resolve(b)
    }
}

/// The rules of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    lists: &'a FallbackLists,
    client: Option<&'a Controls>,
}

impl<'a> Rules<'a> {
    pub(crate) const fn new(lists: &'a FallbackLists, client: Option<&'a Controls>) -> Self {
        Self { lists, client }
    }

    /// How many fallbacks the request may ask.
    fn max(self) -> usize {
        let max = match self.client {
            Some(client) if client.disable_fallbacks => 0,
            client => client
                .and_then(|client| client.max_fallbacks)
                .unwrap_or(self.lists.max),
        };
        max as usize
    }

    fn source(self, list: FallbackList) -> Option<Source<'a>> {
        self.lists.source(list, self.client)
    }

    /// How many groups could answer if the requested one failed: what is known before it is asked.
    ///
    /// Failures that are not the request's fault are meant, and the fallbacks of its fallbacks left
    /// out. Allocates nothing.
    pub(crate) fn ahead(self, requested: &str, deployments: Option<&Deployments>) -> u32 {
        let max = self.max();
        let Some(source) = self
            .source(FallbackList::General)
            .filter(|source| !source.is_empty())
        else {
            return 0;
        };
        if max == 0 {
            return 0;
        }
        let names = Names::of(deployments);
        let targets = own(source, requested, &names).or_else(|| source.default());
        let targets = targets.unwrap_or_default().iter();
        distinct(targets, &names, |target| names.same(target, requested)).min(max) as u32
    }
}

fn own<'a>(source: Source<'a>, group: &str, names: &Names) -> Option<&'a [Arc<str>]> {
    (source.entry(group)).or_else(|| source.entry(names.resolve(group)))
}

/// How many different groups there are among `targets`, without those to skip.
fn distinct<'a>(
    targets: impl Iterator<Item = &'a Arc<str>> + Clone,
    names: &Names,
    skip: impl Fn(&str) -> bool,
) -> usize {
    let all = targets.clone();
    let first = |at: usize, target: &str| !all.clone().take(at).any(|t| names.same(t, target));
    let counts = |(at, target): &(usize, &'a Arc<str>)| {
        !skip(target) && names.known(target) && first(*at, target)
    };
    targets.enumerate().filter(counts).count()
}

/// The way of one request through the groups, from its first failure on.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The groups that were asked; the requested one is the first.
    asked: Vec<Arc<str>>,
    /// Entries that were opened, each before those above it. They are not taken away when they are
    /// used up: what was asked is skipped.
    open: Vec<Entry>,
    /// Whether a group has declined the content.
    declined: bool,
}

#[derive(Debug)]
struct Entry {
    list: FallbackList,
    serves_all: bool,
    targets: Vec<Arc<str>>,
}

impl Walk {
    pub(crate) fn new(requested: &str) -> Self {
        Self {
            asked: vec![Arc::from(requested)],
            open: Vec::new(),
            declined: false,
        }
    }

    /// Which group to ask after the last one failed in a way that `list` serves, and how many could
    /// still be asked after that.
    pub(crate) fn next(
        &mut self,
        rules: Rules<'_>,
        list: FallbackList,
        names: &Names,
    ) -> Option<(Arc<str>, u32)> {
        let left = rules.max().checked_sub(self.asked.len())?;
        let source = rules.source(list)?;
        self.answer(source, list, names);
        let pending = self.open.iter().rev().flat_map(|entry| &entry.targets);
        let next = pending
            .clone()
            .find(|target| !self.was_asked(target, names) && names.known(target))?;
        let next = Arc::clone(next);
        self.asked.push(Arc::clone(&next));
        let after = rules
            .source(FallbackList::General)
            .and_then(|source| own(source, &next, names));
        let pending = pending.chain(after.unwrap_or_default());
        let ahead = distinct(pending, names, |target| self.was_asked(target, names));
        Some((next, ahead.min(left) as u32))
    }

    fn was_asked(&self, target: &str, names: &Names) -> bool {
        self.asked.iter().any(|asked| names.same(asked, target))
    }

    /// Opens the entry that serves the failure of the group that was asked last.
    fn answer(&mut self, source: Source<'_>, list: FallbackList, names: &Names) {
        // What the requested group names for an outage is no way round a refusal.
        if list == FallbackList::ContentPolicy {
            self.declined = true;
            self.open
                .iter_mut()
                .filter(|entry| entry.list != list && !entry.serves_all)
                .for_each(|entry| entry.targets.clear());
        }
        let failed = self.asked.last().expect("the requested group is the first");
        let first_use = !self.open.iter().any(|entry| entry.list == list);
        let targets = own(source, failed, names).or_else(|| {
            let serves = list == FallbackList::ContentPolicy || !self.declined;
            let requested = || own(source, &self.asked[0], names).or_else(|| source.default());
            (first_use && serves).then(requested).flatten()
        });
        if let Some(targets) = targets {
            self.open.push(Entry {
                list,
                serves_all: source.serves_all(),
                targets: targets.to_vec(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use ziggurat_core::{Deployment, Fallbacks};

    use super::*;

    type Entries<'a> = &'a [(&'a str, &'a [&'a str])];

    fn entries<'a>(of: Entries<'a>) -> impl Iterator<Item = (&'a str, Vec<&'a str>)> {
        of.iter().map(|(key, targets)| (*key, targets.to_vec()))
    }

    fn general(of: Entries<'_>) -> FallbackLists {
        FallbackLists::new().general(entries(of))
    }

    fn names(of: &[&str]) -> Vec<Arc<str>> {
        of.iter().map(|name| Arc::from(*name)).collect()
    }

    /// The groups asked after `requested`, which fail as `list` says; every other fails generally.
    fn walk(rules: Rules<'_>, requested: &str, list: FallbackList, known: &Names) -> Vec<String> {
        let mut walk = Walk::new(requested);
        let mut list = list;
        let mut asked = Vec::new();
        while let Some((group, _)) = walk.next(rules, list, known) {
            asked.push(group.to_string());
            list = FallbackList::General;
        }
        asked
    }

    fn order(lists: &FallbackLists, client: Option<&Controls>, requested: &str) -> Vec<String> {
        let rules = Rules::new(lists, client);
        walk(rules, requested, FallbackList::General, &Names(None))
    }

    #[test]
    fn fallbacks_of_a_fallback_come_before_its_siblings() {
        let lists = general(&[("a", &["b", "c"]), ("b", &["d"])]);
        assert_eq!(order(&lists, None, "a"), ["b", "d", "c"]);
    }

    #[test]
    fn a_cycle_asks_each_group_once_and_the_requested_one_not_again() {
        let lists = general(&[("a", &["b", "b"]), ("b", &["c"]), ("c", &["a", "b"])]);
        assert_eq!(order(&lists, None, "a"), ["b", "c"]);
    }

    #[test]
    fn a_groups_own_entry_beats_the_default_even_if_it_is_empty() {
        let lists = general(&[("a", &["b"]), ("none", &[]), ("*", &["z", "b"])]);
        assert_eq!(order(&lists, None, "a"), ["b"]);
        assert_eq!(order(&lists, None, "none"), [""; 0]);
        assert_eq!(order(&lists, None, "other"), ["z", "b"]);
    }

    #[test]
    fn the_bound_counts_groups_and_not_levels() {
        let lists = general(&[("a", &["b", "c", "d"]), ("b", &["e"])]).max_fallbacks(2);
        assert_eq!(order(&lists, None, "a"), ["b", "e"]);
        assert!(order(&lists.max_fallbacks(0), None, "a").is_empty());
    }

    #[test]
    fn keys_match_as_model_groups_do() {
        let lists = general(&[
            ("openai/*", &["x"]),
            ("openai/gpt-*", &["y"]),
            ("*", &["z"]),
        ]);
        assert_eq!(order(&lists, None, "openai/o3"), ["x"]);
        assert_eq!(order(&lists, None, "openai/gpt-5"), ["y"]);
        assert_eq!(order(&lists, None, "claude"), ["z"]);
    }

    #[test]
    fn an_alias_is_the_group_that_it_stands_for_and_unknown_groups_are_skipped() {
        let groups = ["gpt", "claude", "llama", "openai/*"];
        let snapshot = Snapshot::new(groups.map(|group| Deployment::new(group, group, "*")));
        let aliases = [("smart", "gpt"), ("best", "claude")];
        let aliases = aliases.map(|(from, to)| (Arc::from(from), Arc::from(to), false));
        let snapshot = snapshot.with_aliases(aliases).expect("no cycle");
        let deployments = Deployments::new(snapshot);
        let known = Names::of(Some(&deployments));
        let targets = &["nowhere", "smart", "best", "claude", "gpt", "openai/o3"];
        let lists = general(&[("gpt", targets), ("*", &["llama"])]);
        let rules = Rules::new(&lists, None);
        for requested in ["gpt", "smart"] {
            let asked = walk(rules, requested, FallbackList::General, &known);
            assert_eq!(asked, ["best", "openai/o3"]);
            assert_eq!(rules.ahead(requested, Some(&deployments)), 2);
        }
        let of_alias = general(&[("gpt", &["claude"]), ("smart", &["llama"])]);
        let asked = walk(
            Rules::new(&of_alias, None),
            "smart",
            FallbackList::General,
            &known,
        );
        assert_eq!(asked, ["llama"], "who asks by the alias gets its own entry");
    }

    #[test]
    fn each_kind_of_failure_has_its_own_list() {
        let lists = general(&[("a", &["b"]), ("*", &["b"])])
            .context_window([("a", ["long"])])
            .content_policy([("x", ["bold"])]);
        let rules = Rules::new(&lists, None);
        let asked = |requested, list| walk(rules, requested, list, &Names(None));
        assert_eq!(asked("a", FallbackList::General), ["b"]);
        assert_eq!(asked("a", FallbackList::ContextWindow)[0], "long");
        assert!(asked("a", FallbackList::ContentPolicy).is_empty());
        assert_eq!(asked("x", FallbackList::ContentPolicy)[0], "bold");
        assert!(asked("a", FallbackList::None).is_empty());
    }

    #[test]
    fn a_refusal_on_the_way_is_not_answered_from_what_was_named_for_an_outage() {
        let lists = general(&[("a", &["b", "c"])]);
        let mut walk = Walk::new("a");
        let rules = Rules::new(&lists, None);
        assert!(
            walk.next(rules, FallbackList::General, &Names(None))
                .is_some()
        );
        assert!(
            walk.next(rules, FallbackList::ContentPolicy, &Names(None))
                .is_none()
        );
        assert!(
            walk.next(rules, FallbackList::General, &Names(None))
                .is_none()
        );
        let lists = lists.content_policy([("a", ["bold"])]);
        let asked = super::tests::walk(
            Rules::new(&lists, None),
            "a",
            FallbackList::ContentPolicy,
            &Names(None),
        );
        assert_eq!(asked, ["bold"]);
    }

    #[test]
    fn a_group_too_small_on_the_way_is_passed_over() {
        let lists = general(&[("a", &["small", "c"])]).context_window([("a", ["long"])]);
        let mut walk = Walk::new("a");
        let rules = Rules::new(&lists, None);
        let mut next = |list| Some(walk.next(rules, list, &Names(None))?.0.to_string());
        assert_eq!(next(FallbackList::General).as_deref(), Some("small"));
        assert_eq!(next(FallbackList::ContextWindow).as_deref(), Some("long"));
        assert_eq!(next(FallbackList::General).as_deref(), Some("c"));
    }

    #[test]
    fn a_clients_plain_list_serves_every_kind_and_its_map_the_general_one() {
        let lists = general(&[("a", &["b"])]).content_policy([("a", ["bold"])]);
        let mut client = Controls::default();
        client.fallbacks = Some(Fallbacks::List(names(&["x", "y"])));
        let asked = |client: &Controls, list| {
            walk(Rules::new(&lists, Some(client)), "a", list, &Names(None))
        };
        assert_eq!(asked(&client, FallbackList::General), ["x", "y"]);
        assert_eq!(asked(&client, FallbackList::ContentPolicy), ["x", "y"]);
        client.content_policy_fallbacks = Some(Fallbacks::List(names(&["z"])));
        assert_eq!(asked(&client, FallbackList::ContentPolicy)[0], "z");
        let mut client = Controls::default();
        let map = [("a", ["x"]), ("*", ["y"])].map(|(k, t)| (Arc::from(k), names(&t)));
        client.fallbacks = Some(Fallbacks::Map(vec![BTreeMap::from(map)]));
        assert_eq!(asked(&client, FallbackList::General), ["x"]);
        assert_eq!(asked(&client, FallbackList::ContentPolicy)[0], "bold");
    }

    #[test]
    fn a_client_may_do_without_and_may_set_the_bound() {
        let lists = general(&[("a", &["b", "c"])]);
        let mut client = Controls::default();
        client.max_fallbacks = Some(1);
        assert_eq!(order(&lists, Some(&client), "a"), ["b"]);
        assert_eq!(Rules::new(&lists, Some(&client)).ahead("a", None), 1);
        client.disable_fallbacks = true;
        assert!(order(&lists, Some(&client), "a").is_empty());
        assert_eq!(Rules::new(&lists, Some(&client)).ahead("a", None), 0);
    }

    /// The naive model: a recursive search, in depth first.
    fn search(
        graph: &[Vec<usize>],
        default: &[usize],
        from: usize,
        asked: &mut Vec<usize>,
        max: usize,
    ) {
        let own = &graph[from];
        let targets = if own.is_empty() && asked.len() == 1 {
            default
        } else {
            own
        };
        for target in targets {
            if !asked.contains(target) && asked.len() <= max {
                asked.push(*target);
                search(graph, default, *target, asked, max);
            }
        }
    }

    proptest! {
        #[test]
        fn it_goes_the_way_of_a_search_in_depth(
            graph in prop::collection::vec(prop::collection::vec(0..6_usize, 0..4), 6),
            default in prop::collection::vec(0..6_usize, 0..3), max in 0..8_usize,
        ) {
            let name = |group: &usize| group.to_string();
            let own = graph.iter().enumerate().filter(|(_, targets)| !targets.is_empty());
            let entries = own
                .map(|(group, targets)| (name(&group), targets.iter().map(name).collect::<Vec<_>>()))
                .chain([("*".to_owned(), default.iter().map(name).collect())]);
            let lists = FallbackLists::new().general(entries).max_fallbacks(max as u32);
            let mut asked = vec![0];
            search(&graph, &default, 0, &mut asked, max);
            let expected: Vec<_> = asked[1..].iter().map(name).collect();
            prop_assert_eq!(&order(&lists, None, "0"), &expected);

            // What it says is left is never nothing while there is something, and nothing at the end.
            let rules = Rules::new(&lists, None);
            prop_assert_eq!(rules.ahead("0", None) > 0, !expected.is_empty());
            let mut walk = Walk::new("0");
            for at in 1..=expected.len() {
                let (_, ahead) = walk.next(rules, FallbackList::General, &Names(None)).expect("goes on");
                prop_assert_eq!(ahead > 0, at < expected.len());
                prop_assert!(ahead as usize <= max - at);
            }
        }
    }
}

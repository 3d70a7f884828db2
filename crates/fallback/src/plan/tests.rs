use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use ziggurat_core::{
    Deployment,
    FallbackList::{ContentPolicy, ContextWindow, General},
    Fallbacks, ReadOptions,
};

use super::*;

type Entries<'a> = &'a [(&'a str, &'a [&'a str])];

fn entries<'a>(of: Entries<'a>) -> impl Iterator<Item = (&'a str, Vec<&'a str>)> {
    of.iter().map(|(key, targets)| (*key, targets.to_vec()))
}

fn general(of: Entries<'_>) -> FallbackLists {
    FallbackLists::new().general(entries(of))
}

fn targets(of: &[&str]) -> Vec<FallbackTarget> {
    of.iter().copied().map(FallbackTarget::from).collect()
}

/// A group, asked with another temperature.
fn warmer(group: &str, temperature: u32) -> FallbackTarget {
    let value = json!({"model": group, "temperature": temperature});
    FallbackTarget::from_json(value, ReadOptions::new()).expect("is a target")
}

fn rules<'a>(
    lists: &'a FallbackLists,
    client: Option<&'a Controls>,
    requested: &'a str,
) -> Rules<'a> {
    Rules::new(requested, client, None, lists)
}

/// The groups asked after the requested one, which fails as `list` says; every other one fails
/// generally.
fn walk(rules: Rules<'_>, list: FallbackList, known: &Names) -> Vec<String> {
    let mut walk = Walk::default();
    let mut list = list;
    let mut asked = Vec::new();
    while let Some(target) = walk.next(rules, list, known) {
        asked.push(target.group().to_string());
        list = General;
    }
    asked
}

fn order(lists: &FallbackLists, client: Option<&Controls>, requested: &str) -> Vec<String> {
    walk(rules(lists, client, requested), General, &Names::default())
}

/// How many targets there are for the first failure.
fn ahead(rules: Rules<'_>, list: FallbackList) -> u32 {
    Walk::default().ahead(rules, list, &Names::default())
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
    let known = Names::of(Some(&deployments), None);
    let targets = &["nowhere", "smart", "best", "claude", "gpt", "openai/o3"];
    let lists = general(&[("gpt", targets), ("*", &["llama"])]);
    for requested in ["gpt", "smart"] {
        let rules = rules(&lists, None, requested);
        assert_eq!(walk(rules, General, &known), ["best", "openai/o3"]);
        assert_eq!(Walk::default().ahead(rules, General, &known), 2);
    }
    let of_alias = general(&[("gpt", &["claude"]), ("smart", &["llama"])]);
    let asked = walk(rules(&of_alias, None, "smart"), General, &known);
    assert_eq!(asked, ["llama"], "who asks by the alias gets its own entry");
    let again = FallbackLists::new().general([("gpt", [warmer("best", 1), warmer("claude", 1)])]);
    let asked = walk(rules(&again, None, "gpt"), General, &known);
    assert_eq!(
        asked,
        ["best"],
        "with the same values it is the same target"
    );
}

#[test]
fn a_group_with_other_values_is_another_target() {
    let of_a = [
        warmer("a", 1),
        "b".into(),
        warmer("b", 1),
        warmer("b", 2),
        warmer("b", 1),
    ];
    let of_b = [warmer("a", 1), "c".into()];
    let lists = FallbackLists::new().general([("a", of_a.to_vec()), ("b", of_b.to_vec())]);
    assert_eq!(order(&lists, None, "a"), ["a", "b", "c", "b", "b"]);
    assert_eq!(ahead(rules(&lists, None, "a"), General), 4);
}

#[test]
fn a_target_that_cannot_be_asked_is_not_counted_and_opens_nothing() {
    let lists = general(&[("a", &["b", "c", "d"]), ("b", &["x"])]).max_fallbacks(1);
    let rules = rules(&lists, None, "a");
    let names = Names::default();
    let mut walk = Walk::default();
    let next = walk.next(rules, General, &names);
    assert_eq!(next.as_ref().map(|to| &**to.group()), Some("b"));
    let instead = walk.instead(rules, &names);
    assert_eq!(instead.as_ref().map(|to| &**to.group()), Some("c"));
    assert_eq!(walk.next(rules, General, &names), None, "one was asked");
}

#[test]
fn each_kind_of_failure_has_its_own_list() {
    let lists = general(&[("a", &["b"]), ("*", &["b"])])
        .context_window([("a", ["long"])])
        .content_policy([("x", ["bold"])]);
    let asked = |requested, list| walk(rules(&lists, None, requested), list, &Names::default());
    assert_eq!(asked("a", General), ["b"]);
    assert_eq!(asked("a", ContextWindow)[0], "long");
    assert!(asked("a", ContentPolicy).is_empty());
    assert_eq!(asked("x", ContentPolicy)[0], "bold");
    assert!(asked("a", FallbackList::None).is_empty());
}

#[test]
fn a_refusal_on_the_way_is_not_answered_from_what_was_named_for_an_outage() {
    let lists = general(&[("a", &["b", "c"])]);
    let names = Names::default();
    let of_outage = rules(&lists, None, "a");
    let mut on_the_way = Walk::default();
    assert!(on_the_way.next(of_outage, General, &names).is_some());
    assert_eq!(on_the_way.ahead(of_outage, General, &names), 1);
    assert_eq!(on_the_way.ahead(of_outage, ContentPolicy, &names), 0);
    assert!(on_the_way.next(of_outage, ContentPolicy, &names).is_none());
    assert!(on_the_way.next(of_outage, General, &names).is_none());
    let both = lists.clone().content_policy([("a", ["bold"])]);
    let asked = walk(rules(&both, None, "a"), ContentPolicy, &names);
    assert_eq!(asked, ["bold"]);
}

#[test]
fn a_group_too_small_on_the_way_is_passed_over() {
    let lists = general(&[("a", &["small", "c"])]).context_window([("a", ["long"])]);
    let rules = rules(&lists, None, "a");
    let mut walk = Walk::default();
    let mut next = |list| {
        Some(
            walk.next(rules, list, &Names::default())?
                .group()
                .to_string(),
        )
    };
    assert_eq!(next(General).as_deref(), Some("small"));
    assert_eq!(next(ContextWindow).as_deref(), Some("long"));
    assert_eq!(next(General).as_deref(), Some("c"));
}

#[test]
fn what_is_left_counts_every_list_that_is_open() {
    let lists = general(&[("a", &["b"]), ("long", &["c"])])
        .context_window([("a", ["long", "longer"])])
        .content_policy([("long", ["bold"])]);
    let rules = rules(&lists, None, "a");
    let names = Names::default();
    assert_eq!(ahead(rules, General), 1);
    assert_eq!(ahead(rules, ContentPolicy), 0);
    let mut walk = Walk::default();
    assert!(walk.next(rules, ContextWindow, &names).is_some());
    // `long` is asked: if it is down, its own `c` and then `longer` are left.
    assert_eq!(walk.ahead(rules, General, &names), 2);
    assert_eq!(walk.ahead(rules, ContentPolicy, &names), 1);
}

#[test]
fn a_clients_plain_list_serves_every_kind_and_its_map_the_general_one() {
    let lists = general(&[("a", &["b"])]).content_policy([("a", ["bold"])]);
    let mut client = Controls::default();
    client.fallbacks = Some(Fallbacks::List(targets(&["x", "y"])));
    let asked =
        |client: &Controls, list| walk(rules(&lists, Some(client), "a"), list, &Names::default());
    assert_eq!(asked(&client, General), ["x", "y"]);
    assert_eq!(asked(&client, ContentPolicy), ["x", "y"]);
    client.content_policy_fallbacks = Some(Fallbacks::List(targets(&["z"])));
    assert_eq!(asked(&client, ContentPolicy)[0], "z");
    let mut client = Controls::default();
    let map = [("a", ["x"]), ("*", ["y"])].map(|(k, t)| (Arc::from(k), targets(&t)));
    client.fallbacks = Some(Fallbacks::Map(vec![BTreeMap::from(map)]));
    assert_eq!(asked(&client, General), ["x"]);
    assert_eq!(asked(&client, ContentPolicy)[0], "bold");
}

#[test]
fn the_clients_list_goes_before_the_callers_and_that_before_the_layers_list_by_list() {
    let layer = general(&[("a", &["l"])]).context_window([("a", ["long"])]);
    let caller = general(&[("a", &["k1", "k2"])]).max_fallbacks(0);
    let asked = |client, list| {
        let rules = Rules::new("a", client, Some(&caller), &layer);
        walk(rules, list, &Names::default())
    };
    assert_eq!(
        asked(None, General),
        ["k1", "k2"],
        "as many as the layer says"
    );
    assert_eq!(asked(None, ContextWindow)[0], "long");
    let mut client = Controls::default();
    client.fallbacks = Some(Fallbacks::List(targets(&["mine"])));
    assert_eq!(asked(Some(&client), General), ["mine"]);
    let of_others = general(&[("b", &["k"])]);
    let rules = Rules::new("a", None, Some(&of_others), &layer);
    let asked = walk(rules, General, &Names::default());
    assert!(asked.is_empty(), "it takes the place of the whole list");
}

#[test]
fn a_client_may_do_without_and_may_set_the_bound() {
    let lists = general(&[("a", &["b", "c"])]);
    let mut client = Controls::default();
    client.max_fallbacks = Some(1);
    assert_eq!(order(&lists, Some(&client), "a"), ["b"]);
    assert_eq!(ahead(rules(&lists, Some(&client), "a"), General), 1);
    client.disable_fallbacks = true;
    assert!(order(&lists, Some(&client), "a").is_empty());
    assert_eq!(ahead(rules(&lists, Some(&client), "a"), General), 0);
}

#[test]
fn an_entry_is_opened_once_however_many_targets_lead_to_it() {
    let of_a: Vec<_> = (0..64).map(|i| warmer("a", i)).collect();
    let lists = FallbackLists::new()
        .general([("a", of_a)])
        .max_fallbacks(99);
    let rules = rules(&lists, None, "a");
    let mut walk = Walk::default();
    let asked = std::iter::from_fn(|| walk.next(rules, General, &Names::default()));
    assert_eq!(asked.count(), 64);
    assert_eq!(walk.open.len(), 1);
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
        let rules = rules(&lists, None, "0");
        prop_assert_eq!(ahead(rules, General) > 0, !expected.is_empty());
        let mut walk = Walk::default();
        for at in 1..=expected.len() {
            walk.next(rules, General, &Names::default()).expect("goes on");
            let ahead = walk.ahead(rules, General, &Names::default());
            prop_assert_eq!(ahead > 0, at < expected.len());
            prop_assert!(ahead as usize <= max - at);
        }
    }
}

//! What says where requests go, besides the deployments: everything that holds names of groups.

use std::sync::Arc;

use crate::{
    Alias, CacheSettings, FallbackMaps, OwnSettings, RouterSettings, RoutingGroupPlan, auto_route,
    cache, fallbacks, fallbacks_for, groups,
    names::{self, Names},
    own,
    problem::Report,
    read::{Found, Range, Section},
    routing_groups, settings,
    source::{Entry, Facts, Subject},
};

/// All of it.
pub(crate) struct Routing {
    pub(crate) aliases: Vec<Alias>,
    pub(crate) routing_groups: Vec<RoutingGroupPlan>,
    pub(crate) fallbacks: FallbackMaps,
    pub(crate) router: RouterSettings,
    pub(crate) own: OwnSettings,
    pub(crate) names: Names,
    pub(crate) cache: Option<CacheSettings>,
    pub(crate) entries: Vec<Entry>,
}

/// Reads `router_settings`, `litellm_settings` and `ziggurat_settings`, and checks that each name in
/// them, and each of `mirrors`, leads to one of the `listed` groups.
pub(crate) fn read(
    [router, litellm, own]: [&Section<'_>; 3],
    listed: &[Arc<str>],
    team_models: &[Arc<str>],
    mirrors: &[Found<Arc<str>>],
    report: &mut Report,
) -> Routing {
    let mut entries = Vec::new();
    let mut auto = Vec::new();
    let (auto_route, chosen) = auto_route::read(own, &mut auto, report);
    let asked: Vec<_> = auto_route.models().chain(team_models).cloned().collect();
    let mut names = Names::new(listed, routing_groups::names(router), &asked);
    let aliases = names::aliases(router, &mut names, &mut entries, report);
    let mut facts = Facts::default();
    let settings = settings::router(router, litellm, &names, &mut facts, report);
    let key = "default_max_parallel_requests";
    facts.maybe(key, router.whole::<u32>(key, Range::OverZero, report));
    let routing_groups = routing_groups::read(router, &settings, &names, &mut entries, report);
    entries.append(&mut auto);
    let fallbacks = fallbacks::read(&[router, litellm], "", &names, &mut entries, report);
    let fallbacks_for = fallbacks_for::read(own, &names, &mut entries, report);
    auto_route::check(&chosen, &names, report);
    for found in mirrors {
        if let Some(message) = names.refuse("silent_model: ", &found.value, report) {
            report.error(found.at, message);
        }
    }
    let groups = groups::read(own, &names, &mut facts, report);
    let cache = cache::read([router, litellm, own], &names, &mut facts, report);
    let own = own::read(own, litellm, &mut facts, report);
    let own = OwnSettings {
        groups,
        fallbacks_for,
        auto_route,
        ..own
    };
    entries.extend(facts.about(&Subject::Settings));
    Routing {
        aliases,
        routing_groups,
        fallbacks,
        router: settings,
        own,
        names,
        cache,
        entries,
    }
}

//! Whether and how answers are given again.

mod call_types;
mod semantic;

use std::{fmt, sync::Arc, time::Duration};

use ziggurat_core::Operation;

pub use self::semantic::SemanticSettings;
use crate::{
    names::Names,
    problem::Report,
    read::{self, Range, Section, first},
    source::{Facts, Source},
    tables::{CACHE, CACHE_PARAMS},
    yaml::Pos,
};

/// How long an answer is kept, if nobody says it.
const TTL: Duration = Duration::from_secs(600);
/// How long what was found elsewhere is kept here, if nobody says it.
const NEAR_TTL: Duration = Duration::from_secs(60);
/// How many bytes of answers are kept in memory, if nobody says it.
const MAX_BYTES: u64 = 128 << 20;
/// How many bytes an answer may have that is kept, if nobody says it.
const MAX_ENTRY_BYTES: u64 = 4 << 20;

/// Whether and how answers are given again: `cache_params` and `ziggurat_settings.cache`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CacheSettings {
    /// Where answers are kept: `type`.
    pub store: CacheStoreName,
    /// How long an answer is kept, if its request does not say.
    pub ttl: Duration,
    /// How long what is kept elsewhere, if something is, is kept in memory as well. `None` if it is
    /// not.
    pub near_ttl: Option<Duration>,
    /// The namespace of requests that name none.
    pub namespace: Option<Arc<str>>,
    /// Whether requests are looked up that do not ask for it: `mode`.
    pub default_on: bool,
    /// What is looked up: `supported_call_types`.
    pub operations: Vec<Operation>,
    /// Groups that share answers, each list for itself; no group is in two: `caching_groups`.
    pub groups: Vec<Vec<Arc<str>>>,
    /// Who may have the answers of whom.
    pub tenants: CacheTenants,
    /// Whether one call serves all who ask the same at the same time.
    pub single_flight: bool,
    /// How many bytes of answers are kept in memory.
    pub max_bytes: u64,
    /// How many answers are kept in memory: `max_size_in_memory`. `None` for as many as fit.
    pub max_entries: Option<u32>,
    /// How many bytes an answer may have that is kept.
    pub max_entry_bytes: u64,
    /// Fields of requests that make no difference.
    pub exclude: Vec<Arc<str>>,
    /// Whether questions that mean the same have one answer.
    pub semantic: Option<SemanticSettings>,
}

/// Where answers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheStoreName {
    /// In the memory of the process.
    Local,
    /// In Redis or Valkey.
    Redis,
}

impl fmt::Display for CacheStoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Redis => "redis",
        })
    }
}

/// Who may have the answers of whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheTenants {
    /// Nobody those of another key.
    #[default]
    Key,
    /// The keys of a team share theirs.
    Team,
    /// All share theirs.
    All,
}

impl fmt::Display for CacheTenants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Team => "team",
            Self::All => "all",
        })
    }
}

/// Reads what there is of it in `router_settings`, `litellm_settings` and `ziggurat_settings`. It is on
/// if `litellm_settings.cache` or `router_settings.cache_responses` is true.
pub(crate) fn read(
    [router, litellm, own]: [&Section<'_>; 3],
    names: &Names,
    facts: &mut Facts,
    report: &mut Report,
) -> Option<CacheSettings> {
    let cache = litellm.flag("cache", report);
    let responses = router.flag("cache_responses", report);
    let told = [cache, responses].into_iter().flatten();
    let on = told.max_by_key(|found| found.value);
    let is_on = facts.settle("cache", on, false);
    let own_at = own.field("cache").map(|field| field.node.at);
    if let Some(at) = own_at.filter(|at| !is_on && *at != Pos::NOWHERE) {
        let message =
            "`ziggurat_settings.cache` has no effect: `litellm_settings.cache` is not true";
        report.warning(at, message);
    }
    // What is wrong is told even if it has no effect.
    let mut unused = Facts::default();
    let facts = if is_on { facts } else { &mut unused };
    let settings = settings([router, litellm, own], names, facts, report);
    is_on.then_some(settings)
}

fn settings(
    [router, litellm, own]: [&Section<'_>; 3],
    names: &Names,
    facts: &mut Facts,
    report: &mut Report,
) -> CacheSettings {
    use Range::{NotNegative, OverZero};
    let params = [
        litellm.child("cache_params", &CACHE_PARAMS, report),
        router.child("cache_kwargs", &CACHE_PARAMS, report),
    ];
    let own = own.child("cache", &CACHE, report);
    let (store, is_semantic) = store(&params, router, facts, report);
    let seconds = |key, report: &mut Report| {
        let found = params.map(|section| section.seconds(key, OverZero, report));
        first(found, report)
    };
    let in_memory = [
        seconds("default_in_memory_ttl", report),
        litellm.seconds("default_in_memory_ttl", OverZero, report),
    ];
    let in_memory = first(in_memory, report);
    let in_redis = [
        seconds("default_in_redis_ttl", report),
        litellm.seconds("default_redis_ttl", OverZero, report),
    ];
    let in_redis = first(in_redis, report);
    let usual = match store {
        CacheStoreName::Local => in_memory.clone(),
        CacheStoreName::Redis => in_redis,
    };
    let ttl = seconds("ttl", report).or(usual);
    let two_tier = facts.settle("cache.two_tier", own.flag("two_tier", report), true);
    let near_ttl = match store {
        CacheStoreName::Local => NEAR_TTL,
        CacheStoreName::Redis => facts.settle("cache.near_ttl", in_memory, NEAR_TTL),
    };
    let namespace = params.map(|section| section.text("namespace", report));
    let modes = [("default_on", true), ("default_off", false)];
    let mode = params.map(|section| section.choice("mode", &modes, report));
    let entries = params.map(|section| section.whole("max_size_in_memory", OverZero, report));
    let tenants = [
        ("key", CacheTenants::Key),
        ("team", CacheTenants::Team),
        ("all", CacheTenants::All),
    ];
    let bytes = |key, range, report: &mut Report| own.whole::<u64>(key, range, report);
    CacheSettings {
        store,
        ttl: facts.settle("cache.ttl", ttl, TTL),
        near_ttl: two_tier.then_some(near_ttl),
        namespace: facts.maybe("cache.namespace", first(namespace, report)),
        default_on: facts.settle("cache.default_on", first(mode, report), true),
        operations: call_types::read(&params, facts, report),
        groups: groups(router, names, facts, report),
        tenants: facts.settle(
            "cache.tenants",
            own.choice("tenants", &tenants, report),
            CacheTenants::Key,
        ),
        single_flight: facts.settle(
            "cache.single_flight",
            own.flag("single_flight", report),
            false,
        ),
        max_bytes: facts.settle(
            "cache.max_bytes",
            bytes("max_bytes", NotNegative, report),
            MAX_BYTES,
        ),
        max_entries: facts.maybe("cache.max_entries", first(entries, report)),
        max_entry_bytes: facts.settle(
            "cache.max_entry_bytes",
            bytes("max_entry_bytes", OverZero, report),
            MAX_ENTRY_BYTES,
        ),
        exclude: facts
            .take("cache.exclude", own.texts("exclude", report))
            .unwrap_or_default(),
        semantic: semantic::read(&own, &params, is_semantic, names, facts, report),
    }
}

/// Where answers are kept, and whether those to questions that mean the same are.
fn store(
    params: &[Section<'_>; 2],
    router: &Section<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> (CacheStoreName, bool) {
    const ADDRESSES: [&str; 7] = [
        "host",
        "redis_host",
        "redis_startup_nodes",
        "redis_url",
        "sentinel_nodes",
        "startup_nodes",
        "url",
    ];
    let kinds = [
        ("local", (CacheStoreName::Local, false)),
        ("redis", (CacheStoreName::Redis, false)),
        ("redis-semantic", (CacheStoreName::Redis, true)),
    ];
    let found = params.map(|section| section.choice("type", &kinds, report));
    let found = first(found, report);
    // Who says where Redis is means it.
    let mut sections = params.iter().chain([router]);
    let has_address = sections.any(|section| ADDRESSES.iter().any(|key| section.says(key)));
    let default = match has_address {
        true => CacheStoreName::Redis,
        false => CacheStoreName::Local,
    };
    let is_semantic = found.as_ref().is_some_and(|found| found.value.1);
    let store = found.map(|found| found.map(|(store, _)| store));
    (facts.settle("cache.type", store, default), is_semantic)
}

/// Reads `caching_groups`: lists of groups, or of aliases of groups.
fn groups(
    router: &Section<'_>,
    names: &Names,
    facts: &mut Facts,
    report: &mut Report,
) -> Vec<Vec<Arc<str>>> {
    let key = "caching_groups";
    let Some(field) = router.field(key) else {
        return Vec::new();
    };
    let mut all: Vec<Vec<Arc<str>>> = Vec::new();
    for list in read::list(field.node, key, report).unwrap_or_default() {
        let mut groups = Vec::new();
        for node in read::list(list, key, report).unwrap_or_default() {
            let Some(found) = read::text(node, key, report) else {
                continue;
            };
            let told = read::name(&found.value);
            if !names.has(&found.value) {
                let message = names.unknown("caching_groups: ", &found.value, report);
                report.error(found.at, message);
            } else if all.iter().any(|list| list.contains(&found.value)) {
                report.error(
                    found.at,
                    format!("{told} is in two lists of `caching_groups`"),
                );
            }
            groups.push(found.value);
        }
        all.push(groups);
    }
    let told: Vec<Arc<str>> = all.iter().map(|list| list.join(" = ").into()).collect();
    facts.note("cache.groups", &told, Source::of(field.node, None));
    all
}

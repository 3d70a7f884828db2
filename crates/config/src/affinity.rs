//! What keeps requests on the deployment that served their like.

use std::{sync::Arc, time::Duration};

use crate::{
    keys,
    names::Names,
    problem::Report,
    read::{self, Found, Range, Section},
    source::Facts,
    yaml::Node,
};

/// What keeps a request on the deployment that served one like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AffinityKind {
    /// It is of the same session.
    Session,
    /// It is of the same caller.
    Deployment,
    /// Its prompt begins as one that the provider has cached.
    PromptCaching,
    /// It goes on from a response that is kept there.
    Responses,
    /// It holds what that account has encrypted or signed.
    EncryptedContent,
}

const KINDS: [(&str, AffinityKind); 5] = [
    ("session_affinity", AffinityKind::Session),
    ("deployment_affinity", AffinityKind::Deployment),
    ("prompt_caching", AffinityKind::PromptCaching),
    ("responses_api_deployment_check", AffinityKind::Responses),
    ("encrypted_content_affinity", AffinityKind::EncryptedContent),
];

const LIMITS: &str = "enforce_model_rate_limits";

/// The other checks that LiteLLM knows.
const OTHERS: [&str; 3] = [
    "forward_client_headers_by_model_group",
    "router_budget_limiting",
    "tag_budget_limiting",
];

impl AffinityKind {
    /// Its name in `optional_pre_call_checks`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut all = KINDS.iter();
        all.find(|(_, kind)| *kind == self)
            .map_or("", |(name, _)| name)
    }
}

/// What keeps requests where their like were served.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Affinity {
    /// For the groups that say nothing else.
    pub kinds: Vec<AffinityKind>,
    /// By the group that is asked for, instead of `kinds`.
    pub by_group: Vec<(Arc<str>, Vec<AffinityKind>)>,
    /// How long a session or a caller is kept after its last request.
    pub ttl: Duration,
}

impl Affinity {
    /// What holds for a group.
    #[must_use]
    pub fn of(&self, group: &str) -> &[AffinityKind] {
        let own = self.by_group.iter().find(|(name, _)| **name == *group);
        own.map_or(&self.kinds, |(_, kinds)| kinds)
    }

    /// Whether nothing is kept anywhere.
    #[must_use]
    pub fn is_off(&self) -> bool {
        let mut all = self.by_group.iter().map(|(_, kinds)| kinds);
        self.kinds.is_empty() && all.all(Vec::is_empty)
    }
}

/// Reads `optional_pre_call_checks` and what belongs to it; also whether `rpm` and `tpm` are limits.
pub(crate) fn read(
    router: &Section<'_>,
    names: &Names,
    facts: &mut Facts,
    report: &mut Report,
) -> (Affinity, bool) {
    let key = "optional_pre_call_checks";
    let mut limits = None;
    let mut kinds = Vec::new();
    let field = router.field(key);
    if let Some(field) = field {
        for node in read::list(field.node, key, report).unwrap_or_default() {
            match check(node, key, report) {
                Some(Check::Limits(found)) => limits = Some(found),
                Some(Check::Keeps(kind)) => insert(&mut kinds, kind),
                None => {}
            }
        }
    }
    let told = |kinds: &[AffinityKind]| {
        let names: Vec<_> = kinds.iter().map(|kind| Arc::from(kind.name())).collect();
        names
    };
    let found = field.filter(|_| !kinds.is_empty());
    facts.maybe(
        "affinity",
        found.map(|field| field.found(told(&kinds), None)),
    );
    let ttl = "deployment_affinity_ttl_seconds";
    let hour = Duration::from_secs(3600);
    let ttl = facts.settle(ttl, router.seconds(ttl, Range::OverZero, report), hour);

    let key = "model_group_affinity_config";
    let groups = router
        .field(key)
        .and_then(|field| read::map(field.node, key, report));
    let mut by_group = Vec::new();
    for (group, node) in groups.unwrap_or_default() {
        if !names.has(&group.text) {
            report.error(group.at, names.unknown("", &group.text, report));
        }
        let mut kinds = Vec::new();
        for node in read::list(node, key, report).unwrap_or_default() {
            match check(node, key, report) {
                Some(Check::Keeps(kind)) => insert(&mut kinds, kind),
                Some(Check::Limits(found)) => {
                    let message = format!(
                        "`{LIMITS}` holds for all groups: it belongs into `optional_pre_call_checks`"
                    );
                    report.error(found.at, message);
                }
                None => {}
            }
        }
        let name = format!("affinity of {}", group.text.escape_debug());
        facts.note(&name, &told(&kinds), crate::Source::of(node, None));
        by_group.push((Arc::clone(&group.text), kinds));
    }
    let affinity = Affinity {
        kinds,
        by_group,
        ttl,
    };
    (affinity, facts.settle(LIMITS, limits, false))
}

enum Check {
    Limits(Found<bool>),
    Keeps(AffinityKind),
}

fn insert(kinds: &mut Vec<AffinityKind>, kind: AffinityKind) {
    if !kinds.contains(&kind) {
        kinds.push(kind);
    }
}

fn check(node: &Node, key: &'static str, report: &mut Report) -> Option<Check> {
    let found = read::text(node, key, report)?;
    if *found.value == *LIMITS {
        return Some(Check::Limits(found.map(|_| true)));
    }
    if let Some((_, kind)) = KINDS.iter().find(|(name, _)| **name == *found.value) {
        return Some(Check::Keeps(*kind));
    }
    let told = read::name(&found.value);
    let all = KINDS.iter().map(|(name, _)| *name).chain([LIMITS]);
    if OTHERS.contains(&&*found.value) {
        let message = format!("{told} is known to LiteLLM, not acted on yet");
        report.warning(found.at, message);
    } else if let Some(near) = keys::near(&found.value, all.chain(OTHERS)) {
        let message = format!("unknown check {told}; did you mean `{near}`?");
        report.error(found.at, message);
    } else {
        report.warning(found.at, format!("unknown check {told}, ignored"));
    }
    None
}

//! Whether and how the health of deployments is checked.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::Value as Json;
use ziggurat_core::HealthCheck;

use crate::{
    deployments::Reader,
    json, keys,
    problem::Report,
    read::{self, Range::OverZero, Section, first},
    source::{Facts, Source},
};

/// The time between two checks of a deployment, if nobody says it.
const INTERVAL: Duration = Duration::from_secs(300);

/// Whether and how the health of deployments is checked, under the names that `general_settings` has
/// for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthSettings {
    /// Whether it is checked: `background_health_checks`.
    pub enabled: bool,
    /// Whether what fails its check gets no requests: `enable_health_check_routing`.
    pub routing: bool,
    /// The time between two checks of a deployment.
    pub interval: Duration,
    /// How many deployments are checked at a time. At least 1; `None` leaves the checker's own.
    pub concurrency: Option<u32>,
    /// How long a result counts. `None` leaves the checker's own.
    pub staleness: Option<Duration>,
    /// Whether a timeout or a 429 says nothing of the health.
    pub ignore_transient: bool,
    /// The model groups that are checked. `None` for all.
    pub groups: Option<Vec<Arc<str>>>,
}

/// Reads what `general_settings` says, and what `router_settings` may say of it as well.
pub(crate) fn read(
    general: &Section<'_>,
    router: &Section<'_>,
    groups: &[Arc<str>],
    facts: &mut Facts,
    report: &mut Report,
) -> HealthSettings {
    let both = [router, general];
    let mut flag = |key, sections: &[&Section<'_>], report: &mut Report| {
        let found: Vec<_> = sections.iter().map(|it| it.flag(key, report)).collect();
        facts.settle(key, first(found, report), false)
    };
    let enabled = flag("background_health_checks", &[general], report);
    let routing = flag("enable_health_check_routing", &both, report);
    let ignore_transient = flag("health_check_ignore_transient_errors", &both, report);
    let interval = general.seconds("health_check_interval", OverZero, report);
    let concurrency = general.whole("health_check_concurrency", OverZero, report);
    let key = "health_check_staleness_threshold";
    let staleness = both.map(|section| section.seconds(key, OverZero, report));
    HealthSettings {
        enabled,
        routing,
        interval: facts.settle("health_check_interval", interval, INTERVAL),
        concurrency: facts.maybe("health_check_concurrency", concurrency),
        staleness: facts.maybe(key, first(staleness, report)),
        ignore_transient,
        groups: checked(both, groups, facts, report),
    }
}

/// Reads `background_health_check_model_groups`.
fn checked(
    sections: [&Section<'_>; 2],
    groups: &[Arc<str>],
    facts: &mut Facts,
    report: &mut Report,
) -> Option<Vec<Arc<str>>> {
    let key = "background_health_check_model_groups";
    let exact: HashSet<&str> = groups.iter().map(|group| &**group).collect();
    let found = sections.map(|section| {
        let field = section.field(key)?;
        let mut names = Vec::new();
        for node in read::list(field.node, key, report)? {
            let Some(found) = read::text(node, key, report) else {
                continue;
            };
            if !exact.contains(&*found.value) {
                report.error(found.at, unknown(&found.value, &exact, report));
            }
            names.push(found.value);
        }
        Some(field.found(names, None))
    });
    facts.maybe(key, first(found, report))
}

/// What to say of a name that no deployment has for its group. An alias is none.
fn unknown(name: &str, groups: &HashSet<&str>, report: &Report) -> String {
    let told = read::name(name);
    let near = match report.is_full() {
        true => None,
        false => keys::near(name, groups.iter().copied()),
    };
    match near.map(read::name) {
        Some(near) => format!("{told} is no model group; did you mean {near}?"),
        None => format!("{told} is no model group"),
    }
}

impl Reader<'_> {
    /// How the health of the deployment is checked.
    pub(crate) fn health_check(&self, facts: &mut Facts, report: &mut Report) -> HealthCheck {
        let info = &self.info;
        let mut check = HealthCheck::default();
        let key = "disable_background_health_check";
        if let Some(disabled) = facts.take(key, info.flag(key, report)) {
            check.disabled = disabled;
        }
        let key = "health_check_model";
        check.model = facts.take(key, info.text(key, report));
        let key = "health_check_timeout";
        check.timeout = facts.take(key, info.seconds(key, OverZero, report));
        let key = "health_check_max_tokens";
        check.max_tokens = facts.take(key, info.whole(key, OverZero, report));
        let key = "health_check_params";
        if let Some(field) = info.field(key)
            && read::map(field.node, key, report).is_some()
            && let Some(Json::Object(params)) = json::of(field.node, key, report)
        {
            facts.note(key, &"set", Source::of(field.node, None));
            check.params = params;
        }
        check
    }
}

//! Changes while the router runs.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value as Json};
use ziggurat_core::{Deployment, Snapshot};

use crate::{
    Explanation, Plan, Problems, Source,
    defaults::Defaults,
    deployments::{self, Listed, Shared},
    environment::Environment,
    fallback_target,
    id::Ids,
    json, keys,
    keys::Support,
    origin::Origin,
    problem::Report,
    read::{self, Found, Section},
    routing::{self, Routing},
    tables::{LITELLM, OWN, ROUTER},
    yaml::{Key, Pos},
};

/// The keys of `router_settings` that may change while the router runs. The others concern how
/// deployments are read, or how their health is checked.
const UPDATABLE: [&str; 28] = [
    "allowed_fails",
    "allowed_fails_policy",
    "content_policy_fallbacks",
    "context_window_fallbacks",
    "cooldown_time",
    "default_fallbacks",
    "default_priority",
    "deployment_affinity_ttl_seconds",
    "disable_cooldowns",
    "enable_pre_call_checks",
    "enable_tag_filtering",
    "enable_weighted_failover",
    "fallbacks",
    "max_fallbacks",
    "model_group_affinity_config",
    "model_group_alias",
    "model_group_retry_policy",
    "num_retries",
    "optional_pre_call_checks",
    "retry_after",
    "retry_policy",
    "routing_groups",
    "routing_strategy",
    "routing_strategy_args",
    "stream_timeout",
    "tag_filtering_match_any",
    "tag_routing_prefix",
    "timeout",
];

impl Plan {
    /// The plan with other `router_settings`: as if these keys stood in the file, in the place of
    /// what stands there. Null takes a key away.
    ///
    /// Everything that names a group is checked again, against the deployments that the plan has now.
    /// The deployments stay as they are. [`warnings`](Self::warnings) are those about settings.
    ///
    /// ```
    /// use serde_json::json;
    /// use ziggurat_config::Plan;
    ///
    /// let plan = Plan::parse("router_settings: {num_retries: 3}", "config.yaml", |_| None)?;
    /// let updates = json!({"num_retries": 1, "cooldown_time": 0.5});
    /// let plan = plan.with_settings(updates.as_object().expect("is an object"))?;
    /// assert_eq!(plan.router.num_retries, 1);
    ///
    /// let updates = json!({"num_retires": 1});
    /// let problems = plan.with_settings(updates.as_object().expect("is an object"));
    /// assert_eq!(
    ///     problems.expect_err("is no setting").to_string(),
    ///     "settings: error: unknown key `num_retires`; did you mean `num_retries`?",
    /// );
    /// # Ok::<(), ziggurat_config::Problems>(())
    /// ```
    ///
    /// # Errors
    ///
    /// All that is wrong; the plan is as before then. Also if a key is none that may change at run
    /// time: see [`settings`](Self::settings).
    pub fn with_settings(&self, updates: &Map<String, Json>) -> Result<Self, Problems> {
        let origin = &self.origin;
        let mut report = Report::with_elsewhere(&origin.file, "settings");
        let mut router = origin.router.to_vec();
        for (key, value) in updates {
            if !UPDATABLE.contains(&key.as_str()) {
                report.error(Pos::NOWHERE, refuse(key));
                continue;
            }
            router.retain(|(k, _)| *k.text != **key);
            let value = fallback_target::restore(key, value, &self.fallbacks);
            let node = json::tree(&value, &mut report);
            if let Some(node) = node.filter(|node| !node.is_null()) {
                let at = Pos::NOWHERE;
                let text = Arc::from(key.as_str());
                router.push((Key { at, text }, node));
            }
        }
        let deployments = || self.deployments.iter();
        let mut groups: Vec<Arc<str>> = deployments()
            .map(|deployment| Arc::from(deployment.group()))
            .collect();
        let now: HashSet<_> = groups.iter().cloned().collect();
        let left_out = origin.groups.iter().filter(|group| !now.contains(*group));
        groups.extend(left_out.cloned());
        let team_models: Vec<_> = deployments()
            .filter_map(|deployment| deployment.team_model().cloned())
            .collect();
        let mirrors = deployments().flat_map(Deployment::mirrors);
        let mirrors: Vec<_> = mirrors
            .map(|group| Found {
                value: Arc::clone(group),
                source: Source::Runtime,
                at: Pos::NOWHERE,
                path: String::new(),
            })
            .collect();
        let read = {
            let sections = [
                &Section::again(&router, &ROUTER),
                &Section::again(&origin.litellm, &LITELLM),
                &Section::again(&origin.own, &OWN),
            ];
            routing::read(sections, &groups, &team_models, &mirrors, &mut report)
        };
        let Routing {
            aliases,
            routing_groups,
            fallbacks,
            router: settings,
            own,
            cache,
            entries,
            ..
        } = read;
        let warnings = report.finish()?;
        let kept = self.explanation.kept();
        let entries = kept.cloned().chain(entries).collect();
        let file = Arc::clone(&origin.file);
        Ok(Self {
            deployments: self.deployments.clone(),
            aliases,
            routing_groups,
            tag_filtering: self.tag_filtering.clone(),
            fallbacks,
            router: settings,
            general: self.general.clone(),
            callers: self.callers.clone(),
            limits: self.limits.clone(),
            own,
            cache,
            alerts: self.alerts.clone(),
            redis: self.redis.clone(),
            explanation: Explanation::new(file, &self.deployments, entries, warnings.len()),
            warnings,
            origin: Origin {
                router: router.into(),
                ..origin.clone()
            },
        })
    }

    /// The plan with another `routing_strategy`, by its name. Routing groups keep theirs.
    ///
    /// # Errors
    ///
    /// What to say of a name that is none.
    pub fn with_strategy(&self, name: &str) -> Result<Self, String> {
        let updates = Map::from_iter([("routing_strategy".to_owned(), Json::from(name))]);
        self.with_settings(&updates)
            .map_err(|problems| problems.to_string())
    }

    /// Reads one entry as if it stood in `model_list`: what it does not say it has from
    /// `default_litellm_params` and `default_max_parallel_requests`, and `os.environ/NAME` is replaced.
    ///
    /// An id that it gives is kept, whoever has it; one that is derived is none of those `among`
    /// which it will be. `silent_model` must lead to a group there.
    ///
    /// # Errors
    ///
    /// All that is wrong with it; also if it stands for several deployments, or is for another
    /// environment than this.
    pub fn deployment(
        &self,
        entry: &Json,
        among: &Snapshot,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Deployment, Problems> {
        let origin = &self.origin;
        let mut report = Report::with_elsewhere(&origin.file, "deployment");
        let mut listed = Listed::default();
        if let Some(mut node) = json::tree(entry, &mut report) {
            let variables = origin.variables.as_ref().clone();
            let environment = Environment::with_file(variables, &environment);
            environment.replace(&mut node);
            let router = Section::again(&origin.router, &ROUTER);
            let sections = [&router, &Section::again(&origin.litellm, &LITELLM)];
            let defaults = Defaults::read(&router, 1, &mut report);
            let credentials = &origin.credentials;
            let shared = Shared::read(sections, &environment, credentials, &defaults, &mut report);
            let mut ids = Ids::given(std::slice::from_ref(&node), &mut report);
            ids.take(among.deployments().map(|deployment| deployment.id()));
            deployments::one(&node, &shared, &mut ids, &mut listed, &mut report);
        }
        for found in &listed.mirrors {
            let target = &found.value;
            if target.contains('*') || among.resolve(target).is_none() {
                let told = read::name(target);
                report.error(found.at, format!("silent_model: {told} is no model group"));
            }
        }
        let count = listed.deployments.len();
        let only = listed.deployments.pop().filter(|_| count == 1);
        if only.is_none() && !report.has_failed() {
            let message = match count {
                0 => "this deployment is not for this environment",
                _ => "add one deployment for each `organization`",
            };
            report.error(Pos::NOWHERE, message);
        }
        report.finish()?;
        Ok(only.expect("whatever keeps it from being one was reported"))
    }
}

/// Why a key cannot be updated.
fn refuse(key: &str) -> String {
    let told = read::name(key);
    match (ROUTER.support(key), keys::near(key, UPDATABLE)) {
        (Some(Support::Acted), _) => {
            format!("{told} does not change while the router runs: change the file")
        }
        (Some(_), _) => format!("{told} is known to LiteLLM, not acted on yet"),
        (None, Some(near)) => format!("unknown key {told}; did you mean `{near}`?"),
        (None, None) => format!("unknown key {told}"),
    }
}

//! Settings as they are shown.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value as Json, json};
use ziggurat_core::FallbackTarget;

use crate::{AffinityKind, Alias, Plan, RoutingGroupPlan, allowed_fails, fallback_target};

impl Plan {
    /// The effective `router_settings` that may change at run time, under the names of the file.
    /// [`with_settings`](Self::with_settings) takes them all.
    ///
    /// Credentials in the overrides of a fallback are shown as `***`. A fallback that comes back as it
    /// was shown, in the same map, has its credentials still; any other `***` is refused.
    #[must_use]
    pub fn settings(&self) -> Json {
        let router = &self.router;
        let mut checks: Vec<_> = names(&router.affinity.kinds);
        if router.enforce_model_rate_limits {
            checks.push("enforce_model_rate_limits");
        }
        let by_group = router.affinity.by_group.iter();
        let by_group: Map<_, _> = by_group
            .map(|(group, kinds)| (group.to_string(), json!(names(kinds))))
            .collect();
        let maps = &self.fallbacks;
        let is_default = |entry: &&(Arc<str>, _)| *entry.0 == *"*";
        let default = maps.general.iter().find(is_default);
        let default = default.map(|(_, targets)| shown(targets));
        let general = maps.general.iter().filter(|entry| !is_default(entry));
        let aliases: Map<_, _> = self.aliases.iter().map(alias).collect();
        let retry_policies = router.group_retry_policies.iter();
        let retry_policies: Map<_, _> = retry_policies
            .map(|(group, policy)| (group.to_string(), policy.to_json()))
            .collect();
        let groups: Vec<_> = self.routing_groups.iter().map(routing_group).collect();
        json!({
            "allowed_fails": router.allowed_fails,
            "allowed_fails_policy": allowed_fails::to_json(&router.allowed_fails_policy),
            "content_policy_fallbacks": lists(&maps.content_policy),
            "context_window_fallbacks": lists(&maps.context_window),
            "cooldown_time": seconds(router.cooldown_time),
            "default_fallbacks": default,
            "default_priority": router.default_priority,
            "deployment_affinity_ttl_seconds": seconds(router.affinity.ttl),
            "disable_cooldowns": router.disable_cooldowns,
            "enable_pre_call_checks": router.enable_pre_call_checks,
            "enable_tag_filtering": router.enable_tag_filtering,
            "enable_weighted_failover": router.enable_weighted_failover,
            "fallbacks": lists(general),
            "max_fallbacks": router.max_fallbacks,
            "model_group_affinity_config": by_group,
            "model_group_alias": aliases,
            "model_group_retry_policy": retry_policies,
            "num_retries": router.num_retries,
            "optional_pre_call_checks": checks,
            "retry_after": seconds(router.retry_after),
            "retry_policy": router.retry_policy.to_json(),
            "routing_groups": groups,
            "routing_strategy": router.strategy.name(),
            "routing_strategy_args": router.strategy_args.to_json(),
            "stream_timeout": router.stream_timeout.map(seconds),
            "tag_filtering_match_any": router.tag_filtering_match_any,
            "tag_routing_prefix": router.tag_routing_prefix.as_deref(),
            "timeout": seconds(router.timeout),
        })
    }
}

fn seconds(time: Duration) -> Json {
    match time.subsec_nanos() {
        0 => time.as_secs().into(),
        _ => time.as_secs_f64().into(),
    }
}

fn names(kinds: &[AffinityKind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.name()).collect()
}

fn texts(texts: &[Arc<str>]) -> Json {
    texts.iter().map(|text| &**text).collect()
}

fn lists<'a>(lists: impl IntoIterator<Item = &'a (Arc<str>, Vec<FallbackTarget>)>) -> Json {
    let lists = lists.into_iter();
    lists
        .map(|(group, targets)| json!({ &**group: shown(targets) }))
        .collect()
}

fn shown(targets: &[FallbackTarget]) -> Json {
    targets.iter().map(fallback_target::shown).collect()
}

fn alias(alias: &Alias) -> (String, Json) {
    let target = if alias.hidden {
        json!({"model": &*alias.target, "hidden": true})
    } else {
        json!(&*alias.target)
    };
    (alias.name.to_string(), target)
}

fn routing_group(group: &RoutingGroupPlan) -> Json {
    let priorities = group.priorities.iter();
    let priorities: Map<_, _> = priorities
        .map(|(model, order)| (model.to_string(), json!(order)))
        .collect();
    json!({
        "group_name": &*group.name,
        "models": texts(&group.models),
        "routing_strategy": group.strategy.name(),
        "routing_strategy_args": group.args.to_json(),
        "model_priorities": priorities,
    })
}

//! What a plan says of failures: the policies of the layers that answer them.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc, time::Duration};

use ziggurat_config::{
    CallerName, FallbackMaps, FirstTokenSetting, HoldBackSetting, OnBreakSetting, Plan, RetryCounts,
};
use ziggurat_cooldown::CooldownPolicy;
use ziggurat_core::{
    Capability, DEFAULT_ATTEMPTS, Deployments, Extract, LlmRequest, Operation, Param as _, Routed,
    Timeouts, Transcripts,
};
use ziggurat_fallback::FallbackLists;
use ziggurat_health::HealthPolicy;
use ziggurat_hedge::{HedgeLayer, Hedging};
use ziggurat_hold_back::HoldBack;
use ziggurat_provider::{OpenAiTranscript, OpenAiTranscripts};
use ziggurat_retry::{RetryLayer, RetryPolicy};
use ziggurat_timeout::{FirstToken, RequestClocks};

use crate::per_group::PerGroup;

/// Six, or as many as the retries of a group and one for each of its fallbacks.
pub(crate) fn attempts(plan: &Plan) -> u32 {
    if let Some(attempts) = plan.own.max_attempts {
        return attempts;
    }
    let maps = &plan.fallbacks;
    let lists = [&maps.general, &maps.context_window, &maps.content_policy];
    let longest = lists.into_iter().flatten().map(|(_, list)| list.len());
    let fallbacks = u32::try_from(longest.max().unwrap_or_default()).unwrap_or(u32::MAX);
    let router = &plan.router;
    let policies = router.group_retry_policies.iter().map(|(_, policy)| policy);
    let counts = policies.chain([&router.retry_policy]).flat_map(|policy| {
        policy
            .by_kind
            .iter()
            .map(|(_, count)| *count)
            .chain(policy.default)
    });
    let own = plan.deployments.iter().filter_map(|it| it.num_retries());
    let retries = counts.chain(own).chain([router.num_retries]).max();
    let in_a_group = retries.unwrap_or_default().saturating_add(1);
    DEFAULT_ATTEMPTS.max(in_a_group.saturating_add(fallbacks.min(router.max_fallbacks)))
}

pub(crate) fn retry(plan: &Plan) -> RetryLayer {
    let router = &plan.router;
    let layer = RetryLayer::new()
        .num_retries(router.num_retries)
        .retry_after(router.retry_after)
        .policy(retry_policy(&router.retry_policy))
        .failover(router.enable_weighted_failover);
    let groups = router.group_retry_policies.iter();
    groups.fold(layer, |layer, (group, counts)| {
        layer.group_policy(Arc::clone(group), retry_policy(counts))
    })
}

fn retry_policy(counts: &RetryCounts) -> RetryPolicy {
    let kinds = counts.by_kind.iter();
    let policy = kinds.fold(RetryPolicy::new(), |policy, (kind, count)| {
        policy.of_kind(*kind, *count)
    });
    match counts.default {
        Some(count) => policy.otherwise(count),
        None => policy,
    }
}

pub(crate) fn cooldown(plan: &Plan) -> CooldownPolicy {
    let settings = &plan.router;
    if settings.disable_cooldowns {
        return CooldownPolicy::disabled();
    }
    let own = &plan.own.cooldown;
    let mut policy = CooldownPolicy::new().cooldown_time(settings.cooldown_time);
    if let Some(failures) = settings.allowed_fails {
        policy = policy.allowed_fails(failures);
    }
    for (kind, failures) in &settings.allowed_fails_policy {
        policy = policy.allowed_fails_of(*kind, *failures);
    }
    if let Some(window) = own.window {
        policy = policy.window(window);
    }
    if let Some(limit) = own.max_retry_after {
        policy = policy.max_retry_after(limit);
    }
    let (share, least) = (own.failure_share, own.min_requests);
    if share.is_some() || least.is_some() {
        const SHARE: f64 = 0.5;
        const LEAST: u32 = 5;
        let changed = policy
            .clone()
            .failure_share(share.unwrap_or(SHARE), least.unwrap_or(LEAST));
        // A share that the configuration has let through is one.
        policy = changed.unwrap_or(policy);
    }
    policy
}

/// Asks of whom the lists of a key or a team are.
#[derive(Clone, Debug)]
pub(crate) struct CallersLists(Arc<HashMap<CallerName, Arc<FallbackLists>>>);

impl CallersLists {
    pub(crate) fn new(plan: &Plan) -> Self {
        let lists = plan.own.fallbacks_for.iter();
        let lists = lists.map(|(caller, maps)| {
            let lists = fallback_lists(maps, plan.router.max_fallbacks);
            (caller.clone(), Arc::new(lists))
        });
        Self(Arc::new(lists.collect()))
    }
}

impl Extract<Option<Arc<FallbackLists>>, LlmRequest> for CallersLists {
    fn extract(&self, request: &LlmRequest) -> Option<Arc<FallbackLists>> {
        let caller = request.caller().filter(|_| !self.0.is_empty())?;
        let key = caller.key.clone().map(CallerName::Key);
        let team = caller.team.clone().map(CallerName::Team);
        let names = [key, team].into_iter().flatten();
        names
            .into_iter()
            .find_map(|name| self.0.get(&name))
            .cloned()
    }
}

pub(crate) fn fallback_lists(maps: &FallbackMaps, max: u32) -> FallbackLists {
    FallbackLists::new()
        .general(maps.general.clone())
        .context_window(maps.context_window.clone())
        .content_policy(maps.content_policy.clone())
        .max_fallbacks(max)
}

pub(crate) fn clocks(plan: &Plan) -> RequestClocks {
    let clocks = RequestClocks::new(Timeouts {
        attempt: Some(plan.router.timeout),
        stream: plan.router.stream_timeout,
        first_token: None,
        idle: plan.own.idle_timeout,
    })
    .first_token(match plan.own.first_token {
        FirstTokenSetting::After(time) => FirstToken::After(time),
        FirstTokenSetting::Off => FirstToken::Off,
        _ => FirstToken::Auto,
    })
    .num_retries(plan.router.num_retries);
    let groups = plan.own.groups.iter();
    groups.fold(clocks, |clocks, (name, group)| {
        clocks.group(Arc::clone(name), group.timeouts)
    })
}

/// How much of an answer is held back, by its group.
#[derive(Clone, Debug)]
pub(crate) struct Holding(PerGroup<HoldBack>);

impl Holding {
    pub(crate) fn new(plan: &Plan, deployments: &Deployments) -> Self {
        let hold = |setting: HoldBackSetting| match setting {
            HoldBackSetting::Events(events) => HoldBack::events(events),
            _ => HoldBack::all(),
        };
        let default = plan.own.streams.hold_back.map_or(HoldBack::none(), hold);
        let own = PerGroup::of(plan, deployments, default, |group| {
            group.hold_back.map(hold)
        });
        Self(own)
    }
}

impl Extract<HoldBack, Routed<LlmRequest>> for Holding {
    fn extract(&self, routed: &Routed<LlmRequest>) -> HoldBack {
        let request = routed.request();
        // A file would be held back whole.
        match request.passed() {
            Some(_) => HoldBack::none(),
            None => self.0.get(request.group().as_str()),
        }
    }
}

/// Listens to answers that could be gone on with, where that is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Continuing {
    wanted: PerGroup<bool>,
    deployments: Deployments,
}

impl Continuing {
    pub(crate) fn new(plan: &Plan, deployments: &Deployments) -> Self {
        let goes_on = |setting: OnBreakSetting| setting == OnBreakSetting::Continue;
        let default = goes_on(plan.own.streams.on_break);
        let wanted = PerGroup::of(plan, deployments, default, |group| {
            group.on_break.map(goes_on)
        });
        Self {
            wanted,
            deployments: deployments.clone(),
        }
    }

    /// Whether any deployment is known to go on with a chat.
    fn somebody_can(&self) -> bool {
        let known = self.deployments.load().capabilities();
        known.contains(Capability::AssistantPrefill) || known.contains(Capability::Continuation)
    }
}

impl Transcripts<LlmRequest> for Continuing {
    type Transcript = OpenAiTranscript;

    fn listen(&self, request: &LlmRequest) -> Option<OpenAiTranscript> {
        let wanted = self.wanted.get(request.group().as_str())
            && (request.operation() != Operation::ChatCompletions || self.somebody_can());
        OpenAiTranscripts.listen(request).filter(|_| wanted)
    }
}

/// Whether a request is hedged, by its group.
#[derive(Clone, Debug)]
pub(crate) struct Hedged(PerGroup<bool>);

impl Extract<Hedging, LlmRequest> for Hedged {
    fn extract(&self, request: &LlmRequest) -> Hedging {
        match self.0.get(request.group().as_str()) {
            true => request.param(),
            false => Hedging::Off,
        }
    }
}

/// Before that no answer is late enough for a second request.
const MIN_DELAY: Duration = Duration::from_millis(50);

/// The hedging of a plan, which goes on with what was learned before.
pub(crate) fn hedge(
    plan: &Plan,
    deployments: &Deployments,
    before: &mut Option<HedgeLayer>,
) -> Option<HedgeLayer<Hedged>> {
    let Some(settings) = plan.own.hedge else {
        *before = None;
        return None;
    };
    // Percentages that the configuration has let through are some.
    let layer = match before.take() {
        Some(layer) => layer.percentile(settings.percentile),
        None => HedgeLayer::new(settings.percentile),
    };
    let layer = layer.and_then(|layer| layer.budget(settings.budget)).ok()?;
    let layer = layer.min_delay(settings.min_delay.unwrap_or(MIN_DELAY));
    *before = Some(layer.clone());
    let hedged = PerGroup::of(plan, deployments, true, |group| group.hedge);
    Some(layer.hedging_by(Hedged(hedged)))
}

pub(crate) fn health(plan: &Plan) -> HealthPolicy {
    let settings = &plan.general.health;
    let mut policy = HealthPolicy::new()
        .interval(settings.interval)
        .routing(settings.enabled && settings.routing)
        .ignore_transient(settings.ignore_transient);
    if let Some(checks) = settings.concurrency {
        let checks = NonZeroUsize::new(checks as usize);
        policy = policy.concurrency(checks.unwrap_or(NonZeroUsize::MIN));
    }
    if let Some(threshold) = settings.staleness {
        policy = policy.staleness(threshold);
    }
    match &settings.groups {
        Some(groups) => policy.groups(groups.iter().cloned()),
        None => policy,
    }
}

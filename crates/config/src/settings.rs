//! What holds for the whole stack.

use std::{sync::Arc, time::Duration};

use ziggurat_core::{ErrorKind, Secret};

use crate::{
    Affinity, HealthSettings, RetryCounts, Strategy, StrategyArgs, affinity, allowed_fails,
    environment::Environment,
    health,
    names::Names,
    problem::Report,
    read::{Range, Section, first},
    retry_counts,
    source::Facts,
    strategy, strategy_args,
};

/// `router_settings`, after what `litellm_settings` adds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouterSettings {
    /// How a deployment of a group is chosen, where no routing group says so;
    /// [`Plan::strategy_of`](crate::Plan::strategy_of) tells it for a group.
    pub strategy: Strategy,
    /// What the strategy is told.
    pub strategy_args: StrategyArgs,
    /// Retries in a group after the first attempt.
    pub num_retries: u32,
    /// Retries by the kind of the failure.
    pub retry_policy: RetryCounts,
    /// The same for single groups, where it takes the place of `retry_policy` as a whole.
    pub group_retry_policies: Vec<(Arc<str>, RetryCounts)>,
    /// Whether the other deployments of a group are asked before other groups are, when the retries
    /// are used up.
    pub enable_weighted_failover: bool,
    /// How many fallback groups a request may go through.
    pub max_fallbacks: u32,
    /// For one attempt, where its deployment sets nothing.
    pub timeout: Duration,
    /// As `timeout`, for streams. `None` means `timeout` holds for them as well.
    pub stream_timeout: Option<Duration>,
    /// The least time between two attempts of a request.
    pub retry_after: Duration,
    /// How long a failing deployment rests, where neither it nor the provider says.
    pub cooldown_time: Duration,
    /// How many failures a deployment may have before it rests. `None` leaves that to their share.
    pub allowed_fails: Option<u32>,
    /// The same for failures of one kind; no kind stands twice.
    pub allowed_fails_policy: Vec<(ErrorKind, u32)>,
    /// Whether nothing ever rests.
    pub disable_cooldowns: bool,
    /// Whether a deployment's `rpm` is a limit, whatever the strategy, and whether deployments are
    /// passed over that are too small for a request, not in its region, or do not know its fields.
    pub enable_pre_call_checks: bool,
    /// Whether tags of a request choose among deployments.
    pub enable_tag_filtering: bool,
    /// Whether one common tag is enough; otherwise a deployment must have all of them.
    pub tag_filtering_match_any: bool,
    /// What tags meant for routing begin with. It is cut off.
    pub tag_routing_prefix: Option<Arc<str>>,
    /// The priority of a request that names none; lower is more urgent.
    pub default_priority: Option<i64>,
    /// Whether `rpm` and `tpm` are limits, whatever the strategy.
    pub enforce_model_rate_limits: bool,
    /// What keeps requests where their like were served.
    pub affinity: Affinity,
    /// `litellm_settings.drop_params`: whether fields that a deployment does not know are no reason
    /// to pass it over.
    pub drop_params: bool,
}

impl RouterSettings {
    /// Whether the limits of deployments on tokens are limits.
    pub(crate) fn enforces_tpm(&self) -> bool {
        let by_usage = matches!(self.strategy, Strategy::UsageBased | Strategy::UsageBasedV2);
        by_usage || self.enforce_model_rate_limits
    }
}

/// `general_settings`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GeneralSettings {
    /// The key that opens everything.
    pub master_key: Option<Secret>,
    /// Whether clients may send `mock_*` fields: failures and answers that are played.
    pub dangerously_allow_mock_testing_request_params: bool,
    /// Whether requests may bring their own credential and endpoint, whatever deployment serves them.
    pub allow_client_side_credentials: bool,
    /// Whether and how the health of deployments is checked.
    pub health: HealthSettings,
    /// The file to which a line of JSON is added for each attempt that has ended.
    pub settlement_log: Option<Arc<str>>,
}

pub(crate) fn router(
    router: &Section<'_>,
    litellm: &Section<'_>,
    names: &Names,
    facts: &mut Facts,
    report: &mut Report,
) -> RouterSettings {
    use Range::{Any, NotNegative, OverZero};
    let both = |key, range, report: &mut Report| {
        let (a, b) = (
            router.whole(key, range, report),
            litellm.whole(key, range, report),
        );
        first([a, b], report)
    };
    let num_retries = both("num_retries", NotNegative, report);
    let max_fallbacks = both("max_fallbacks", NotNegative, report);
    let allowed_fails = both("allowed_fails", NotNegative, report);
    let timeout = [
        router.seconds("timeout", OverZero, report),
        litellm.seconds("request_timeout", OverZero, report),
    ];
    let timeout = first(timeout, report);
    let strategy = strategy::read(router, report);
    let strategy = facts.settle("routing_strategy", strategy, Strategy::SimpleShuffle);
    let strategy_args = strategy_args::read(router, strategy, facts, report);
    let (affinity, enforce_model_rate_limits) = affinity::read(router, names, facts, report);
    let num_retries = facts.settle("num_retries", num_retries, 2);
    let (retry_policy, group_retry_policies) = retry_counts::read(router, names, facts, report);
    RouterSettings {
        strategy,
        strategy_args,
        num_retries,
        retry_policy,
        group_retry_policies,
        enable_weighted_failover: flag(router, "enable_weighted_failover", false, facts, report),
        max_fallbacks: facts.settle("max_fallbacks", max_fallbacks, 5),
        timeout: facts.settle("timeout", timeout, Duration::from_secs(6000)),
        stream_timeout: facts.maybe(
            "stream_timeout",
            router.seconds("stream_timeout", OverZero, report),
        ),
        retry_after: facts.settle(
            "retry_after",
            router.seconds("retry_after", NotNegative, report),
            Duration::ZERO,
        ),
        cooldown_time: cooldown_time(router, litellm, facts, report),
        allowed_fails: facts.maybe("allowed_fails", allowed_fails),
        allowed_fails_policy: allowed_fails::of_router(router, facts, report),
        disable_cooldowns: flag(router, "disable_cooldowns", false, facts, report),
        enable_pre_call_checks: flag(router, "enable_pre_call_checks", false, facts, report),
        enable_tag_filtering: flag(router, "enable_tag_filtering", false, facts, report),
        tag_filtering_match_any: flag(router, "tag_filtering_match_any", true, facts, report),
        default_priority: facts.maybe(
            "default_priority",
            router.whole("default_priority", Any, report),
        ),
        tag_routing_prefix: facts.maybe(
            "tag_routing_prefix",
            router.text("tag_routing_prefix", report),
        ),
        enforce_model_rate_limits,
        affinity,
        drop_params: flag(litellm, "drop_params", false, facts, report),
    }
}

fn flag(
    section: &Section<'_>,
    key: &'static str,
    default: bool,
    facts: &mut Facts,
    report: &mut Report,
) -> bool {
    facts.settle(key, section.flag(key, report), default)
}

/// LiteLLM takes 0 for its default of 5 seconds. So do we, but not without saying so.
fn cooldown_time(
    router: &Section<'_>,
    litellm: &Section<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> Duration {
    let key = "cooldown_time";
    let found = [router, litellm].map(|section| section.seconds(key, Range::NotNegative, report));
    let mut found = first(found, report);
    if let Some(zero) = found.take_if(|found| found.value.is_zero()) {
        let message = "`cooldown_time` of 0 means the default of 5 seconds; to rest nothing set `disable_cooldowns`";
        report.warning(zero.at, message);
    }
    facts.settle(key, found, Duration::from_secs(5))
}

/// Reads `general_settings`, and what of it may stand in `router_settings`.
pub(crate) fn general(
    general: &Section<'_>,
    router: &Section<'_>,
    groups: &[Arc<str>],
    environment: &Environment<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> GeneralSettings {
    let key = "master_key";
    let given = general.secret(key, report);
    if let Some(empty) = given
        .as_ref()
        .filter(|found| found.value.expose().is_empty())
    {
        report.error(empty.at, "`master_key` must not be empty");
    }
    let master_key = match general.field(key) {
        Some(_) => given,
        None => environment
            .found(&["LITELLM_MASTER_KEY"])
            .map(|found| found.map(Secret::new)),
    };
    let mock = "dangerously_allow_mock_testing_request_params";
    GeneralSettings {
        master_key: facts.maybe(key, master_key),
        dangerously_allow_mock_testing_request_params: flag(general, mock, false, facts, report),
        allow_client_side_credentials: flag(
            general,
            "allow_client_side_credentials",
            false,
            facts,
            report,
        ),
        health: health::read(general, router, groups, facts, report),
        settlement_log: facts.maybe("settlement_log", general.text("settlement_log", report)),
    }
}

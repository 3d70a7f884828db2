//! What holds for the whole stack.

use std::time::Duration;

use ziggurat_core::Secret;

use crate::{
    environment::Environment,
    keys,
    problem::Report,
    read::{self, Range, Section, first},
    source::Facts,
    strategy::{self, Strategy},
    tables,
};

/// The checks that `optional_pre_call_checks` may name. We act on the first.
const CHECKS: [&str; 9] = [
    "enforce_model_rate_limits",
    "deployment_affinity",
    "encrypted_content_affinity",
    "forward_client_headers_by_model_group",
    "prompt_caching",
    "responses_api_deployment_check",
    "router_budget_limiting",
    "session_affinity",
    "tag_budget_limiting",
];

/// `router_settings`, after what `litellm_settings` adds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouterSettings {
    /// How a deployment of a group is chosen.
    pub strategy: Strategy,
    /// Retries in a group after the first attempt.
    pub num_retries: u32,
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
    /// Whether nothing ever rests.
    pub disable_cooldowns: bool,
    /// Whether a deployment's `rpm` is a limit, whatever the strategy.
    pub enable_pre_call_checks: bool,
    /// Whether tags of a request choose among deployments.
    pub enable_tag_filtering: bool,
    /// Whether one common tag is enough; otherwise a deployment must have all of them.
    pub tag_filtering_match_any: bool,
    /// The priority of a request that names none; lower is more urgent.
    pub default_priority: Option<i64>,
    /// Whether `rpm` and `tpm` are limits, whatever the strategy.
    pub enforce_model_rate_limits: bool,
}

/// `general_settings`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GeneralSettings {
    /// The key that opens everything.
    pub master_key: Option<Secret>,
    /// Whether clients may send `mock_*` fields. They are cut out; nothing is made up.
    pub dangerously_allow_mock_testing_request_params: bool,
}

/// `ziggurat_settings`: what LiteLLM has no word for. `None` leaves the layer's own default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwnSettings {
    /// For a request as a whole, all attempts and waits included.
    pub deadline: Option<Duration>,
    /// Attempts of a request, over all retries and fallbacks. At least 1.
    pub max_attempts: Option<u32>,
    /// To the first content item of a stream.
    pub first_token_timeout: Option<Duration>,
    /// Between two items of a stream.
    pub idle_timeout: Option<Duration>,
    /// To a connection with a provider.
    pub connect_timeout: Option<Duration>,
    /// The queue before the deployments.
    pub queue: QueueSettings,
    /// How many retries the whole process may make.
    pub retry_budget: RetryBudget,
}

/// `ziggurat_settings.queue`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct QueueSettings {
    /// Requests in flight before others wait. At least 1.
    pub capacity: Option<u32>,
    /// Requests that may wait; the next is refused.
    pub max_waiting: Option<u32>,
}

/// `ziggurat_settings.retry_budget`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RetryBudget {
    /// Retries in percent of the requests.
    pub percent: Option<f64>,
    /// Retries a second that are allowed in any case.
    pub min_per_second: Option<u32>,
}

pub(crate) fn router(
    router: &Section<'_>,
    litellm: &Section<'_>,
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
    RouterSettings {
        strategy: strategy::read(router, facts, report),
        num_retries: facts.settle("num_retries", num_retries, 2),
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
        disable_cooldowns: flag(router, "disable_cooldowns", false, facts, report),
        enable_pre_call_checks: flag(router, "enable_pre_call_checks", false, facts, report),
        enable_tag_filtering: flag(router, "enable_tag_filtering", false, facts, report),
        tag_filtering_match_any: flag(router, "tag_filtering_match_any", true, facts, report),
        default_priority: facts.maybe(
            "default_priority",
            router.whole("default_priority", Any, report),
        ),
        enforce_model_rate_limits: checks(router, facts, report),
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

/// Whether `enforce_model_rate_limits` is among the checks.
fn checks(router: &Section<'_>, facts: &mut Facts, report: &mut Report) -> bool {
    let key = "optional_pre_call_checks";
    let mut enforce = None;
    let nodes = router
        .field(key)
        .and_then(|field| read::list(field.node, key, report));
    for check in nodes.unwrap_or_default() {
        let Some(found) = read::text(check, key, report) else {
            continue;
        };
        let told = read::name(&found.value);
        if *found.value == *CHECKS[0] {
            enforce = Some(found.map(|_| true));
        } else if CHECKS.contains(&&*found.value) {
            report.warning(
                found.at,
                format!("{told} is known to LiteLLM, not acted on yet"),
            );
        } else if let Some(near) = keys::near(&found.value, CHECKS) {
            report.error(
                found.at,
                format!("unknown check {told}; did you mean `{near}`?"),
            );
        } else {
            report.warning(found.at, format!("unknown check {told}, ignored"));
        }
    }
    facts.settle(CHECKS[0], enforce, false)
}

pub(crate) fn general(
    general: &Section<'_>,
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
    }
}

pub(crate) fn own(own: &Section<'_>, facts: &mut Facts, report: &mut Report) -> OwnSettings {
    use Range::{NotNegative, OverZero};
    let queue = own.child("queue", &tables::QUEUE, report);
    let budget = own.child("retry_budget", &tables::RETRY_BUDGET, report);
    let mut seconds = |key, report: &mut Report| {
        let found = own.seconds(key, OverZero, report);
        facts.maybe(key, found)
    };
    let (deadline, first_token_timeout, idle_timeout, connect_timeout) = (
        seconds("deadline", report),
        seconds("first_token_timeout", report),
        seconds("idle_timeout", report),
        seconds("connect_timeout", report),
    );
    OwnSettings {
        deadline,
        max_attempts: facts.maybe("max_attempts", own.whole("max_attempts", OverZero, report)),
        first_token_timeout,
        idle_timeout,
        connect_timeout,
        queue: QueueSettings {
            capacity: facts.maybe("queue.capacity", queue.whole("capacity", OverZero, report)),
            max_waiting: facts.maybe(
                "queue.max_waiting",
                queue.whole("max_waiting", NotNegative, report),
            ),
        },
        retry_budget: RetryBudget {
            percent: facts.maybe(
                "retry_budget.percent",
                budget.number("percent", NotNegative, report),
            ),
            min_per_second: facts.maybe(
                "retry_budget.min_per_second",
                budget.whole("min_per_second", NotNegative, report),
            ),
        },
    }
}

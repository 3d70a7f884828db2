//! The keys of sections in which a key that we do not know is nobody's: an error.

use crate::keys::Table;

pub(crate) static OWN: Table = Table {
    name: "ziggurat_settings",
    acted: &[
        "affinity",
        "alerts",
        "auto_route",
        "cache",
        "concurrency",
        "connect_timeout",
        "cooldown",
        "deadline",
        "fallbacks_for",
        "first_token_timeout",
        "groups",
        "hedge",
        "idle_timeout",
        "keys",
        "limits",
        "max_attempts",
        "mirror",
        "overload",
        "queue",
        "quotas",
        "redis",
        "retry_budget",
        "shutdown",
        "streams",
        "teams",
        "trusted_proxies",
        "users",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static CONCURRENCY: Table = Table {
    name: "concurrency",
    acted: &["initial", "max", "min", "mode"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static QUEUE: Table = Table {
    name: "queue",
    acted: &[
        "aging",
        "capacity",
        "classes",
        "count",
        "max_cost",
        "max_in_flight_per_tenant",
        "max_wait",
        "max_waiting",
        "max_waiting_bytes",
        "max_waiting_per_tenant",
        "order",
        "per",
        "shared",
        "tenant",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static QUEUE_CLASS: Table = Table {
    name: "classes",
    acted: &["max_wait", "name", "up_to", "weight"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static RETRY_BUDGET: Table = Table {
    name: "retry_budget",
    acted: &["min_per_second", "percent"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static ACCESS_WINDOW: Table = Table {
    name: "access_windows",
    acted: &["end", "start", "team_ids", "timezone"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static STRATEGY_ARGS: Table = Table {
    name: "routing_strategy_args",
    acted: &[
        "decay",
        "key",
        "load_factor",
        "lowest_latency_buffer",
        "max_latency_list_size",
        "quantile",
        "ttft_percentile",
        "ttl",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static ROUTING_GROUP: Table = Table {
    name: "routing_groups",
    acted: &[
        "group_name",
        "model_priorities",
        "models",
        "routing_strategy",
        "routing_strategy_args",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static AFFINITY: Table = Table {
    name: "affinity",
    acted: &["load_factor", "prompt_cache_ttl"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static MIRROR: Table = Table {
    name: "mirror",
    acted: &["max_in_flight", "queue", "share"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static AUTO_ROUTE: Table = Table {
    name: "auto_route",
    acted: &["bandits", "rules", "splits"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static RULE: Table = Table {
    name: "rules",
    acted: &[
        "all_tags",
        "images",
        "keywords",
        "lacks",
        "max_input_tokens",
        "min_input_tokens",
        "models",
        "name",
        "needs",
        "stream",
        "tags",
        "to",
        "tools",
        "users",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static BANDIT: Table = Table {
    name: "bandits",
    acted: &["among", "explore", "model", "weights"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static BANDIT_WEIGHTS: Table = Table {
    name: "weights",
    acted: &["cost", "latency", "outcome", "success"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static SPLIT: Table = Table {
    name: "splits",
    acted: &["model", "to"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static RETRY_POLICY: Table = Table {
    name: "retry_policy",
    acted: &[
        "AuthenticationErrorRetries",
        "BadRequestErrorRetries",
        "ContentPolicyViolationErrorRetries",
        "DefaultRetries",
        "InternalServerErrorRetries",
        "NotFoundErrorRetries",
        "RateLimitErrorRetries",
        "ServiceUnavailableErrorRetries",
        "TimeoutErrorRetries",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static ALLOWED_FAILS_POLICY: Table = Table {
    name: "allowed_fails_policy",
    acted: &[
        "AuthenticationErrorAllowedFails",
        "BadGatewayErrorAllowedFails",
        "BadRequestErrorAllowedFails",
        "ContentPolicyViolationErrorAllowedFails",
        "InternalServerErrorAllowedFails",
        "NotFoundErrorAllowedFails",
        "RateLimitErrorAllowedFails",
        "ServiceUnavailableErrorAllowedFails",
        "TimeoutErrorAllowedFails",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static STREAMS: Table = Table {
    name: "streams",
    acted: &["drain_on_cancel", "hold_back", "keep_alive", "on_break"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static GROUP: Table = Table {
    name: "groups",
    acted: &[
        "first_token_timeout",
        "hedge",
        "hold_back",
        "idle_timeout",
        "on_break",
        "stream_timeout",
        "timeout",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static HEDGE: Table = Table {
    name: "hedge",
    acted: &["budget", "min_delay", "percentile"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static COOLDOWN: Table = Table {
    name: "cooldown",
    acted: &[
        "failure_share",
        "max_retry_after",
        "min_requests",
        "slow_start",
        "window",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static FALLBACKS_FOR: Table = Table {
    name: "fallbacks_for",
    acted: &["keys", "teams"],
    known: &[],
    refused: &[],
    own: true,
};

/// Of `teams` and of `keys`.
pub(crate) static CALLER: Table = Table {
    name: "caller",
    acted: &[
        "content_policy_fallbacks",
        "context_window_fallbacks",
        "default_fallbacks",
        "fallbacks",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static KEY: Table = Table {
    name: "keys",
    acted: &[
        "blocked",
        "budget_duration",
        "expires",
        "hash",
        "itpm_limit",
        "key",
        "key_alias",
        "max_budget",
        "max_parallel_requests",
        "model_max_budget",
        "model_rpm_limit",
        "model_tpm_limit",
        "models",
        "name",
        "otpm_limit",
        "priority",
        "rpm_limit",
        "share",
        "soft_budget",
        "tags",
        "team",
        "team_id",
        "tpm_limit",
        "user",
        "user_id",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static TEAM: Table = Table {
    name: "teams",
    acted: &[
        "blocked",
        "budget_duration",
        "itpm_limit",
        "max_budget",
        "max_parallel_requests",
        "model_max_budget",
        "model_rpm_limit",
        "model_tpm_limit",
        "models",
        "name",
        "otpm_limit",
        "rpm_limit",
        "share",
        "soft_budget",
        "team_id",
        "tpm_limit",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static USER: Table = Table {
    name: "users",
    acted: &[
        "budget_duration",
        "itpm_limit",
        "max_budget",
        "max_parallel_requests",
        "model_max_budget",
        "model_rpm_limit",
        "model_tpm_limit",
        "models",
        "name",
        "otpm_limit",
        "rpm_limit",
        "soft_budget",
        "tpm_limit",
        "user_id",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static MODEL_BUDGET: Table = Table {
    name: "model_max_budget",
    acted: &[
        "budget_duration",
        "budget_limit",
        "max_budget",
        "time_period",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static CACHE: Table = Table {
    name: "cache",
    acted: &[
        "exclude",
        "max_bytes",
        "max_entry_bytes",
        "semantic",
        "single_flight",
        "tenants",
        "two_tier",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static SEMANTIC: Table = Table {
    name: "semantic",
    acted: &["max_bytes", "max_entries", "model", "threshold", "timeout"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static ALERTING_CONFIG: Table = Table {
    name: "alerting_config",
    acted: &["alerting_threshold", "webhook_url"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static ALERTS: Table = Table {
    name: "alerts",
    acted: &[
        "budget_interval",
        "interval",
        "major_outage",
        "minor_outage",
        "outage_window",
        "per_minute",
        "storm",
        "threshold",
        "webhooks",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static WEBHOOK: Table = Table {
    name: "webhooks",
    acted: &["events", "format", "url"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static LIMITS: Table = Table {
    name: "limits",
    acted: &["heed_providers", "pacing", "rules"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static LIMIT: Table = Table {
    name: "limit",
    acted: &[
        "budget_duration",
        "for",
        "itpm",
        "max_budget",
        "max_parallel_requests",
        "name",
        "otpm",
        "per",
        "requests",
        "rpm",
        "soft",
        "tokens",
        "tpm",
        "window",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static QUOTA: Table = Table {
    name: "quotas",
    acted: &[
        "budget_duration",
        "deployments",
        "itpm",
        "max_budget",
        "max_parallel_requests",
        "models",
        "name",
        "otpm",
        "per",
        "requests",
        "rpm",
        "soft",
        "tokens",
        "tpm",
        "window",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static OVERLOAD: Table = Table {
    name: "overload",
    acted: &[
        "body_bytes",
        "body_timeout",
        "connections",
        "connections_per_address",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static SHUTDOWN: Table = Table {
    name: "shutdown",
    acted: &["grace", "limit"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static ALIAS: Table = Table {
    name: "model_group_alias",
    acted: &["hidden", "model"],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static REDIS: Table = Table {
    name: "redis",
    acted: &[
        "ca_file",
        "cert_file",
        "cluster",
        "connect_timeout",
        "db",
        "deadline_ms",
        "failures",
        "key_file",
        "namespace",
        "nodes",
        "outage",
        "password",
        "sentinel_password",
        "sentinels",
        "service_name",
        "tls",
        "url",
        "username",
    ],
    known: &[],
    refused: &[],
    own: true,
};

//! The keys of sections in which a key that we do not know is nobody's.

use crate::keys::Table;

pub(crate) static OWN: Table = Table {
    name: "ziggurat_settings",
    acted: &[
        "affinity",
        "auto_route",
        "connect_timeout",
        "cooldown",
        "deadline",
        "fallbacks_for",
        "first_token_timeout",
        "groups",
        "hedge",
        "idle_timeout",
        "max_attempts",
        "mirror",
        "queue",
        "retry_budget",
        "streams",
    ],
    known: &[],
    refused: &[],
    own: true,
};

pub(crate) static QUEUE: Table = Table {
    name: "queue",
    acted: &["capacity", "max_waiting"],
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
    name: "teams",
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

//! Reads a LiteLLM-style `config.yaml` into a validated [`Plan`], with line numbers and the source
//! of each value.
//!
//! ```
//! use ziggurat_config::Plan;
//!
//! let file = r#"
//! model_list:
//!   - model_name: gpt
//!     litellm_params:
//!       model: openai/gpt-4o-mini
//!       api_key: os.environ/OPENAI_API_KEY
//!       rpm: 500
//!   - model_name: claude
//!     litellm_params: {model: openrouter/anthropic/claude-sonnet-4, api_key: sk-or}
//! router_settings:
//!   num_retries: 3
//!   fallbacks: [{gpt: [claude]}]
//! "#;
//! let environment = |name: &str| (name == "OPENAI_API_KEY").then(|| "sk-live".to_owned());
//! let plan = Plan::parse(file, "config.yaml", environment)?;
//! assert_eq!(plan.deployments[0].rpm(), Some(500));
//! assert_eq!(plan.router.num_retries, 3);
//! println!("{}", plan.explanation());
//!
//! let problems = Plan::parse("router_settings: {num_retires: 3}", "config.yaml", environment);
//! assert!(problems.unwrap_err().to_string().contains(
//!     "config.yaml:1:19: error: unknown key `num_retires`; did you mean `num_retries`?",
//! ));
//! # Ok::<(), ziggurat_config::Problems>(())
//! ```
//!
//! # What is read how
//!
//! * Everything that is wrong is told at once, each with its line and column, and no credential.
//! * A key that LiteLLM knows and that changes nothing here yet is a warning that names it; one that
//!   would change the meaning of the file is an error. [`keys`] lists them.
//! * A key that nobody knows is an error if it resembles a known one or belongs into another section,
//!   for then something was meant that would not happen; otherwise it is a warning, since LiteLLM
//!   takes unknown keys. In `ziggurat_settings` it is always an error.
//! * `os.environ/NAME` is replaced wherever it stands, by `environment_variables` of the file or else by
//!   the process. A variable that is not set is an error where its value is used.
//! * `router_settings` wins over `litellm_settings`; a value that so has no effect is a warning.
//! * Numbers and truth values may be quoted.
//!
//! # What differs from LiteLLM
//!
//! * Ids of deployments do not depend on the order of keys or on credentials, and none stands twice.
//! * Aliases of aliases are followed. Targets of aliases and fallbacks must exist.
//! * `rpm` does not limit how many requests are in flight; `default_max_parallel_requests` holds for
//!   every deployment without `max_parallel_requests`.
//! * A timeout of 0 is an error, not "unset".
//! * Fallbacks may be objects: everything but `model` overrides the request, `api_key` and `api_base`
//!   included. Keys of fallbacks that are aliases or wildcards match.
//! * Fields of `retry_policy` and `allowed_fails_policy` hold for the kinds that come closest: that of time-outs
//!   for every clock of an attempt, that of internal errors for failed connections and broken streams as
//!   well, that of bad requests for 422 and for too long inputs. `BadGateway` is for broken streams and for
//!   answers that are none; the 502 of a provider is an internal error.
//! * Maps of `litellm_settings` are not joined with those of `router_settings`: the latter win whole.
//! * `first_token_timeout`, `idle_timeout`, `concurrency` and `accept_any_answer` may stand in `model_info`,
//!   for one deployment.
//! * `tools` of a deployment are for requests without tools; LiteLLM joins both lists.
//! * A price that the file sets keeps those of the catalog out that are discounts on it. Of the prices for
//!   long inputs one length is kept.
//! * A deployment on Bedrock or Vertex AI needs a region: none is taken by default. One that lacks a
//!   credential is an error, but for `mock_response`, for headers that prove who asks, and for requests
//!   that bring theirs. Credentials are what the file and the environment hold: no metadata server, no
//!   profiles, no roles.
//! * A credential of the file, of whatever kind, keeps out those of the environment, also
//!   `AWS_BEARER_TOKEN_BEDROCK` and `AWS_SESSION_TOKEN`.
//! * Models of Bedrock are asked with Converse, Claude also with `bedrock/invoke/…`; other ways are errors.
//! * At run time `vertex_credentials` is the text of a credential file, not its path.
//! * A `litellm_credential_name` that `credential_list` does not have is an error.
//! * Without `LITELLM_ENVIRONMENT` a deployment with `supported_environments` is kept, not an error.
//! * `configurable_clientside_auth_params` takes no patterns, and no `api_key` without `api_base`: to take
//!   either for more than it says would let requests go anywhere.
//! * A cache without a `type` is local, unless the file says where Redis is; LiteLLM then takes Redis.
//! * Arguments of strategies that nobody knows are errors. `provider-budget-routing` is `simple-shuffle`;
//!   `lar1` is an error.
//!
//! # Changes at run time
//!
//! [`Plan::with_settings`] reads `router_settings` again with other values, [`Plan::settings`] tells them,
//! and [`Plan::deployment`] reads one more entry of `model_list`. Each makes a new value; what runs is
//! changed by whoever runs it.
//!
//! # `ziggurat_settings`
//!
//! ```yaml
//! ziggurat_settings:
//!   deadline: 120              # seconds for a request, all attempts and waits included
//!   max_attempts: 6            # over all retries and fallbacks
//!   first_token_timeout: auto  # or seconds, or off
//!   idle_timeout: 60           # seconds between two items of a stream
//!   connect_timeout: 5         # seconds
//!   queue:                     # as many requests at a time as the deployments of a group take
//!     per: group               # or global, or deployment
//!     max_waiting: 1024
//!     max_wait: 30             # seconds
//!     classes: [{name: interactive, up_to: 0}, {name: batch, up_to: 100}]
//!   retry_budget: {percent: 20, min_per_second: 10}
//!   streams:
//!     on_break: continue       # or fail
//!     hold_back: off           # all, or a number of events
//!     keep_alive: 15           # seconds, or off
//!     drain_on_cancel: false
//!   overload: {body_bytes: 4294967296, body_timeout: 30, connections: 10000, connections_per_address: 1000}
//!   shutdown: {grace: 10, limit: 30}  # seconds
//!   hedge: {percentile: 95, budget: 5, min_delay: 0.5}
//!   concurrency: {mode: aimd, min: 4, initial: 200, max: 200}  # or off, aimd, gradient, a number
//!   cooldown: {failure_share: 0.5, min_requests: 5, window: 60, max_retry_after: 600, slow_start: 30}
//!   groups:                    # of one model group
//!     gpt: {timeout: 60, stream_timeout: 30, first_token_timeout: 5, idle_timeout: 20, on_break: fail, hold_back: all, hedge: false}
//!   fallbacks_for:             # of one caller
//!     teams: {red: {fallbacks: [{gpt: [claude]}], default_fallbacks: [llama]}}
//!     keys: {batch: {context_window_fallbacks: [{gpt: [gemini]}]}}
//!   limits:                    # beside those of deployments and callers
//!     pacing: 5                # seconds that a request waits for room rather than be refused
//!     heed_providers: true     # send nothing while a provider says that nothing is left
//!     rules:
//!       - {for: user, rpm: 60, tpm: 50000}             # each of them
//!       - {for: group, name: gpt, requests: 20, per: 1, window: smooth}
//!       - {for: tag, name: batch, max_budget: 100, budget_duration: 1d, soft: 0.8}
//!   quotas:                    # that deployments share
//!     - {name: azure-eu, deployments: [eu-1, eu-2], rpm: 600, tpm: 100000}
//!   affinity: {load_factor: 1.25, prompt_cache_ttl: 300}
//!   keys:                      # of callers; `os.environ/NAME`, or the hash
//!     - {name: batch, key: sk-0123456789abcdef, models: [gpt, claude], team: red, rpm_limit: 60, max_budget: 20, budget_duration: 30d}
//!   teams: [{name: red, max_parallel_requests: 8}]
//!   users: [{name: alice@example.com, tpm_limit: 100000}]
//!   mirror: {max_in_flight: 32, queue: 256, share: 0.1}
//!   cache:                     # with `litellm_settings: {cache: true}`
//!     single_flight: true
//!     tenants: team            # or key, or all
//!     semantic: {model: embedder, threshold: 0.95}
//!   alerts:                    # who is told that something is wrong
//!     webhooks: [{url: os.environ/ALERTS, format: json, events: [group_out, group_back]}]
//!     threshold: 120           # seconds from which on an answer is slow
//!   trusted_proxies: [10.0.0.0/8]  # what these say of where a request comes from is believed
//!   redis:                     # or nodes and cluster: true, or sentinels and service_name
//!     url: rediss://user:password@redis:6379/0
//!     namespace: ziggurat
//!     deadline_ms: 5
//!     outage: share            # or open, or closed: what becomes of requests while it is gone
//!   auto_route:                # what may change the group of a request before it is routed
//!     rules:
//!       - {name: vision, models: [auto], images: true, to: gpt-4o}
//!       - {name: long, models: [auto, "smart*"], min_input_tokens: 50000, to: gemini}
//!       - {name: code, keywords: [traceback, "def "], tags: [dev], to: coder}
//!     bandits:
//!       - {model: learned, among: [a, b, c], weights: {latency: 0.2, cost: 0.3}, explore: 0.05}
//!     splits:
//!       - {model: gpt, to: {gpt-a: 90, gpt-b: 10}}
//! ```

mod access;
mod account;
mod address_range;
mod affinity;
mod alerts;
mod allowed_fails;
mod auto_route;
mod budget;
mod cache;
mod callers;
mod catalog;
mod concurrency;
mod cooldown;
mod defaults;
mod deployments;
mod describe;
mod endpoint;
mod environment;
mod error_classes;
mod explanation;
mod fallback_target;
mod fallbacks;
mod fallbacks_for;
mod google_file;
mod groups;
mod health;
mod hedge;
mod id;
mod json;
mod keys;
mod lacking;
mod limits;
mod model;
mod named_credentials;
mod names;
mod origin;
mod overload;
mod own;
mod place;
mod plan;
mod problem;
mod provider;
mod provider_params;
mod queue;
mod range;
mod read;
mod redis;
mod request_fields;
mod retry_counts;
mod route;
mod routing;
mod routing_groups;
mod runtime;
mod settings;
mod shown;
mod source;
mod strategy;
mod strategy_args;
mod streams;
mod tables;
mod target;
mod told;
mod yaml;

pub use self::{
    address_range::{AddressRange, NoAddressRange},
    affinity::{Affinity, AffinityKind},
    alerts::{ALERT_EVENTS, AlertSettings, WebhookFormat, WebhookSettings},
    auto_route::{AutoRoutePlan, BanditPlan, BanditWeights, RulePlan, SplitPlan},
    budget::{BudgetDuration, NoBudgetDuration},
    cache::{CacheSettings, CacheStoreName, CacheTenants, SemanticSettings},
    callers::{
        CallerLimits, Callers, Expiry, KeyHash, KeySettings, ModelLimits, TeamSettings,
        UserSettings,
    },
    cooldown::CooldownSettings,
    explanation::Explanation,
    fallbacks::FallbackMaps,
    fallbacks_for::CallerName,
    groups::GroupSettings,
    health::HealthSettings,
    hedge::HedgeSettings,
    keys::{Support, keys},
    limits::{Amounts, Budget, LimitRule, LimitSettings, LimitSubject, QuotaPlan},
    names::Alias,
    overload::{OverloadSettings, ShutdownSettings},
    own::{AffinitySettings, MirrorSettings, OwnSettings, RetryBudget},
    plan::{MAX_FILE, Plan},
    problem::{Problem, Problems, Severity},
    queue::{QueueClass, QueueCount, QueueOrder, QueuePer, QueueSettings, QueueTenant},
    redis::{RedisAddress, RedisNodes, RedisOutage, RedisSettings},
    retry_counts::RetryCounts,
    routing_groups::RoutingGroupPlan,
    settings::{GeneralSettings, RouterSettings},
    source::{Entry, Source, Subject},
    strategy::Strategy,
    strategy_args::{AffinityKey, StrategyArgs},
    streams::{FirstTokenSetting, HoldBackSetting, OnBreakSetting, StreamSettings},
};

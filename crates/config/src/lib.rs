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
//! * A timeout of 0 is an error, not "unset". Targets of fallbacks that override fields of the request are
//!   errors, and so are strategies that are not built yet.
//! * Maps of `litellm_settings` are not joined with those of `router_settings`: the latter win whole.
//! * `first_token_timeout` and `idle_timeout` may stand in `model_info`, for one deployment.
//!
//! # `ziggurat_settings`
//!
//! ```yaml
//! ziggurat_settings:
//!   deadline: 120              # seconds for a request, all attempts and waits included
//!   max_attempts: 6            # over all retries and fallbacks
//!   first_token_timeout: 30    # seconds
//!   idle_timeout: 60           # seconds between two items of a stream
//!   connect_timeout: 5         # seconds
//!   queue: {capacity: 256, max_waiting: 1024}
//!   retry_budget: {percent: 20, min_per_second: 10}
//! ```

mod deployments;
mod describe;
mod endpoint;
mod environment;
mod explanation;
mod fallbacks;
mod id;
mod keys;
mod names;
mod plan;
mod problem;
mod provider;
mod read;
mod settings;
mod source;
mod strategy;
mod tables;
mod target;
mod yaml;

pub use self::{
    explanation::Explanation,
    fallbacks::FallbackMaps,
    keys::{Support, keys},
    names::Alias,
    plan::{MAX_FILE, Plan},
    problem::{Problem, Problems, Severity},
    settings::{GeneralSettings, OwnSettings, QueueSettings, RetryBudget, RouterSettings},
    source::{Entry, Source, Subject},
    strategy::Strategy,
};

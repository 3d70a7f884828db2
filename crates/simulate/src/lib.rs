//! Simulates a configuration and a workload through the real layers, in virtual time: how would these
//! deployments serve that load, with each of the strategies?
//!
//! [`run`] builds the stack of a configuration, `ziggurat::Router`, over deployments that only take
//! their time, have their limits and fail as they were told. Time is Tokio's paused time, which jumps
//! from one event to the next, so an hour takes a few seconds. The result depends on the scenario and
//! its seed alone.
//!
//! ```
//! use ziggurat_simulate::{Scenario, run};
//!
//! let file = "
//! requests: 2000
//! arrival: {rate: 20}
//! strategies: [simple-shuffle, least-busy]
//! classes:
//!   - {model: gpt, stream: true, output_tokens: {median: 150, p95: 600}}
//! providers:
//!   '*': {first_token: {median: 0.3, p95: 0.8}, capacity: 50}
//!   us: {first_token: 2, seconds_per_token: 0.05}
//! config: |
//!   model_list:
//!     - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: none}, model_info: {id: eu}}
//!     - {model_name: gpt, litellm_params: {model: openai/gpt-4o, api_key: none}, model_info: {id: us}}
//! ";
//! let report = run(&Scenario::parse(file, "mix.yaml")?)?;
//! println!("{report}");
//! assert!(report.svg().starts_with("<svg"));
//! let [shuffle, least_busy] = &report.strategies[..] else { unreachable!("there are two") };
//! assert!(least_busy.first_token.p50 < shuffle.first_token.p50);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A scenario
//!
//! A file is YAML or JSON. Times are in seconds; an unknown key is an error.
//!
//! | key | meaning |
//! | --- | --- |
//! | `config` | the text of a `config.yaml`; or give it with [`Scenario::with_plan`] |
//! | `seed` | of all random numbers; 0 if not set |
//! | `requests`, `duration` | when no more is sent: after so many, after so long, whichever is first |
//! | `arrival` | an open loop `{rate: 20}` (a second, Poisson), which may change: `{profile: [{at: 0, rate: 5}, {at: 60, rate: 50}], shape: steps}`, or `shape: ramp`; or a closed loop: `{clients: 100, think_time: 5}` |
//! | `max_in_flight` | an open loop with more than that on its way is an error; 100,000 if not set |
//! | `strategies` | what to compare, as in `routing_strategy`; that of the configuration if not set |
//! | `classes` | the kinds of requests; each has a `model` and a `share` |
//! | `providers` | how deployments behave, by id; in a pattern a `*` stands for anything, and the most specific one holds |
//!
//! Wherever a time or a number of tokens is asked for, it may be spread: `3` is always 3,
//! `{min: 1, max: 3}` is uniform, `{mean: 2}` exponential, `{median: 2, p95: 5}` log-normal.
//!
//! | key of a class | meaning |
//! | --- | --- |
//! | `input_tokens`, `output_tokens` | median 400 and 150 if not set |
//! | `max_tokens` | the cap that requests declare |
//! | `stream`, `tools`, `images` | true or false |
//! | `tags`, `priority` | as in the body of a request |
//! | `key` | the name of a key of the configuration: who sends them |
//! | `name` | what the report calls the class |
//! | `users` | how many end users there are; none is named if not set |
//! | `session` | `{turns: 20, think_time: 10}`: who arrives sends a whole conversation, each turn with all that was said before |
//! | `hang_up` | `{share: 0.05, after: 2}`: clients that leave |
//!
//! | key of a provider | meaning |
//! | --- | --- |
//! | `first_token` | time to the first token; median 0.4, p95 1 if not set |
//! | `seconds_per_token` | drawn once for an answer; 0.01 if not set |
//! | `capacity` | how many requests run at full speed; more of them share it evenly |
//! | `max_concurrent` | beyond this it answers 429 |
//! | `rpm`, `tpm` | beyond this it answers 429 with the right `Retry-After` |
//! | `refusal_time`, `retry_after` | of its other 429s: how long one takes, what it says; 0.02 and 1 if not set |
//! | `failures` | `[{share: 0.1, kind: internal, after: 0.001}]`; kinds: `internal`, `overloaded`, `unavailable`, `rate_limited`, `authentication`, `connect`, `hang`, `broken` |
//! | `outages` | `[{from: 60, to: 120, kind: slow, factor: 5}]`; kinds: `down`, `slow`, `throttled` |
//! | `prompt_cache` | `{ttl: 300, first_token: 0.2}`: a session's prompt stays so long after its use; a cached token takes so much of the time |
//!
//! In place of a described load, [`Scenario::with_trace`] takes a recorded one.
//!
//! # What it does not say
//!
//! Times are rounded up to milliseconds, which is the grain of Tokio's timers. There is no network and
//! no bytes: transports and parsers are not simulated. An outage does not break what runs already. Of a
//! prompt longer than a megabyte only that much is written out.

mod body;
mod canvas;
mod distribution;
mod draw;
mod glob;
mod leaf;
mod line;
mod numbers;
mod provider;
mod quota;
mod record;
mod report;
mod run;
mod scenario;
mod series;
mod server;
mod spec;
mod stage;
mod table;
mod trace;
mod workload;

pub use self::{
    report::{ClassReport, DeploymentReport, Latency, Report, Speed, StrategyReport},
    run::{Progress, SimulationError, run, run_with},
    scenario::{Scenario, ScenarioError},
};

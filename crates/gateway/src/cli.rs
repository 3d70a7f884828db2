//! The command line.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// An LLM router: one OpenAI-compatible endpoint over many deployments, with fallbacks, retries,
/// cooldowns, limits and priorities.
#[derive(Debug, Parser)]
#[command(
    name = "ziggurat",
    version,
    after_help = "\
Start here:
  ziggurat demo                        see it route over simulated providers, no key needed
  ziggurat check config.yaml           see what a configuration means, and what is wrong with it
  ziggurat serve --config config.yaml  serve it; then point any OpenAI client at http://127.0.0.1:4000/v1

A small config.yaml:
  model_list:
    - model_name: gpt                  # what clients ask for
      litellm_params:
        model: openai/gpt-4o-mini      # what is called
        api_key: os.environ/OPENAI_API_KEY
    - model_name: gpt                  # a second deployment of the same group
      litellm_params:
        model: openai/gpt-4o-mini
        api_base: https://other.example.com/v1
        api_key: os.environ/OTHER_API_KEY
  router_settings:
    num_retries: 2
    routing_strategy: least-busy"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the OpenAI API over the deployments of a config.yaml
    Serve(Serve),
    /// Print what a config.yaml means: groups, deployments, limits, layers, and where each value is from
    Check(Check),
    /// Run a workload through the real layers in virtual time, once for each strategy, and compare
    Simulate(Simulate),
    /// Route a few hundred requests over simulated providers, some of them bad, and show what goes where
    Demo(Demo),
}

#[derive(Args, Debug)]
#[command(after_help = "\
Environment:
  RUST_LOG=ziggurat=debug   log what layers do when their state changes (default: info)

Signals:
  SIGTERM, SIGINT           accept no new connection, let requests finish, exit 0
  SIGHUP                    read the configuration again; one that is wrong changes nothing

Routes:
  POST /v1/chat/completions  /v1/completions  /v1/embeddings   (and without /v1)
  POST /v1/outcome                                             (how good a learned choice was)
  GET  /v1/models  /model/info  /model_group/info  /router/settings
  GET  /health/liveliness  /health/readiness  /metrics")]
pub(crate) struct Serve {
    /// The configuration
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The port to listen on
    #[arg(long, short, default_value_t = 4000)]
    pub(crate) port: u16,
    /// How many bytes a request's body may have
    #[arg(long, value_name = "BYTES", default_value_t = ziggurat_gateway::DEFAULT_MAX_BODY)]
    pub(crate) max_body: usize,
    /// How many seconds requests may take to finish after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) drain: u64,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  ziggurat check config.yaml --request '{\"model\": \"gpt\", \"messages\": [], \"tools\": [{}]}' --team red")]
pub(crate) struct Check {
    /// The configuration
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Say which deployments could serve this request, and why the others could not: the JSON body
    /// of a chat request, or @FILE
    #[arg(long, value_name = "JSON")]
    pub(crate) request: Option<String>,
    /// The team that sends the request
    #[arg(long, requires = "request")]
    pub(crate) team: Option<String>,
    /// The program that sends the request
    #[arg(long, requires = "request", value_name = "TEXT")]
    pub(crate) user_agent: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Without a scenario: with a configuration, 20 requests a second for each of its groups; else a
built-in one with three healthy deployments, one slow, one failing and one small.

Examples:
  ziggurat simulate --svg strategies.svg
  ziggurat simulate scenario.yaml --strategies simple-shuffle,least-busy,p2c --seed 7")]
pub(crate) struct Simulate {
    /// The scenario: a workload, and what the providers behind the deployments do
    #[arg(value_name = "FILE")]
    pub(crate) scenario: Option<PathBuf>,
    /// The configuration, instead of the scenario's own
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Requests as they were recorded, instead of the scenario's workload: a JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// The strategies to compare, instead of the scenario's own
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) strategies: Vec<String>,
    /// The seed, instead of the scenario's own: the same seed gives the same result
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Draw the comparison into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// How many requests to send
    #[arg(long, default_value_t = 300)]
    pub(crate) requests: usize,
    /// How many at a time
    #[arg(long, default_value_t = 12)]
    pub(crate) width: usize,
    /// The gateway's port; 0 takes a free one
    #[arg(long, short, default_value_t = 4000)]
    pub(crate) port: u16,
    /// Stop when all are answered, instead of leaving the gateway up
    #[arg(long)]
    pub(crate) exit: bool,
}

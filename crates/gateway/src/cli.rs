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
  ziggurat explain config.yaml --request '{\"model\": \"gpt\"}' --fault '*=500'
                                       see what becomes of a request when providers fail
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
    /// Print the hash of a caller's key, for `ziggurat_settings.keys` of a config.yaml, or make a new key
    HashKey(HashKey),
    /// Replay a request against a config.yaml, with faults of your choice, and tell step by step what each layer does
    Explain(Explain),
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
  SIGTERM, SIGINT           say that it is not ready; after --grace accept no new connection, let requests
                            finish, exit 0; a second one ends it at once, exit 1
  SIGHUP                    read the configuration again; one that is wrong changes nothing

Routes:
  POST /v1/chat/completions  /v1/completions  /v1/embeddings   (and without /v1)
  POST /v1/images/generations  /v1/images/edits  /v1/images/variations
  POST /v1/audio/transcriptions  /v1/audio/translations  /v1/audio/speech
  POST /v1/moderations
  POST /v1beta/models/{model}:generateContent  :streamGenerateContent  :countTokens  :embedContent
  ANY  /v1/files  /v1/uploads  /v1/batches  /v1/fine_tuning/jobs  /v1/responses/{id}  and what is under them
  ANY  /v1/assistants  /v1/threads  /v1/vector_stores  /v1/conversations
  ANY  /pass-through/{group}/{path}  /{provider}/{path}         (for deployments with `use_in_pass_through`)
  POST /v1/outcome                                             (how good a learned choice was)
  GET  /v1/models  /model_group/info  /key/info                (with /v1 and without)
  GET  /health/liveliness  /health/readiness  /metrics         (need no key)
With callers' keys, for the master key alone:
  GET  /model/info  /router/settings
  GET  /usage?minutes=60&model_group=gpt&instances=this        (what groups and deployments did)
  GET  /health                  checks every deployment, or tells what background checks found
  GET  /health?check=false      tells what is known, and checks nothing

Headers of a request, in seconds; they win over its body:
  x-litellm-timeout                for an attempt
  x-litellm-stream-timeout         for an attempt that streams, to its first token
  x-ziggurat-first-token-timeout   to the first token, and nothing else
  x-ziggurat-idle-timeout          between two items of a stream
  x-ziggurat-deadline              for all attempts and waits; it can only shorten the configured one
Others:
  x-litellm-num-retries  x-litellm-tags  x-litellm-session-id

Headers of an answer:
  x-ziggurat-trail                 each attempt, what became of it, and how long it took
  x-ziggurat-queue-ms              how long it waited in the queue, if it did
  x-litellm-attempted-retries  x-litellm-attempted-fallbacks  x-litellm-model-id")]
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
    /// For how many seconds new requests are still taken after SIGTERM, so that a load balancer can see
    /// that /health/readiness says 503; instead of `shutdown.grace` of the configuration [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) grace: Option<u64>,
    /// How many seconds requests may take to finish after that; instead of `shutdown.limit` of the
    /// configuration [default: 30]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) drain: Option<u64>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Example:
  ziggurat check config.yaml --request '{\"model\": \"gpt\", \"messages\": [], \"tools\": [{}]}' --team red")]
pub(crate) struct Check {
    /// The configuration
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Say which deployments could serve this request, why the others could not, and what each layer
    /// has to do with it: the JSON body, or @FILE
    #[arg(long, value_name = "JSON")]
    pub(crate) request: Option<String>,
    /// The team that sends the request
    #[arg(long, requires = "request")]
    pub(crate) team: Option<String>,
    /// The name of the key that it is sent with
    #[arg(
        long,
        requires = "request",
        value_name = "NAME",
        conflicts_with = "team"
    )]
    pub(crate) key: Option<String>,
    /// The program that sends the request
    #[arg(long, requires = "request", value_name = "TEXT")]
    pub(crate) user_agent: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "\
Nothing is sent: the layers are the real ones, the providers are played, and the time is virtual.
A provider answers after 0.3 s, unless it has faults. These come one for each attempt, in order;
after the last one it is healthy again.

Faults:
  429  500  503  401  404  400 …   a status; 429:2s says `Retry-After` besides
  timeout                          no answer at all
  connect                          no connection
  context_window  content_policy   a refusal of the request
  break                            the answer breaks off after its first token
  empty                            a success without an answer
  ok:3s                            an answer after 3 s
  500x3  500*                      three times; for ever

A fault may be that of a deployment, of a model group, or of all (*); who is named more closely goes
first. A body with `prompt` is a completion, one with `input` an embedding, all others are chats.

Examples:
  ziggurat explain config.yaml --request '{\"model\": \"gpt\", \"messages\": []}' --fault eu=429:2s,ok:3s
  ziggurat explain config.yaml --request @request.json --fault 'gpt=503*' --header x-ziggurat-deadline:10 --json")]
pub(crate) struct Explain {
    /// The configuration
    #[arg(value_name = "CONFIG")]
    pub(crate) file: PathBuf,
    /// The request: the JSON body, or @FILE
    #[arg(long, value_name = "JSON")]
    pub(crate) request: String,
    /// What a provider does to the attempts of the request
    #[arg(long = "fault", value_name = "DEPLOYMENT=FAULT[,FAULT…]")]
    pub(crate) faults: Vec<String>,
    /// A header of the request
    #[arg(long = "header", value_name = "NAME:VALUE")]
    pub(crate) headers: Vec<String>,
    /// The team that sends the request
    #[arg(long)]
    pub(crate) team: Option<String>,
    /// The name of the key that it is sent with
    #[arg(long, value_name = "NAME", conflicts_with = "team")]
    pub(crate) key: Option<String>,
    /// What is drawn at random: the same seed gives the same story
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
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
#[command(after_help = "\
The key is read from the standard input, so that it stands in no list of processes and in no history
of a shell. In the configuration:

  ziggurat_settings:
    keys:
      - {name: alice, hash: \"sha256:…\"}

Examples:
  ziggurat hash-key --generate
  printenv ALICE_KEY | ziggurat hash-key")]
pub(crate) struct HashKey {
    /// Make a new random key, and print it and its hash
    #[arg(long)]
    pub(crate) generate: bool,
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

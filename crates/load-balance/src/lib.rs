//! Chooses which deployment of a model group serves a request.
//!
//! [`LoadBalanceLayer`] turns a request into a [`Routed`](ziggurat_core::Routed) one: above it layers
//! see requests for a model, below it attempts at a deployment. A [`Strategy`] chooses, by weight,
//! load or usage; [`Filter`]s say which deployments may serve a request at all.
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Deployment, Deployments, Error, LlmRequest, LlmResponse, Routed};
//! use ziggurat_load_balance::{LoadBalanceLayer, SimpleShuffle, TagFilter};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let deployments = Deployments::from_iter([
//!     Deployment::new("azure", "gpt", "gpt-4o").with_weight(3.0),
//!     Deployment::new("openai", "gpt", "gpt-4o"),
//! ]);
//! let stack = ServiceBuilder::new()
//!     // Layers here see `LlmRequest`: retry, fallback, priority queue.
//!     .layer(LoadBalanceLayer::new(deployments, SimpleShuffle).filter(TagFilter::match_any()))
//!     // Layers here see `Routed<LlmRequest>`: cooldown, rate limit, timeout.
//!     .service(service_fn(async |request: Routed<LlmRequest>| {
//!         let answer = format!("from {}", request.deployment().id());
//!         Ok::<_, Error>(LlmResponse::complete(answer, None))
//!     }));
//!
//! let response = stack.oneshot(LlmRequest::chat("gpt", "hello")).await?;
//! assert!(response.bytes().is_some_and(|answer| answer.starts_with(b"from ")));
//! # Ok(())
//! # }
//! ```
//!
//! # Which deployments
//!
//! A request for a group may go to any of its deployments that [`Filters`] leave: by who asks, tags,
//! region, capabilities, mode, fields, size, and whatever an application adds. Where none is left the
//! error says, for each, what speaks against it. Filters are asked once for all deployments that are
//! equal in what they look at, so many deployments cost no more than one.
//!
//! Of those, the ones of the lowest `order` are asked first, and those without one last. One that was
//! tried for this request before (its [`Ledger`](ziggurat_core::Ledger) says so) is chosen only where
//! no other is left; and not at all if an attempt still runs there, or if it would only fail again
//! ([`Retry::Elsewhere`](ziggurat_core::Retry::Elsewhere): a dead credential, a silent provider).
//!
//! A request that names a deployment by its id goes to that one or nowhere: only
//! [access](AccessFilter) and filters of the application are asked. A wildcard route is asked as a
//! deployment of the concrete model, with an id of its own, so that its health and limits below are
//! those of the model; what is in flight is that of the route.
//!
//! [`LoadBalanceLayer::explain`] says all this of a request that is not sent.
//!
//! # Strategies
//!
//! | strategy | picks | keeps | use it where |
//! | --- | --- | --- | --- |
//! | [`SimpleShuffle`] | at random, by weight | nothing | shares are known in advance |
//! | [`RoundRobin`] | one after the other | a number | all are alike |
//! | [`LeastBusy`] | the fewest in flight | nothing more | requests or deployments differ in length |
//! | [`UsageBased`] | the smallest part of `rpm` and `tpm` used | nothing more | known limits are scarce |
//! | [`Headroom`] | the most left, by what providers say | what they say | limits are scarce, shared or not known |
//! | [`LatencyBased`] | the quickest of late | latencies | some are quicker than others for long |
//! | [`P2c`] | of two, the shorter wait | a moving average | speed changes from minute to minute |
//! | [`Prequal`] | the quickest that is not busy | latencies | load is high and the tail matters |
//! | [`CostBased`] | the least expected cost | prices in order | prices differ |
//! | [`ConsistentHash`] | by session, with bounded load | a ring | providers cache prompts |
//!
//! Several may be in use, one for each group ([`ByGroup`]), and a closure is one, too ([`Custom`], if
//! it wants something measured). What they need is measured only if the [`Track`] of one asks for
//! it. Each takes well under a microsecond, also among a thousand deployments: in a group of more
//! than 64 those that compare scores compare a sample.
//!
//! A deployment that has just failed is avoided by all but the first two while another is left
//! ([`Candidate::is_failing`]), so that one that fails fast does not look like the best.
//!
//! # Requests that belong together
//!
//! [`Pins`] send them where the last of them was answered: by session, caller, previous response,
//! beginning of the prompt, or by the account that alone can read what they carry. They go before
//! every strategy, are bounded in number and in what they may load a deployment with, and move with
//! the first answer from elsewhere.
//!
//! # Layers that are not ours
//!
//! Below the balancer, [`PerDeployment`] gives each deployment an instance of a Tower layer.
//!
//! # Refusals
//!
//! A layer below that refuses, with a [`Rejection`](ziggurat_core::Rejection), has sent nothing, so
//! the next deployment is asked at no cost. What else happens depends on the scope:
//!
//! | scope | the balancer |
//! | --- | --- |
//! | `Deployment` | leaves the deployment alone until the refusal ends, [250 ms](LoadBalanceLayer::hint_cap) at most |
//! | `Attempt` | remembers nothing: another request may pass |
//! | `Request` | returns the refusal at once: no deployment can help |
//!
//! When all are known to refuse, the one that will do so for the shortest time is asked once. Then
//! the request is refused, with the earliest time at which one of them may take it again.
//!
//! Any other error is the answer of the deployment, and goes up with its name: trying again is for
//! the layers above, which keep to a budget.
//!
//! # Slow start
//!
//! A deployment that refused because it rested ([`Reason::Cooldown`](ziggurat_core::Reason), or
//! unhealthy) and has answered again gets a share of its traffic that grows from a tenth to the whole
//! in [30 s](LoadBalanceLayer::slow_start), whatever the strategy; the rest goes to the others, those
//! of a higher `order` too, as long as one of them may be picked and does not fail. Where there is
//! none it serves all. A request that is pinned to it stays. A failure lets it begin anew.
//!
//! # Load
//!
//! An attempt is in flight from the choice of the deployment until the answer has ended or been
//! dropped, the stream included. A deployment that is in several groups has one count, and a new list
//! of deployments keeps what is known of those that stay.

mod affinity;
mod bits;
mod candidates;
mod cells;
mod concrete;
mod explain;
mod filter;
pub mod future;
mod in_flight;
mod known;
mod layer;
mod least;
mod load;
mod measure;
mod per_deployment;
mod pool;
mod recovery;
mod refusals;
mod search;
mod service;
mod shares;
mod strategy;
mod unknown;
mod usage;
mod view;

pub use self::{
    affinity::{Affinity, AffinityKind, Pins, Ties},
    candidates::{Candidate, Candidates},
    explain::{Explained, Explanation},
    filter::{
        AccessFilter, AnyPathFilter, CapabilityFilter, ContextWindowFilter, ExactInputTokens,
        FieldFilter, Filter, Filters, Members, ModeFilter, RegionFilter, TagFilter, TokenCounter,
    },
    in_flight::InFlight,
    known::{SlowStart, Stats},
    layer::LoadBalanceLayer,
    measure::{Awaits, Track},
    per_deployment::{PerDeployment, PerDeploymentFuture, PerDeploymentService},
    service::LoadBalance,
    strategy::{
        AffinityKey, ByGroup, ConsistentHash, CostBased, Custom, Headroom, InputTokens,
        LatencyBased, LeastBusy, OutputTokens, P2c, Prequal, RoundRobin, SimpleShuffle, Strategy,
        UsageBased,
    },
};

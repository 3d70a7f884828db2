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
//! Of the deployments of the group that filters leave, those of the lowest `order` are asked first,
//! and those without one last. One that was tried for this request before (its
//! [`Ledger`](ziggurat_core::Ledger) says so) is chosen only where no other is left.
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
//! # Load
//!
//! An attempt is in flight from the choice of the deployment until the answer has ended or been
//! dropped, the stream included. A new list of deployments keeps the counts of those that stay.

mod bits;
mod candidates;
mod filter;
pub mod future;
mod in_flight;
mod layer;
mod least;
mod load;
mod pool;
mod refusals;
mod search;
mod service;
mod shares;
mod strategy;
mod tags;
mod unknown;
mod usage;
mod view;

pub use self::{
    candidates::{Candidate, Candidates},
    filter::{Filter, Members},
    in_flight::InFlight,
    layer::LoadBalanceLayer,
    service::LoadBalance,
    strategy::{InputTokens, LeastBusy, SimpleShuffle, Strategy, UsageBased},
    tags::{TagFilter, Tags},
};

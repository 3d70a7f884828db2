//! Limits requests, tokens, money and requests in flight, on any key.
//!
//! [`RateLimitLayer`] is *deferring*: it is always ready, takes what a request is charged, readies
//! the inner service and only then hands the request on. What a request takes is reserved before it
//! is sent and corrected when its answer has ended, so that many requests at once cannot slip past a
//! limit together.
//!
//! # Position
//!
//! Above the balancer it limits whoever asks, and a refusal is final. Below it, it limits a
//! deployment, and the balancer goes on to the next. It is the same layer; the [`LimitKey`] says
//! which. [`Routed`](ziggurat_core::Routed) LLM requests are charged by default to their deployment,
//! which sets the limits; others to what the application has put into their extensions as
//! [`Charges`], if anything. A request that is charged to nobody goes straight through.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Deployment, Error, LlmRequest, LlmResponse, Routed, Scope};
//! use ziggurat_rate_limit::{Charges, LimitKey, Limits, MemoryLimiter, Rate, RateLimitLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let leaf = service_fn(|_: Routed<LlmRequest>| async {
//!     Ok::<_, Error>(LlmResponse::complete("{}", None))
//! });
//! let limiter = MemoryLimiter::new();
//! // Below the balancer: as the deployment says.
//! let mut deployments = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new(limiter.clone()))
//!     .service(leaf);
//!
//! let azure = Arc::new(Deployment::new("azure", "gpt", "gpt-4o").with_rpm(1));
//! let request = Routed::new(LlmRequest::chat("gpt", "hi"), azure);
//! deployments.ready().await?.call(request.clone()).await?;
//! let error = deployments.ready().await?.call(request).await.expect_err("one a minute");
//! let rejection = error.rejection().expect("nothing was sent");
//! assert_eq!(rejection.scope(), Scope::Deployment);
//!
//! // Above it: by whatever a closure finds in a request of any type.
//! let tenants = RateLimitLayer::new(limiter).with_charges(|request: &http::Request<()>| {
//!     let Some(tenant) = request.headers().get("x-tenant").and_then(|v| v.to_str().ok()) else {
//!         return Charges::none();
//!     };
//!     Charges::none().on(
//!         LimitKey::tenant(tenant),
//!         Limits::none().with_requests(Rate::per_minute(600)).with_in_flight(20),
//!     )
//! });
//! # let _ = tenants;
//! # Ok(())
//! # }
//! ```
//!
//! # What is counted
//!
//! A request counts once it has been sent; a refusal from beneath, or a connection that could not
//! be made, gives it back. A place in flight is held until the answer has ended, failed or been
//! dropped.
//!
//! What is counted, in which windows, says [`Limit`]: several limits on one key and several keys of
//! one request are decided in one step, and either all are charged or none.
//!
//! Tokens are estimated first: the input by its length, the output by what the request allows or,
//! if it does not say, by what answers on that key had on average. No more than the whole limit is
//! reserved, so a small limit locks nobody out, and a request that is larger than the limit passes
//! where nothing has been used. In the end what the provider says was used counts instead. Without
//! its word, the estimate stays for an answer that is complete; of one that broke off or was
//! abandoned, [what was seen](ziggurat_core::Seen) counts: the estimated input and the text that came;
//! and without any answer, none.
//! Tokens used beyond the estimate count from when they are known, so the limit on tokens may be
//! overrun by what the requests in flight were estimated too low.
//!
//! Money is estimated and charged in the same way, but it counts whenever it was spent: also by
//! attempts that failed. What an answer costs, the [`Charges`] say.
//!
//! # When a refused request passes
//!
//! A refusal carries the time at which the request would pass if nobody else came, to the
//! nanosecond; a place in flight has none. [`Refused`], found in the error, names the limit. How a
//! limit relates to its period is said at [`Rate`].

mod cell;
mod charges;
mod crossing;
mod fixed;
pub mod future;
mod gcra;
mod key;
mod layer;
pub mod lease;
mod limiter;
mod limits;
mod measure;
mod memory;
mod meter;
mod pacing;
mod places;
pub mod provider;
mod refused;
mod service;
mod settlement;
mod sliding;
mod window;

pub use self::{
    charges::{Charge, Charges, Cost, Pricing},
    crossing::{Crossing, Level, LimitSink, Told},
    key::{LimitKey, Subject},
    layer::RateLimitLayer,
    lease::{LeaseDriver, LeaseStore, LeasedLimiter, Leasing, MemoryLeases, Outage},
    limiter::{Actual, Left, Limiter, Settle, Sizes},
    limits::{InvalidPeriod, Limit, Limits, Rate},
    measure::{Measure, money, nanodollars},
    memory::{MemoryLimiter, MemoryPermit},
    refused::Refused,
    service::RateLimit,
    settlement::Settlement,
    window::{Period, Window},
};

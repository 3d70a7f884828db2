//! Holds an LLM request to its clocks.
//!
//! | clock | from | to | held by |
//! | --- | --- | --- | --- |
//! | [`Clock::Connect`] | the dial | the connection | the transport, which alone sees it |
//! | [`Clock::FirstToken`] | the dispatch | the first content item of a stream | [`TimeoutLayer`] |
//! | [`Clock::Idle`] | a content item | the next one | [`TimeoutLayer`], in the stream |
//! | [`Clock::Attempt`] | the dispatch | the end of an answer that is not streamed | [`TimeoutLayer`] |
//! | [`Clock::Total`] | the arrival | the answer, over all attempts and waits | [`DeadlineLayer`] |
//!
//! A response resolves at its first content item, so headers, pings and role-only deltas do not
//! stop the first-token clock, and the connect is part of it. The idle clock runs only while
//! somebody waits for the provider: a slow reader never trips it. No clock of an attempt cuts a
//! stream that flows.
//!
//! # One deadline
//!
//! [`DeadlineLayer`] notes the deadline in the request's [`Ledger`], where everything beneath sees
//! it. [`TimeoutLayer`] splits it: while another group or deployment could still answer, an attempt
//! has half of the time that is left, and the last one all of it. So who is asked first cannot use
//! up the time of those who would have answered. A request may
//! [shorten](DeadlineLayer::by_request) its deadline, and not lengthen it.
//!
//! # A first token that is late
//!
//! Where no limit is set for it, a stream has some ten seconds to its first token, or what is usual
//! for the deployment if that is more, and only while somebody else could still answer. Models that
//! reason get what is usual for them. The rule is in [`RequestClocks`]; [`FirstToken::Off`] switches
//! it off.
//!
//! # Example
//!
//! Both layers are *pass-through*. [`DeadlineLayer`] belongs above everything it is to cover,
//! [`TimeoutLayer`] below the balancer.
//!
//! ```
//! use std::{convert::Infallible, sync::Arc, time::Duration};
//!
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Deployment, LlmRequest, LlmResponse, Routed, Timeouts};
//! use ziggurat_timeout::{DeadlineLayer, RequestClocks, TimeoutLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), ziggurat_core::Error> {
//! let attempts = Timeouts {
//!     attempt: Some(Duration::from_secs(600)),
//!     first_token: Some(Duration::from_secs(20)),
//!     idle: Some(Duration::from_secs(30)),
//!     ..Timeouts::default()
//! };
//! let patient = Timeouts {
//!     attempt: Some(Duration::from_secs(3600)),
//!     ..Timeouts::default()
//! };
//! let service = ServiceBuilder::new()
//!     // All attempts together, with the pauses between them.
//!     .layer(DeadlineLayer::new(Duration::from_secs(900)).by_request())
//!     // Stands for the balancer.
//!     .map_request(|request| {
//!         Routed::new(request, Arc::new(Deployment::new("eu", "gpt", "gpt-4o")))
//!     })
//!     // Each attempt; what the request, its deployment or its group sets goes first.
//!     .layer(TimeoutLayer::with_extractor(RequestClocks::new(attempts).group("slow", patient)))
//!     .service(service_fn(async |_: Routed<LlmRequest>| {
//!         Ok::<_, Infallible>(LlmResponse::complete("{}", None))
//!     }));
//!
//! let answer = service.oneshot(LlmRequest::chat("gpt", "hi")).await?;
//! assert_eq!(answer.bytes().map(|bytes| &bytes[..]), Some(&b"{}"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! [`Clock::Connect`]: ziggurat_core::Clock::Connect
//! [`Clock::FirstToken`]: ziggurat_core::Clock::FirstToken
//! [`Clock::Idle`]: ziggurat_core::Clock::Idle
//! [`Clock::Attempt`]: ziggurat_core::Clock::Attempt
//! [`Clock::Total`]: ziggurat_core::Clock::Total
//! [`Ledger`]: ziggurat_core::Ledger

mod attempt;
mod clocks;
mod deadline;
pub mod future;
mod layer;
mod learned;
mod service;

pub use self::{
    attempt::{Adaptive, AttemptClocks, Share},
    clocks::{FirstToken, RequestClocks},
    deadline::{NoDeadline, RequestDeadline},
    layer::{DeadlineLayer, TimeoutLayer},
    service::{Deadline, Timeout},
};

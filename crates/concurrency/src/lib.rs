//! Limits what is in flight at each LLM deployment, by a number or by learning.
//!
//! [`ConcurrencyLayer`] stands below the balancer. At the limit of a deployment it refuses, nothing
//! has been sent, and the balancer goes on to the next deployment. A request holds its place until
//! its answer has ended. So a deployment that hangs holds no more than its limit, and one that says
//! it has too much gets less.
//!
//! ```
//! use std::sync::Arc;
//!
//! use futures_util::FutureExt;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_concurrency::ConcurrencyLayer;
//! use ziggurat_core::{
//!     ConcurrencyMode, Deployment, Error, LlmRequest, LlmResponse, Reason, Rejection, Routed,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let concurrency = ConcurrencyLayer::new(ConcurrencyMode::Aimd);
//! let service = ServiceBuilder::new()
//!     .layer(concurrency.clone())
//!     // Stands for a provider that does not answer.
//!     .service(service_fn(async |_: Routed<LlmRequest>| {
//!         std::future::pending::<Result<LlmResponse, Error>>().await
//!     }));
//!
//! // One place, whatever holds for the others.
//! let small = Deployment::new("eu", "gpt", "gpt-4o").with_max_parallel(1);
//! let small = Arc::new(small);
//! let request = || Routed::new(LlmRequest::chat("gpt", "hi"), Arc::clone(&small));
//! let mut hangs = Box::pin(service.clone().oneshot(request()));
//! assert!((&mut hangs).now_or_never().is_none());
//!
//! let error = service.oneshot(request()).await.unwrap_err();
//! assert_eq!(error.rejection().map(Rejection::reason), Some(Reason::Busy));
//! assert_eq!((concurrency.limit(&small), concurrency.in_flight(small.id())), (Some(1), 1));
//! drop(hangs);
//! assert_eq!(concurrency.in_flight(small.id()), 0);
//! # }
//! ```
//!
//! # What is learned
//!
//! | mode | lower | higher |
//! | --- | --- | --- |
//! | `off` | never | |
//! | `fixed` | never | |
//! | `aimd` | when the provider says that it is too much, or is too late to say anything | while all places are used and answers come |
//! | `gradient` | the same, and when first tokens are later than those of an idle deployment | the same |
//!
//! `aimd` is the congestion avoidance of TCP (Jacobson, *Congestion Avoidance and Control*, 1988),
//! which Vector's adaptive request concurrency uses for HTTP: additive increase, multiplicative
//! decrease. A 429, an overload, or a timeout before the first content cuts the limit to nine tenths
//! of what was in flight. It rises along the curve of CUBIC (RFC 9438), which is of time and not of
//! round trips, as those of a language model last from a tenth of a second to minutes: quickly up to
//! where it was cut, slowly around there, and ever faster past it.
//!
//! `gradient` adds the Gradient2 limit of Netflix's concurrency-limits, with the base time of TCP
//! Vegas (Brakmo, O'Malley and Peterson, 1994): the time to the first content lately, against what it
//! is when hardly anything is in flight.
//!
//! What both have in common: a limit that is not used up does not rise; who was let in before a cut
//! does not cut again; a refusal of one of the first few places (`min`) speaks of something else than
//! how much is in flight, a quota or an outage, so it cuts nothing and takes back what was just cut.
//!
//! The time to the first content of an answer in one piece is that of the whole answer, so those and
//! streams are measured apart. Even so it says more of a request than of a deployment: where answers
//! differ much in length, or prompts do, `gradient` takes a long one for a crowded provider. `aimd` is
//! the better choice where it refuses.
//!
//! Both believe that a refusal has to do with how much is in flight. A provider that refuses a part of
//! all requests whatever comes pulls them down to their lowest, as random loss does with TCP. So the
//! default is `fixed`, at a number that only a deployment meets that hangs.

mod bounds;
mod cell;
pub mod future;
mod layer;
mod limit;
mod permit;
mod service;
mod shared;

pub use self::{layer::ConcurrencyLayer, service::Concurrency};

//! Settles each attempt once: what it used, what it costs, and how it ended: [`SettleLayer`].
//!
//! *Pass-through*, right below the balancer, where every attempt is seen: those that are tried again,
//! the slower of two that run side by side, the first half of a stream that another one goes on
//! with. Each gives one [`Settlement`], whatever becomes of it; a refusal, which sends nothing, gives
//! none. Whoever charges, charges from it, by its [id](Settlement::id), and nowhere else.
//!
//! # What is charged
//!
//! The provider's word always wins. Where it says nothing, the usage is an estimate, and
//! [marked](ziggurat_core::Usage::estimated) as one:
//!
//! | the attempt | its usage |
//! | --- | --- |
//! | is answered | what the provider says; else the input and the text that came, estimated |
//! | breaks in the middle of a stream, or its client goes | what the provider said by then; else the input and the text that came, estimated |
//! | is given up before its answer began | the input, estimated: it was sent |
//! | fails before its answer began | nothing, unless the provider says otherwise |
//! | is answered by the router itself | an estimate that costs nothing |
//!
//! Text is estimated as a token for four bytes. Tokens are estimated only where the answer is text:
//! of an image or a sound that breaks off nothing is known, and neither is its cost.
//!
//! The cost is that of [`Deployment::cost`](ziggurat_core::Deployment::cost), or of a
//! [function](SettleLayer::priced_by) of your own. It is `None` where a price is unknown.
//!
//! # Sinks
//!
//! A settlement goes to a [`SettlementSink`], on the task that reads the answer: a sink must not
//! block. A closure is one. [`JsonLines`] writes lines of JSON from a thread of its own, [`Recent`]
//! keeps the last ones, [`Sinks`] are several that can be added to.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Deployment, Error, LlmRequest, LlmResponse, Prices, Routed, Usage};
//! use ziggurat_settle::{Outcome, Recent, SettleLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let prices = Prices { input: Some(2.5e-6), output: Some(1e-5), ..Prices::default() };
//! let deployment = Arc::new(Deployment::new("a", "gpt", "gpt-4o").with_prices(prices));
//!
//! let recent = Arc::new(Recent::new(100));
//! let service = ServiceBuilder::new()
//!     // The balancer's place:
//!     .map_request(move |request| Routed::new(request, Arc::clone(&deployment)))
//!     .layer(SettleLayer::new(Arc::clone(&recent)))
//!     .service(service_fn(async |_: Routed<LlmRequest>| {
//!         Ok::<_, Error>(LlmResponse::complete("{}", Some(Usage::new(1_000, 100))))
//!     }));
//!
//! service.oneshot(LlmRequest::chat("gpt", "hi")).await?;
//! let [settlement] = &recent.take()[..] else { panic!("there was one attempt") };
//! assert_eq!(settlement.outcome(), Outcome::Served);
//! assert_eq!(settlement.cost().map(|cost| cost.to_string()).as_deref(), Some("0.0035"));
//! # Ok(())
//! # }
//! ```

mod account;
pub mod future;
mod layer;
mod lines;
mod recent;
mod service;
mod settlement;
mod sink;

pub use self::{
    account::Account,
    layer::{Pricing, SettleLayer},
    lines::JsonLines,
    recent::Recent,
    service::Settle,
    settlement::{Outcome, Settlement},
    sink::{SettlementSink, Sinks},
};

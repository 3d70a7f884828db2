//! Holds back the beginning of a streamed answer until so much of it is there: [`HoldBackLayer`].
//!
//! A stream that breaks after its first item cannot be tried again, since the client has seen a part
//! of it. With this layer an answer begins later: when a number of events has come, or all of them. A
//! failure in what is held back is a failure of the attempt, and the layers above go to another
//! deployment as if nothing had been said.
//!
//! *Pass-through*, below the balancer and right above the layers of the attempt, so that those count
//! the failure, and those above see no answer that is not given.
//!
//! ```
//! use std::sync::Arc;
//!
//! use futures_util::{StreamExt, stream};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Deployment, Error, ErrorKind, Item, LlmRequest, LlmResponse, Routed};
//! use ziggurat_hold_back::{HoldBack, HoldBackLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let service = ServiceBuilder::new()
//!     // The balancer's place.
//!     .layer(HoldBackLayer::new(HoldBack::events(3)))
//!     // Cooldown, rate limit, timeout, and a provider whose stream breaks after its first event.
//!     .service(service_fn(|_: Routed<LlmRequest>| async {
//!         let item = Item { events: 1, ..Item::default() };
//!         let broken = Error::new(ErrorKind::StreamBroken, "reset by peer");
//!         let items = stream::iter([Ok(item), Err(broken)]);
//!         Ok::<_, Error>(LlmResponse::stream(Box::pin(items)))
//!     }));
//!
//! let deployment = Arc::new(Deployment::new("a", "gpt", "gpt-4o"));
//! let request = Routed::new(LlmRequest::chat("gpt", "hi"), deployment);
//! let error = service.oneshot(request).await.expect_err("nothing of it was passed on");
//! assert_eq!(error.kind(), ErrorKind::StreamBroken);
//! # }
//! ```
//!
//! # What it costs
//!
//! The first token waits for the last that is held back: of three events that is the time of two
//! tokens, of all it is the time of the whole answer. What was held comes at once then. A latency that
//! is measured above is that of the later beginning, and hedging goes by it.
//!
//! What is held back is in memory: up to [1 MiB](HoldBack::max_bytes) for each stream, then the answer
//! begins with what is there. Meanwhile the idle limit of the attempt holds, and the deadline if it
//! ends streams; a limit on the first token does not.

pub mod future;
mod hold;
mod holdable;
mod layer;
mod service;

pub use self::{
    hold::HoldBack, holdable::Holdable, layer::HoldBackLayer, service::HoldBackService,
};

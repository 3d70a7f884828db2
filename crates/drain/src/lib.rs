//! Reads streams to their end when their client has hung up: [`DrainLayer`].
//!
//! A provider tells what an answer used at its end, and bills what it has made. If a client hangs up
//! and the stream is closed, the rest is not paid for, but how much was used is a guess. With this
//! layer the rest is read and thrown away, so that usage, spend and limits are exact: that is for
//! those who bill by tokens, and it costs what the rest of the answers costs.
//!
//! *Pass-through*, and the topmost layer of the stack: what a layer beneath drops, such as the slower
//! of two hedged attempts, is closed as ever. So is an answer whose client hangs up before its first
//! token.
//!
//! A stream that is drained takes all along that was attached to it. It counts as in flight, holds its
//! permits and keeps to its clocks until its end; to whoever watches it, it completes.
//!
//! # The driver
//!
//! [`Draining::run`] is a future to be spawned once. It reads so many streams at a time, each for a
//! limited time, and ends when the layer, its services and their streams are gone. While it does not
//! run, or when more streams wait than the layer has room for, a stream is closed as without the layer,
//! and [counted](DrainLayer::dropped).
//!
//! # Example
//!
//! ```
//! use std::{num::NonZeroUsize, time::Duration};
//!
//! use futures_util::{StreamExt, stream};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Error, Item, LlmRequest, LlmResponse};
//! use ziggurat_drain::DrainLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let [waiting, at_once] = [1_000, 100].map(|it| NonZeroUsize::new(it).expect("is over zero"));
//! let (layer, draining) = DrainLayer::new(waiting);
//! let driver = tokio::spawn(draining.run(at_once, Duration::from_secs(300)));
//! # tokio::task::yield_now().await;
//!
//! let service = ServiceBuilder::new()
//!     .layer(layer.clone())
//!     // Telemetry, deadline, rate limit, …
//!     .service(service_fn(|_: LlmRequest| async {
//!         let items = stream::iter((0..100).map(|_| Ok(Item::default())));
//!         Ok::<_, Error>(LlmResponse::stream(Box::pin(items)))
//!     }));
//!
//! let response = service.oneshot(LlmRequest::chat("gpt", "hi")).await?;
//! let (_, mut items) = response.into_parts();
//! items.next().await.expect("there is one")?;
//! // The client hangs up, and the rest is read.
//! drop(items);
//!
//! let counts = layer.clone().counts();
//! drop(layer);
//! driver.await.expect("does not panic");
//! assert_eq!((counts.drained(), counts.dropped()), (1, 0));
//! # Ok(())
//! # }
//! ```

mod counts;
mod driver;
pub mod future;
mod layer;
mod queue;
mod service;

pub use self::{
    counts::Counts,
    driver::Draining,
    layer::{Always, DrainLayer},
    service::DrainService,
};

//! What deployments and model groups did, minute by minute: [`UsageBook`].
//!
//! The book is told of each attempt when that is settled, and keeps for each deployment and each
//! group the current minute, the minutes before it, and the sum since the start: attempts, how they
//! ended, tokens, cost, and how long answers took. It holds nothing of who asked, nor of what.
//!
//! An attempt counts in the minute in which it ended. A refusal is none. With fallbacks, an attempt
//! counts for the group that it was made in, not for the one that the client asked for. A request that
//! a cache answered counts for its group, where the cache [says it](UsageBook::record_hit).
//!
//! ```
//! use std::{sync::Arc, time::SystemTime};
//!
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Deployment, Error, LlmRequest, LlmResponse, Routed, Usage};
//! use ziggurat_settle::SettleLayer;
//! use ziggurat_usage::UsageBook;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let book = UsageBook::new();
//! let deployment = Arc::new(Deployment::new("a", "gpt", "gpt-4o"));
//! let service = ServiceBuilder::new()
//!     // The balancer's place:
//!     .map_request(move |request| Routed::new(request, Arc::clone(&deployment)))
//!     .layer(SettleLayer::new(book.clone()))
//!     .service(service_fn(async |_: Routed<LlmRequest>| {
//!         Ok::<_, Error>(LlmResponse::complete("{}", Some(Usage::new(1_000, 100))))
//!     }));
//!
//! service.oneshot(LlmRequest::chat("gpt", "hi")).await?;
//! let group = book.group("gpt").expect("was asked");
//! let lately = group.last(SystemTime::now(), 5);
//! assert_eq!((lately.successes(), lately.output_tokens()), (1, 100));
//! assert!(lately.latency().quantile(0.95).is_some());
//! # Ok(())
//! # }
//! ```
//!
//! # Several instances
//!
//! Each instance keeps a book of its own. [`UsageSync`] writes its minutes to a [`UsageStore`] every
//! few seconds, and reads those of the others into the book, which then [answers](Page::of_all) for
//! all of them, from its own memory.

mod book;
mod codec;
mod histogram;
mod minute;
mod ring;
mod row;
mod store;
mod sync;
mod tally;

pub use self::{
    book::{AllPage, Page, UsageBook},
    histogram::Histogram,
    minute::Minute,
    row::{BadRow, Row, Subject},
    store::{MemoryUsageStore, UsageStore},
    sync::UsageSync,
    tally::Tally,
};

//! Makes LLM requests wait in line, by priority, when capacity is short.
//!
//! [`PriorityQueueLayer`] lets a number of requests through at a time. The others wait, and each
//! request that ends wakes exactly one: nothing is polled, nothing is spawned. The layer is
//! *deferring*: it is always ready, waits in its future, and readies the service beneath when the
//! turn has come. It belongs above `fallback` and `retry`, so that their attempts do not queue again.
//!
//! ```
//! use std::num::NonZeroUsize;
//!
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Error, LlmRequest, LlmResponse};
//! use ziggurat_priority_queue::PriorityQueueLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let queue = PriorityQueueLayer::new(NonZeroUsize::new(64).expect("64 is not zero"))
//!     .max_waiting(500);
//! let service = ServiceBuilder::new()
//!     // `"priority": 0` goes before `"priority": 1`.
//!     .layer(queue.clone())
//!     .service(service_fn(|_: LlmRequest| async {
//!         Ok::<_, Error>(LlmResponse::complete("{}", None))
//!     }));
//!
//! service.oneshot(LlmRequest::chat("gpt", "hi")).await?;
//! assert_eq!(queue.in_flight(), 0, "a complete answer gives its turn back");
//! # Ok(())
//! # }
//! ```
//!
//! # Who goes next
//!
//! The lowest [`Priority`](ziggurat_core::Priority), then who came first. Waiting makes up for
//! priority, one step for each [`aging`](PriorityQueueLayer::aging), so nobody starves.
//!
//! # Who is refused
//!
//! - with [`Reason::QueueFull`](ziggurat_core::Reason), who finds as many waiting as may;
//! - with [`Reason::Deadline`](ziggurat_core::Reason), whose turn is predicted to come after the
//!   deadline of its [`Ledger`](ziggurat_core::Ledger): it is told at once instead of too late;
//! - both with the time at which a turn would have come, once a first request has ended and there
//!   is something to predict from.
//!
//! Whose deadline passes in the queue all the same leaves it with
//! [`Clock::Total`](ziggurat_core::Clock).
//!
//! # How long a turn lasts
//!
//! To the settlement of the response: the end of a stream, not its beginning, or its drop. A caller
//! that hangs up while it waits leaves the queue at once, and if its turn had just come, the turn
//! goes to the next.
//!
//! # What it does not do
//!
//! It divides capacity by priority, not by tenant: put a limit on what one tenant has in flight
//! above it. A request that comes to a full queue is refused whatever its priority.
//!
//! How long a request has waited is recorded in the field `queue_ms` of the current `tracing` span,
//! if it has one, and summed up in [`Stats`].

pub mod future;
mod gate;
mod layer;
mod queue;
mod ranked;
mod service;

pub use self::{gate::Permit, layer::PriorityQueueLayer, queue::Stats, service::PriorityQueue};

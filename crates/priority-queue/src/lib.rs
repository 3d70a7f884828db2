//! Makes LLM requests wait in line, by priority and fairly, when capacity is short.
//!
//! [`PriorityQueueLayer`] lets a number of requests through at a time. The others wait, and each
//! request that ends wakes exactly one: nothing is polled, nothing is spawned. The layer is
//! *deferring*: it is always ready, waits in its future, and readies the service beneath when the
//! turn has come.
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
//! let queue = PriorityQueueLayer::new(NonZeroUsize::new(64).expect("64 is not zero"));
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
//! 1. The best class by [`Priority`](ziggurat_core::Priority), lowest first, or each in turn by its
//!    weight: [`Rules::classes`] and [`Order`]. Waiting makes up for priority, one step for each
//!    [`Rules::aging`], so nobody starves.
//! 2. Within a class its tenants by weighted shares: a [`Tenant`] that is alone gets everything.
//! 3. Of a tenant the earliest deadline, then who came first.
//!
//! A request may take [several units](Claim::with_cost) of the capacity, such as tokens. One that is
//! next and finds too few free is kept every second one that comes free, until it has enough.
//!
//! # Who is refused
//!
//! - with [`Reason::QueueFull`](ziggurat_core::Reason), who finds as many waiting as may, none of
//!   which stands behind it; and who stands behind one that comes and finds so many waiting;
//! - with [`Reason::Deadline`](ziggurat_core::Reason), whose turn is predicted to come after the
//!   deadline of its [`Ledger`](ziggurat_core::Ledger): it is told at once instead of too late;
//! - with [`Reason::Busy`](ziggurat_core::Reason), whose turn is predicted to come after the longest
//!   [time to wait](Rules::max_wait), or who has waited for that long;
//! - all with the time at which a turn would have come, once a first request has ended and there
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
//! # Where it stands
//!
//! Above `fallback` and `retry` one gate holds back all requests, and their further attempts do not
//! queue again. Under `fallback`, a gate for each group ([`PriorityQueueLayer::keyed`]) keeps a group
//! that hangs from holding up the others; under the balancer, a gate for each deployment bounds what
//! it has in flight, and waits where a limit would fail. There, an attempt of a request that was
//! [let through before](Claim::with_again) goes before the new ones of its class.
//!
//! # What it costs
//!
//! Where capacity is free, a lock and no allocation. Who waits pays O(log n) for its place, its turn
//! and its leaving, with n waiting, and for the prediction a step for each tenant and each class that
//! waits, of which there are [bounded](Tenant) numbers.
//!
//! # Several instances
//!
//! A capacity is each instance's own, or that of all of them together: see [`parts`].
//! [`PriorityQueueLayer::stats`] says how deep the queue is here, [`Parts::depth`] at all.
//!
//! How long a request has waited is recorded in the field `queue_ms` of the current `tracing` span,
//! if it has one, and summed up in [`Stats`].

mod bell;
mod capacity;
mod claim;
pub mod future;
mod gate;
mod gates;
mod layer;
pub mod parts;
mod queue;
mod rules;
mod service;
mod splitmix;
mod sync;

#[cfg(test)]
mod tests;

pub use self::{
    capacity::Capacity,
    claim::{ByPriority, Claim, Tenant},
    gate::Permit,
    gates::{AllGates, Each, Gates, One},
    layer::PriorityQueueLayer,
    parts::{Depth, MemoryPartStore, PartStore, Parts},
    queue::{ClassStats, Stats},
    rules::{Class, InvalidClasses, Order, Rules},
    service::PriorityQueue,
};

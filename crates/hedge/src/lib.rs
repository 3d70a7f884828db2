//! Asks a second deployment when the first is late with its answer: [`HedgeLayer`].
//!
//! *Deferring*, above the balancer and below the retries. When a request has not been answered after
//! a chosen percentile of what its group took of late, a second copy of it is sent, which the
//! balancer gives to another deployment. The first *answer* wins, and the other copy is dropped at
//! once, which closes its connection. A streamed answer is there with its first token. The idea is
//! the hedged request of Dean and Barroso, "The Tail at Scale" (Communications of the ACM, 2013).
//!
//! # When a second copy is sent
//!
//! Once for each try, if all of this holds when the time has come:
//!
//! - the group has answered at least twenty requests of this kind, streamed or not, so that a
//!   percentile is known;
//! - the request has an attempt left in its [`Ledger`](ziggurat_core::Ledger), its deadline has not
//!   passed, and a deployment of its group is [untried](ziggurat_core::Ledger::untried). A request
//!   without a ledger gets no second copy: nothing would keep that from the same deployment;
//! - the [budget](HedgeLayer::budget) allows it: in ten seconds, at most that share of the requests
//!   that arrived in them, over all groups. With less than twenty requests in ten seconds, five
//!   percent is none.
//!
//! The balancer charges the second copy to the ledger as it does any attempt, and enters it in the
//! trail.
//!
//! # When something fails
//!
//! An error never wins over an answer to come: if one copy fails, the other is waited for. If both
//! fail, the error is that of the first copy, unless that one was only refused and the other really
//! failed. If the first fails before a second was sent, none is sent: what to do then is for the
//! retry layer above to say.
//!
//! # What it does not do
//!
//! It helps against a deployment that is late for once. It makes nothing faster for a group that is
//! slow as a whole, and what the loser had produced is paid for. Nothing is hedged after the answer
//! has begun.
//!
//! # Example
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//! use std::time::Duration;
//!
//! use tokio::time::{Instant, sleep};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Error, HasLedger, LlmRequest};
//! use ziggurat_hedge::HedgeLayer;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//!
//! let service = ServiceBuilder::new()
//!     .layer(HedgeLayer::new(95.0)?.min_delay(Duration::from_millis(200)))
//!     // Stands for the balancer over two deployments, of which one hangs now and then.
//!     .service(service_fn(async |request: LlmRequest| {
//!         request.ledger().expect("has one").set_untried(1);
//!         let late = CALLS.fetch_add(1, Relaxed) == 20;
//!         sleep(Duration::from_millis(if late { 60_000 } else { 100 })).await;
//!         Ok::<_, Error>("hello")
//!     }));
//!
//! for _ in 0..20 {
//!     service.clone().oneshot(LlmRequest::chat("gpt", "hi")).await?;
//! }
//! let began = Instant::now();
//! assert_eq!(service.oneshot(LlmRequest::chat("gpt", "hi")).await?, "hello");
//! assert_eq!(CALLS.load(Relaxed), 22);
//! // After 200 ms a second copy was sent, which took 100 ms.
//! assert_eq!(began.elapsed().as_millis(), 300);
//! # Ok(())
//! # }
//! ```
//!
//! Below the balancer, where a second copy would go to the same deployment, it does not compile:
//!
//! ```compile_fail
//! use tower::{ServiceBuilder, service_fn, util::BoxCloneSyncService};
//! use ziggurat_core::{Error, LlmRequest, Routed};
//! use ziggurat_hedge::HedgeLayer;
//!
//! async fn leaf(_: Routed<LlmRequest>) -> Result<&'static str, Error> {
//!     Ok("hello")
//! }
//!
//! let below = ServiceBuilder::new()
//!     .layer(HedgeLayer::new(95.0).expect("is a percentile"))
//!     .service(service_fn(leaf));
//! let _: BoxCloneSyncService<Routed<LlmRequest>, &str, Error> = BoxCloneSyncService::new(below);
//! ```

mod budget;
pub mod future;
mod hedging;
mod layer;
mod policy;
mod service;

pub use self::{
    hedging::Hedging,
    layer::{HedgeLayer, PercentError},
    service::Hedge,
};

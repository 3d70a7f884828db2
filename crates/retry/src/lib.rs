//! Tries a request again when it failed: [`RetryLayer`], with a budget for the whole process.
//!
//! *Deferring.* The layer is always ready; the service beneath is readied before each try.
//!
//! | what happened | what the layer does |
//! | --- | --- |
//! | a failure that the table of [`ErrorKind::rule`] never retries | passes it up |
//! | a failure, and a deployment of the group is still untried | tries again at once |
//! | a failure that concerns only the deployment, and none is untried | passes it up |
//! | a 429, or one that says when to come back, none is untried, and a fallback is left | waits once if it is [a moment](RetryLayer::wait_before_fallback), else passes it up |
//! | one that took ten seconds or more, none is untried, and a fallback is left | passes it up |
//! | any other failure | tries again after a back-off, or after what the provider asks for |
//! | all deployments rest, and no fallback is left | waits for the first that comes back |
//! | any other [`Rejection`] | passes it up: nothing was sent, so there is nothing to try again |
//!
//! A retry takes place only while the request has retries, attempts and time left, and while the
//! [`RetryBudget`], which all services of a layer share, has something to give. There is no pause
//! after the last try and none that would end after the deadline.
//!
//! The position says what a retry is. Above the balancer it goes to another deployment while there
//! is one; below it, it goes to the same deployment again. See [`Retries`].
//!
//! # How many retries
//!
//! The number is looked up for each failure by its own kind, and compared with all retries of the
//! request in its group so far. The first of these that says a number decides:
//!
//! | rank | who says it | where |
//! | --- | --- | --- |
//! | 1 | the request | `num_retries`, or [`Retries`]; 0: nothing is tried again for any reason |
//! | 2 | the policy of the group: for the kind, else for all others | [`RetryLayer::group_policy`] |
//! | 3 | the policy of the layer, if the group has none: likewise | [`RetryLayer::policy`] |
//! | 4 | the deployment that failed last | its `num_retries` |
//! | 5 | the layer | [`RetryLayer::num_retries`], 2 by default |
//!
//! A number over 0 that is given for a very kind is carried out, even if the table never retries
//! that kind: see [`RetryPolicy::of_kind`].
//!
//! Three things have bounds of their own:
//!
//! * **A dead key.** A failure that speaks against the credential alone, while another deployment is
//!   untried, is no retry: it uses up none, nothing of the budget, and
//!   [gives its attempt back](ziggurat_core::Ledger::forgive).
//! * **Tiers.** Where the group [has tiers](ziggurat_core::Ledger::has_tiers), or with
//!   [`RetryLayer::failover`], a failure that may be tried elsewhere goes on to what is untried when
//!   the retries are used up. Attempts, deadline and budget bound it.
//! * **A 429 that says when.** A retry after that pause draws nothing from the budget: all of a
//!   burst come back when the provider wants them. So does one that could go elsewhere and for
//!   which the budget has nothing left: it waits instead.
//!
//! # What stays for fallbacks
//!
//! While [fallbacks are left](ziggurat_core::Ledger::fallbacks_left), the layer stops when the
//! request has no more attempts left than one for each of them. At most half of what there was for
//! the group is kept so: of 6 attempts and one fallback, the group gets up to 5; with five
//! fallbacks, 3.
//!
//! # What is reported
//!
//! When everything fails, it is the first failure, with the shortest `Retry-After` of all if it has
//! one. The failure of a dead key gives way to one that says more, and a refusal that comes later
//! hides nothing.
//!
//! # Example
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Error, ErrorKind, HasLedger, Ledger, LlmRequest};
//! use ziggurat_retry::RetryLayer;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Error> {
//! static CALLS: AtomicU32 = AtomicU32::new(0);
//!
//! let service = ServiceBuilder::new()
//!     .layer(RetryLayer::new().num_retries(3))
//!     .service(service_fn(|_: LlmRequest| async {
//!         match CALLS.fetch_add(1, Relaxed) {
//!             0 | 1 => Err(Error::new(ErrorKind::Overloaded, "try later")),
//!             _ => Ok("hello"),
//!         }
//!     }));
//!
//! let request = LlmRequest::chat("gpt", "hi");
//! assert_eq!(service.oneshot(request.clone()).await?, "hello");
//! assert_eq!(CALLS.load(Relaxed), 3);
//! assert_eq!(request.ledger().map(Ledger::retries), Some(2));
//! # Ok(())
//! # }
//! ```
//!
//! [`ErrorKind::rule`]: ziggurat_core::ErrorKind::rule
//! [`Rejection`]: ziggurat_core::Rejection

mod budget;
pub mod future;
mod layer;
mod policy;
mod retries;
mod service;
mod settings;
mod tries;

pub use self::{
    budget::RetryBudget, layer::RetryLayer, policy::RetryPolicy, retries::Retries, service::Retry,
};

//! Tries a request again when it failed: [`RetryLayer`], with a budget for the whole process.
//!
//! *Deferring.* The layer is always ready; the service beneath is readied before each try.
//!
//! | what happened | what the layer does |
//! | --- | --- |
//! | a failure that the table of [`ErrorKind::rule`] never retries | passes it up |
//! | a failure, and a deployment of the group is still untried | tries again at once |
//! | a failure that concerns only the deployment, and none is untried | passes it up |
//! | any other failure | tries again after a back-off, or after what `Retry-After` asks for |
//! | all deployments rest, and no fallback is left | waits for the first that comes back |
//! | any other [`Rejection`] | passes it up: nothing was sent, so there is nothing to try again |
//!
//! A retry takes place only while the request has retries, attempts and time left, and while the
//! [`RetryBudget`], which all services of a layer share, has something to give. There is no pause
//! after the last try and none that would end after the deadline. When everything fails, the last
//! real failure is reported; a refusal that comes after it does not hide it.
//!
//! The position says what a retry is. Above the balancer it goes to another deployment while there
//! is one; below it, it goes to the same deployment again. See [`Retries`].
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

pub use self::{budget::RetryBudget, layer::RetryLayer, retries::Retries, service::Retry};

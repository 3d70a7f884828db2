//! Answers a failed request from another model group: [`FallbackLayer`].
//!
//! *Deferring.* The layer is always ready; the service beneath is readied before each try. It stands
//! above the balancer, and above the retries: it goes on when a group has nothing more to offer.
//!
//! # Which group is next
//!
//! Which of the three lists of [`FallbackLists`] a failure is answered from is said by the table of
//! [`ErrorKind::rule`] alone: one for requests that are too long, one for content that a provider
//! declines, one for everything that is not the request's fault. The lists are kept apart, so a
//! refusal for its content goes back to the client unless a list for refusals names the group. What
//! no list serves ends the walk.
//!
//! A group that fails as a fallback is answered from its own entry first, then the walk goes on
//! where it was: with a → b, c and b → d it goes a, b, d, c. `"*"` is the entry of requested groups
//! that have none, and says nothing of those that fail on the way. No group is asked twice in a
//! request, and not more than [`max_fallbacks`](FallbackLists::max_fallbacks) of them; nothing is
//! started after the deadline, nor without an attempt left in the request's ledger.
//!
//! A client may send lists of its own, each in the place of the configured one; a plain list of
//! names serves every failure that may fall back. If every group fails, the first failure is
//! reported.
//!
//! # Example
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Error, ErrorKind, LlmRequest};
//! use ziggurat_fallback::{FallbackLayer, FallbackLists};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let lists = FallbackLists::new()
//!     .general([("gpt", ["claude"]), ("*", ["llama"])])
//!     .context_window([("gpt", ["gemini"])]);
//! let service = ServiceBuilder::new()
//!     .layer(FallbackLayer::new(lists))
//!     .service(service_fn(|request: LlmRequest| async move {
//!         match request.group().as_str() {
//!             "gpt" => Err(Error::new(ErrorKind::Unavailable, "the provider is down")),
//!             group => Ok(format!("hello from {group}")),
//!         }
//!     }));
//!
//! let answer = service.oneshot(LlmRequest::chat("gpt", "hi")).await?;
//! assert_eq!(answer, "hello from claude");
//! # Ok(())
//! # }
//! ```
//!
//! [`ErrorKind::rule`]: ziggurat_core::ErrorKind::rule

pub mod future;
mod layer;
mod lists;
mod plan;
mod service;

pub use ziggurat_core::Redirect;

pub use self::{layer::FallbackLayer, lists::FallbackLists, service::Fallback};

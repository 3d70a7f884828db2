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
//! that have none, and says nothing of those that fail on the way. A group that refuses before
//! anything is sent, since the request does not fit or its deployments rest, is passed over.
//! Nothing is started after the deadline, nor without an attempt left in the request's ledger.
//!
//! A [`FallbackTarget`] is a group, for the request as it is or with other values for some of its
//! fields. They are put into the original request, so the next target sees none of them; a target
//! whose values the request does not take is skipped. No target is asked twice in a request: two
//! are the same if they lead to the same group with the same values. The requested group may stand
//! in for itself with other values. Not more than [`max_fallbacks`](FallbackLists::max_fallbacks)
//! targets are asked.
//!
//! A client may send lists of its own, and [its key or team](FallbackLayer::lists_by) may have some,
//! each in the place of the layer's; the client's go first. A client's plain list serves every
//! failure that may fall back. If every group fails, the first failure is reported; the ledger
//! [remembers them all](ziggurat_core::Ledger::failures).
//!
//! Before each try the ledger is told what could follow: to how many
//! [other groups](ziggurat_core::Ledger::fallbacks_left) the request could move if this one were
//! down, and whether one would answer what this one
//! [declines](ziggurat_core::Ledger::takes_refusals), so that an answer which does nothing else is
//! worth more as a failure.
//!
//! # Streams that break
//!
//! A stream that breaks after its first item ends with the error. With
//! [`transcripts`](FallbackLayer::transcripts) that listen to the answer it is gone on with: the
//! rest is asked for from the group that answered, which may have other deployments, then from the
//! targets of the general list. Each may take what was said as the [beginning][prefill] of its
//! own answer, or else be [told][instruction] to go on from there; those that can do neither
//! refuse, at no cost. A rest that breaks is gone on with in the same way, sixteen times at most. Each
//! try is an attempt. If nobody goes on, the break is reported.
//!
//! Layers above see one stream from the first item to the last; those beneath see each attempt end
//! by itself. A stream that is dropped drops whatever it waits for.
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
//! [prefill]: ziggurat_core::GoOn::Prefill
//! [instruction]: ziggurat_core::GoOn::Instruction

mod continued;
mod course;
pub mod future;
mod layer;
mod lists;
pub mod on_break;
mod plan;
mod service;

pub use ziggurat_core::{FallbackTarget, Redirect};

pub use self::{
    layer::{FallbackLayer, NoLists},
    lists::FallbackLists,
    service::Fallback,
};

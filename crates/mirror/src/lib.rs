//! Sends copies of requests to other model groups, and drops the answers: [`MirrorLayer`].
//!
//! *Pass-through*, right below the balancer. When a deployment with
//! [`mirrors`](ziggurat_core::Deployment::mirrors) begins to answer, a copy of the request is put
//! into a queue for each of them. A driver, [`Mirrored::run`], which the application spawns once,
//! takes the copies out, sends them through a service, and reads each answer to its end.
//!
//! # What the original sees of it
//!
//! Nothing. Its answer does not wait: a full queue drops the copy, and [counts](MirrorLayer::dropped)
//! it. A failure, a slow answer or a panic of the mirror stays in the driver. A request is copied
//! once to each mirror, however often it was tried: only the deployment that answers counts. What
//! nobody answered, or the client no longer waits for, is not copied.
//!
//! # What a copy is
//!
//! The same request for another group, with a new [`Ledger`](ziggurat_core::Ledger), so it draws on
//! none of the time and attempts of the original, and without a credential or endpoint that the
//! client brought. It carries [`IsMirrored`] among its
//! [extensions](ziggurat_core::LlmRequest::extensions), for layers that care, and is never copied
//! again.
//!
//! # Example
//!
//! ```
//! use std::{num::NonZeroUsize, sync::Arc};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Deployment, Error, LlmRequest, LlmResponse, Routed};
//! use ziggurat_mirror::MirrorLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let [waiting, in_flight] = [1_000, 8].map(|it| NonZeroUsize::new(it).expect("is over zero"));
//! let (layer, mirrored) = MirrorLayer::new(waiting);
//! let service = ServiceBuilder::new()
//!     // The balancer's place.
//!     .layer(layer)
//!     .service(service_fn(|_: Routed<LlmRequest>| async {
//!         Ok::<_, Error>(LlmResponse::complete("answer", None))
//!     }));
//!
//! // The stack that the copies go through, usually one that begins at the balancer.
//! let copies = service_fn(|copy: LlmRequest| async move {
//!     assert_eq!(copy.group().as_str(), "candidate");
//!     Ok::<_, Error>(LlmResponse::complete("nobody sees this", None))
//! });
//! let driver = tokio::spawn(mirrored.run(copies, in_flight));
//!
//! let deployment = Deployment::new("a", "gpt", "gpt-4o").with_mirrors(["candidate"]);
//! let request = Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment));
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.bytes().map(|bytes| &bytes[..]), Some(&b"answer"[..]));
//!
//! // All services of the layer are gone, so the driver ends when the copies have been sent.
//! driver.await.expect("does not panic");
//! # Ok(())
//! # }
//! ```

mod driver;
pub mod future;
mod layer;
mod mirror;
mod queue;
mod service;

pub use self::{
    driver::Mirrored,
    layer::{MirrorLayer, ShareError},
    mirror::{IsMirrored, Mirror},
    service::MirrorService,
};

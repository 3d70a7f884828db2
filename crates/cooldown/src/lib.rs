//! Rests failing LLM deployments.
//!
//! [`CooldownLayer`] keeps a breaker for each deployment. A provider's 429, a bad credential or an
//! unknown model rests a deployment at once; server errors, timeouts and broken streams rest it when
//! they come in a row or are too large a share: see [`CooldownPolicy`]. Whoever shares a dead
//! credential, a quota or an overloaded provider with it rests too. Its place is below the balancer,
//! which sends a refused request to another deployment at no cost. [`CooldownLayer::health`] shows
//! what it knows.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_cooldown::{CooldownLayer, CooldownPolicy, State};
//! use ziggurat_core::{
//!     Deployment, Deployments, Error, ErrorKind, LlmRequest, LlmResponse, Reason, Rejection, Routed,
//!     Snapshot,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let deployments = Deployments::new(Snapshot::new([
//!     Deployment::new("eu", "gpt", "gpt-4o"),
//!     Deployment::new("us", "gpt", "gpt-4o"),
//! ]));
//! let policy = CooldownPolicy::new().cooldown_time(Duration::from_secs(30));
//! let cooldown = CooldownLayer::new(policy).deployments(deployments);
//! let service = ServiceBuilder::new()
//!     .layer(cooldown.clone())
//!     // Stands for a provider that is throttled.
//!     .service(service_fn(async |_: Routed<LlmRequest>| {
//!         Err::<LlmResponse, _>(Error::new(ErrorKind::RateLimited, "slow down"))
//!     }));
//!
//! let eu = Arc::new(Deployment::new("eu", "gpt", "gpt-4o"));
//! let request = || Routed::new(LlmRequest::chat("gpt", "hi"), Arc::clone(&eu));
//! let error = service.clone().oneshot(request()).await.unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::RateLimited);
//!
//! // The next one is not sent.
//! let error = service.oneshot(request()).await.unwrap_err();
//! assert_eq!(error.rejection().map(Rejection::reason), Some(Reason::Cooldown));
//! assert!(matches!(cooldown.state(eu.id()), State::Resting { .. }));
//! # }
//! ```
//!
//! Several instances [share](CooldownLayer::share) their rests: what one has learned, the others know
//! within a second.
//!
//! A slow start after a rest is the balancer's: a share of the traffic is its to give, and a refusal
//! for it could leave a request with nobody to serve it. [`CooldownLayer::back_since`] tells it since
//! when a deployment is back.

mod allowance;
mod blame;
mod breaker;
mod entry;
pub mod future;
mod layer;
mod news;
mod policy;
mod rests;
mod service;
mod shared;
mod sharing;
mod state;
mod tally;
mod watch;
mod window;

pub use self::{
    layer::CooldownLayer,
    policy::{CooldownPolicy, InvalidShare},
    service::Cooldown,
    state::{Health, State},
};

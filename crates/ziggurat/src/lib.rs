//! An LLM router as a stack of Tower layers.
//!
//! Each concern is a layer in a crate of its own; this crate collects them. Take single layers for
//! a Tower or axum app that you have, stack all of them over [`provider::LlmService`], or let
//! [`Router`] build the stack from a LiteLLM-style `config.yaml`.
//!
//! ```
//! use std::time::Duration;
//!
//! use tower::{ServiceBuilder, ServiceExt as _, service_fn};
//! use ziggurat::{
//!     Deployment, Deployments, Error, LlmRequest, LlmResponse, Routed,
//!     cooldown::{CooldownLayer, CooldownPolicy},
//!     load_balance::{LeastBusy, LoadBalanceLayer},
//!     retry::RetryLayer,
//!     timeout::DeadlineLayer,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let deployments: Deployments =
//!     [Deployment::new("eu", "gpt", "gpt-4o"), Deployment::new("us", "gpt", "gpt-4o")].into_iter().collect();
//!
//! let stack = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(60)))
//!     .layer(RetryLayer::new())
//!     .layer(LoadBalanceLayer::new(deployments, LeastBusy))
//!     .layer(CooldownLayer::new(CooldownPolicy::new()))
//!     // In real life: `provider::LlmService`.
//!     .service(service_fn(async |request: Routed<LlmRequest>| {
//!         Ok::<_, Error>(LlmResponse::complete(request.deployment().id().to_string(), None))
//!     }));
//!
//! let answer = stack.oneshot(LlmRequest::chat("gpt", "hello")).await?;
//! assert!(["eu", "us"].map(|id| Some(id.as_bytes())).contains(&answer.bytes().map(|bytes| &bytes[..])));
//! # Ok(())
//! # }
//! ```
//!
//! # Order
//!
//! Position gives meaning. Above the balancer layers see a request for a model group, below it an
//! attempt at one deployment: a rate limit above refuses the request, one below makes the balancer
//! go on to the next deployment; a retry above goes elsewhere, one below asks the same again. An
//! order that makes no sense, such as a cooldown above the balancer or a fallback below it, does not
//! compile.
//!
//! To hold a finished stack in a field, box it:
//! `tower::util::BoxCloneSyncService<LlmRequest, LlmResponse, Error>`.
//!
//! # Features
//!
//! None is on by default. There is one for each module below, `router` for [`Router`], and `full`.

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "router")]
mod access;
#[cfg(feature = "router")]
mod alerts;
#[cfg(feature = "router")]
mod background;
#[cfg(feature = "router")]
mod caching;
#[cfg(feature = "router")]
mod choice;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "router")]
mod count;
#[cfg(feature = "router")]
mod credentials;
#[cfg(feature = "router")]
mod ending;
#[cfg(feature = "router")]
mod groups;
#[cfg(feature = "router")]
mod layers;
#[cfg(feature = "router")]
mod limits;
#[cfg(feature = "router")]
mod manage;
#[cfg(feature = "router")]
mod per_group;
#[cfg(feature = "router")]
mod queueing;
#[cfg(feature = "router")]
mod reliable;
#[cfg(feature = "router")]
mod reroute;
#[cfg(feature = "router")]
mod router;
#[cfg(feature = "router")]
mod settings;
#[cfg(feature = "router")]
mod share;
#[cfg(feature = "router")]
mod spend;
#[cfg(feature = "router")]
mod stack;
#[cfg(feature = "router")]
mod states;
#[cfg(feature = "router")]
mod together;

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
struct Library;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/routing.md")]
struct Routing;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/accounting.md")]
struct Accounting;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/caching.md")]
struct Caching;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/reliability.md")]
struct Reliability;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/usage.md")]
struct Usage;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/alerts.md")]
struct Alerts;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/limits.md")]
struct LimitsPage;

pub use ziggurat_core::*;

#[cfg(feature = "client")]
pub use self::client::{ChatRequest, Client};
#[cfg(feature = "router")]
pub use self::{
    groups::{GroupInfo, GroupUsage, Quantiles},
    limits::{ClientAddress, LimitLeft},
    router::Router,
};

#[cfg(feature = "alert")]
#[doc(inline)]
pub use ziggurat_alert as alert;
#[cfg(feature = "auto-route")]
#[doc(inline)]
pub use ziggurat_auto_route as auto_route;
#[cfg(feature = "cache")]
#[doc(inline)]
pub use ziggurat_cache as cache;
#[cfg(feature = "catalog")]
#[doc(inline)]
pub use ziggurat_catalog as catalog;

#[cfg(feature = "concurrency")]
#[doc(inline)]
pub use ziggurat_concurrency as concurrency;
#[cfg(feature = "config")]
#[doc(inline)]
pub use ziggurat_config as config;
#[cfg(feature = "cooldown")]
#[doc(inline)]
pub use ziggurat_cooldown as cooldown;
#[cfg(feature = "drain")]
#[doc(inline)]
pub use ziggurat_drain as drain;
#[cfg(feature = "fallback")]
#[doc(inline)]
pub use ziggurat_fallback as fallback;
#[cfg(feature = "health")]
#[doc(inline)]
pub use ziggurat_health as health;
#[cfg(feature = "hedge")]
#[doc(inline)]
pub use ziggurat_hedge as hedge;
#[cfg(feature = "hold-back")]
#[doc(inline)]
pub use ziggurat_hold_back as hold_back;
#[cfg(feature = "load-balance")]
#[doc(inline)]
pub use ziggurat_load_balance as load_balance;
#[cfg(feature = "mirror")]
#[doc(inline)]
pub use ziggurat_mirror as mirror;
#[cfg(feature = "mock")]
#[doc(inline)]
pub use ziggurat_mock as mock;
#[cfg(feature = "priority-queue")]
#[doc(inline)]
pub use ziggurat_priority_queue as priority_queue;
#[cfg(feature = "provider")]
#[doc(inline)]
pub use ziggurat_provider as provider;
#[cfg(feature = "rate-limit")]
#[doc(inline)]
pub use ziggurat_rate_limit as rate_limit;
#[cfg(feature = "redis")]
#[doc(inline)]
pub use ziggurat_redis as redis;
#[cfg(feature = "retry")]
#[doc(inline)]
pub use ziggurat_retry as retry;
#[cfg(feature = "settle")]
#[doc(inline)]
pub use ziggurat_settle as settle;
#[cfg(feature = "telemetry")]
#[doc(inline)]
pub use ziggurat_telemetry as telemetry;
#[cfg(feature = "timeout")]
#[doc(inline)]
pub use ziggurat_timeout as timeout;
#[cfg(feature = "usage")]
#[doc(inline)]
pub use ziggurat_usage as usage;

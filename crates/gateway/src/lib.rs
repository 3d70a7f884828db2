//! The OpenAI-compatible gateway over a Ziggurat stack.
//!
//! Four pieces, each usable alone:
//!
//! * [`Endpoint`]: one operation of an LLM API as an HTTP service, to mount in an axum `Router`
//!   that you have;
//! * [`IdentifyLayer`]: who asks, by [keys](KeyRing) or by what an application knows;
//! * [`Gateway`]: all routes, the check of the key, listings and probes;
//! * [`Server`], or [`serve()`] without settings: the accept loop, with graceful shutdown.
//!
//! The `ziggurat` binary is these three over [`ziggurat::Router`].
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use ziggurat::{Deployment, Deployments, Error, LlmRequest, LlmResponse};
//! use ziggurat_gateway::{Gateway, serve};
//!
//! let stack = tower::service_fn(|_: LlmRequest| async {
//!     Ok::<_, Error>(LlmResponse::complete(r#"{"choices": []}"#, None))
//! });
//! let deployments: Deployments = [Deployment::new("a", "gpt", "gpt-4o")].into_iter().collect();
//! let service = Gateway::new(deployments).service(&stack);
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
//! serve(listener, service, std::future::pending(), Duration::from_secs(30)).await?;
//! # Ok(())
//! # }
//! ```

mod any_path;
mod app;
mod body;
mod count_tokens;
mod edge;
mod endpoint;
mod forwarded;
mod google;
mod headers;
mod health;
mod identity;
mod json_list;
mod keep_alive;
mod key_info;
mod limits;
mod listing;
mod making;
mod passing;
mod policy;
mod rank;
mod reading;
mod realtime;
mod serve;
mod shape;
mod stored;
mod tell;
mod usage;

pub use self::{
    app::{DEFAULT_BODY_BUDGET, Gateway},
    body::ResponseBody,
    endpoint::{DEFAULT_MAX_BODY, Endpoint, ResponseFuture},
    identity::{
        Identified, Identify, IdentifyFuture, IdentifyLayer, Identity, KeyRing, presented_keys,
    },
    serve::{Connections, DEFAULT_CONNECTIONS, Server, serve},
};

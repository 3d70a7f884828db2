//! Records what becomes of each LLM request and of each attempt: spans and metrics.
//!
//! [`RequestLayer`] stands at the top of the stack, [`AttemptLayer`] right below the balancer. Both
//! are *pass-through*. No other layer of the router has metrics in it, so a stack without these two
//! costs nothing and records nothing.
//!
//! ```
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use ziggurat_core::{Deployment, Deployments, Error, LlmRequest, LlmResponse, Routed};
//! use ziggurat_telemetry::{AttemptLayer, RequestLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! // First install a recorder of the `metrics` crate; then say what the metrics mean.
//! ziggurat_telemetry::describe();
//!
//! let deployments: Deployments = [Deployment::new("a", "gpt", "gpt-4o")].into_iter().collect();
//! let balancer = deployments.clone();
//! let service = ServiceBuilder::new()
//!     .layer(RequestLayer::new(deployments))
//!     // The balancer's place:
//!     .map_request(move |request: LlmRequest| {
//!         let snapshot = balancer.load();
//!         let group = snapshot.resolve(request.model()).expect("is served");
//!         Routed::new(request, group.members()[0].clone())
//!     })
//!     .layer(AttemptLayer::new())
//!     .service(service_fn(|_: Routed<LlmRequest>| async {
//!         Ok::<_, Error>(LlmResponse::complete("{}", None))
//!     }));
//!
//! service.oneshot(LlmRequest::chat("gpt", "hi")).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Records
//!
//! A record is written once, at settlement: the end of the answer, its failure (in the middle of a
//! stream too), or the moment when nobody waits for it any more.
//!
//! | metric | labels |
//! | --- | --- |
//! | `litellm_in_flight_requests` | |
//! | `litellm_proxy_total_requests_metric` | `requested_model`, `route`, `status_code` (499: abandoned) |
//! | `litellm_proxy_failed_requests_metric` | `requested_model`, `route`, `exception_status`, `exception_class` |
//! | `litellm_request_total_latency_metric` | `model_group`, `route`; of answers that are complete |
//! | `ziggurat_retries_total`, `ziggurat_fallbacks_total` | `model_group`, `route` |
//! | `ziggurat_rejections_total` | `model_group`, `route`, `reason` |
//! | `litellm_cache_hits_metric`, `litellm_cache_misses_metric`, `litellm_cached_tokens_metric` | `model_group`, `route`; see [`RequestLayer::cache_hit`] |
//! | `litellm_deployment_successful_fallbacks`, `_failed_fallbacks` | `requested_model`, `fallback_model` |
//! | `litellm_deployment_total_requests`, `_success_responses` | the deployment's |
//! | `litellm_deployment_failure_responses` | the deployment's, `exception_status`, `exception_class` |
//! | `ziggurat_deployment_abandoned_responses` | the deployment's |
//! | `ziggurat_deployment_rejections_total` | the deployment's, `reason` |
//! | `litellm_llm_api_latency_metric`, `litellm_deployment_latency_per_output_token` | the deployment's; of answers that are complete |
//! | `litellm_llm_api_time_to_first_token_metric` | the deployment's; of streams |
//! | `litellm_input_tokens_metric`, `litellm_output_tokens_metric` | the deployment's |
//! | `litellm_spend_metric` | the deployment's; in dollars, of every attempt; see [`AttemptLayer::spent`] |
//!
//! | `litellm_overhead_latency_metric` | `model_group`, `route`; of requests whose answer began |
//! | `litellm_request_queue_time_seconds`, `ziggurat_backoff_seconds` | `model_group`, `route`; of requests that waited |
//! | `litellm_remaining_requests_metric`, `litellm_remaining_tokens_metric` | the deployment's; where the provider tells it |
//!
//! What is a state and no event is told by whoever knows it, when somebody asks: see [`state`].
//!
//! The deployment's labels are `model_group`, `litellm_model_name`, `model_id`, `api_base` and
//! `api_provider`. A refusal is no attempt: it is counted among the rejections and nowhere else.
//!
//! # Labels
//!
//! Every label comes from the configuration or from a fixed list. `requested_model` is the group
//! that an asked-for name leads to, by alias or wildcard, and `unknown` if there is none, so no
//! client makes a series. No label holds a credential, or a URL's user or query.
//!
//! # Spans
//!
//! `request`, at `DEBUG`: `group`, `operation`, `outcome`, `reason` (if it was refused), `attempts`,
//! `retries`, `fallbacks`, `queue_ms` (if it waited in a queue), `trail` (each attempt's deployment,
//! outcome and time), `ms`. In it `attempt`, at `DEBUG`:
//! `deployment`, `outcome`, `reason`, `ms`. When one ends an event at `DEBUG` says so.
//!
//! # Cost
//!
//! The handles of the metrics are made at the first request of a group and the first attempt of a
//! deployment, and kept; after that nothing is formatted or looked up in the recorder. So the
//! recorder has to be installed before the first request.

mod attempt;
pub mod future;
mod names;
mod request;
mod series;
pub mod state;

pub use self::{
    attempt::{AttemptLayer, AttemptRecord, AttemptTelemetry},
    names::{BUCKETS, METRICS, Metric, MetricKind, describe},
    request::{RequestLayer, RequestRecord, RequestTelemetry},
};

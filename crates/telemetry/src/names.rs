//! The names of the metrics, and what they mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// What kind of series a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It is what it is at the moment.
    Gauge,
    /// Times, in seconds.
    Histogram,
}

impl MetricKind {
    /// A short name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What kind of series it has.
    pub kind: MetricKind,
    /// What it means.
    pub meaning: &'static str,
}

/// Upper bounds of the buckets for every histogram here, in seconds: those of the reference router's
/// range, from 5 ms to ten minutes.
pub const BUCKETS: [f64; 23] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0,
    60.0, 120.0, 180.0, 240.0, 300.0, 600.0,
];

pub(crate) const IN_FLIGHT: &str = "litellm_in_flight_requests";
pub(crate) const REQUESTS: &str = "litellm_proxy_total_requests_metric";
pub(crate) const FAILED_REQUESTS: &str = "litellm_proxy_failed_requests_metric";
pub(crate) const REQUEST_LATENCY: &str = "litellm_request_total_latency_metric";
pub(crate) const RETRIES: &str = "ziggurat_retries_total";
pub(crate) const FALLBACKS: &str = "ziggurat_fallbacks_total";
pub(crate) const FALLBACKS_SUCCEEDED: &str = "litellm_deployment_successful_fallbacks";
pub(crate) const FALLBACKS_FAILED: &str = "litellm_deployment_failed_fallbacks";
pub(crate) const REJECTIONS: &str = "ziggurat_rejections_total";

pub(crate) const CACHE_HITS: &str = "litellm_cache_hits_metric";
pub(crate) const CACHE_MISSES: &str = "litellm_cache_misses_metric";
pub(crate) const CACHED_TOKENS: &str = "litellm_cached_tokens_metric";

pub(crate) const ATTEMPTS: &str = "litellm_deployment_total_requests";
pub(crate) const SUCCESSES: &str = "litellm_deployment_success_responses";
pub(crate) const FAILURES: &str = "litellm_deployment_failure_responses";
pub(crate) const ABANDONED: &str = "ziggurat_deployment_abandoned_responses";
pub(crate) const DEPLOYMENT_REJECTIONS: &str = "ziggurat_deployment_rejections_total";
pub(crate) const FIRST_TOKEN: &str = "litellm_llm_api_time_to_first_token_metric";
pub(crate) const API_LATENCY: &str = "litellm_llm_api_latency_metric";
pub(crate) const PER_TOKEN: &str = "litellm_deployment_latency_per_output_token";
pub(crate) const INPUT_TOKENS: &str = "litellm_input_tokens_metric";
pub(crate) const OUTPUT_TOKENS: &str = "litellm_output_tokens_metric";
pub(crate) const SPEND: &str = "litellm_spend_metric";

pub(crate) const OVERHEAD: &str = "litellm_overhead_latency_metric";
pub(crate) const QUEUED: &str = "litellm_request_queue_time_seconds";
pub(crate) const PAUSED: &str = "ziggurat_backoff_seconds";
pub(crate) const REMAINING_REQUESTS: &str = "litellm_remaining_requests_metric";
pub(crate) const REMAINING_TOKENS: &str = "litellm_remaining_tokens_metric";
pub(crate) const STATE: &str = "litellm_deployment_state";
pub(crate) const COOLED_DOWN: &str = "litellm_deployment_cooled_down";
pub(crate) const TPM_LIMIT: &str = "litellm_deployment_tpm_limit";
pub(crate) const RPM_LIMIT: &str = "litellm_deployment_rpm_limit";
pub(crate) const DEPLOYMENT_IN_FLIGHT: &str = "ziggurat_deployment_in_flight";
pub(crate) const CONCURRENCY_LIMIT: &str = "ziggurat_deployment_concurrency_limit";
pub(crate) const REMAINING_BUDGET: &str = "litellm_provider_remaining_budget_metric";
pub(crate) const QUEUE_WAITING: &str = "ziggurat_queue_waiting";
pub(crate) const QUEUE_IN_FLIGHT: &str = "ziggurat_queue_in_flight";
pub(crate) const QUEUE_CAPACITY: &str = "ziggurat_queue_capacity";
pub(crate) const QUEUE_CLASS_WAITING: &str = "ziggurat_queue_class_waiting";
pub(crate) const QUEUE_CLASS_WAITS: &str = "ziggurat_queue_class_waits_total";
pub(crate) const QUEUE_CLASS_REFUSED: &str = "ziggurat_queue_class_refused_total";
pub(crate) const ALERTS_DROPPED: &str = "ziggurat_alerts_dropped_total";
pub(crate) const ALERTS_UNDELIVERED: &str = "ziggurat_alerts_undelivered_total";
pub(crate) const BODY_BYTES: &str = "ziggurat_gateway_body_bytes";
pub(crate) const CONNECTIONS: &str = "ziggurat_gateway_connections";
pub(crate) const CONNECTIONS_REFUSED: &str = "ziggurat_gateway_connections_refused_total";

/// Every metric that there may be.
pub const METRICS: [Metric; 46] = [
    metric(
        REQUESTS,
        MetricKind::Counter,
        "Requests that ended, by the status the client saw",
    ),
    metric(
        FAILED_REQUESTS,
        MetricKind::Counter,
        "Requests that failed or were refused, by what the client was told",
    ),
    metric(
        RETRIES,
        MetricKind::Counter,
        "Tries again in the same model group",
    ),
    metric(
        FALLBACKS,
        MetricKind::Counter,
        "Moves to another model group",
    ),
    metric(
        FALLBACKS_SUCCEEDED,
        MetricKind::Counter,
        "Requests answered by another model group than the one asked for",
    ),
    metric(
        FALLBACKS_FAILED,
        MetricKind::Counter,
        "Requests that moved to another model group and failed there too",
    ),
    metric(
        REJECTIONS,
        MetricKind::Counter,
        "Requests refused by a layer of the router, by its reason",
    ),
    metric(
        CACHE_HITS,
        MetricKind::Counter,
        "Requests answered from the cache",
    ),
    metric(
        CACHE_MISSES,
        MetricKind::Counter,
        "Requests that were looked up in the cache, and answered anew",
    ),
    metric(
        CACHED_TOKENS,
        MetricKind::Counter,
        "Tokens of answers from the cache, as they were counted when they were new",
    ),
    metric(
        ATTEMPTS,
        MetricKind::Counter,
        "Attempts that were sent to a deployment and ended",
    ),
    metric(
        SUCCESSES,
        MetricKind::Counter,
        "Attempts whose answer came to its end",
    ),
    metric(
        FAILURES,
        MetricKind::Counter,
        "Attempts that failed, before their answer began or in its middle",
    ),
    metric(
        ABANDONED,
        MetricKind::Counter,
        "Attempts for whose end nobody waited",
    ),
    metric(
        DEPLOYMENT_REJECTIONS,
        MetricKind::Counter,
        "Attempts refused before anything was sent, by the reason",
    ),
    metric(
        INPUT_TOKENS,
        MetricKind::Counter,
        "Input tokens of answers that are complete, as the provider counts them",
    ),
    metric(
        OUTPUT_TOKENS,
        MetricKind::Counter,
        "Output tokens of answers that are complete, as the provider counts them",
    ),
    metric(
        COOLED_DOWN,
        MetricKind::Counter,
        "Rests of a deployment that began, by the failure",
    ),
    metric(
        ALERTS_DROPPED,
        MetricKind::Counter,
        "Alerts that found no room in their queue",
    ),
    metric(
        ALERTS_UNDELIVERED,
        MetricKind::Counter,
        "Alerts that a webhook did not take",
    ),
    metric(
        REQUEST_LATENCY,
        MetricKind::Histogram,
        "From the request to the end of its answer",
    ),
    metric(
        OVERHEAD,
        MetricKind::Histogram,
        "From the request to the beginning of its answer, without the attempts",
    ),
    metric(
        QUEUED,
        MetricKind::Histogram,
        "How long requests waited in the queue, of those that waited",
    ),
    metric(
        PAUSED,
        MetricKind::Histogram,
        "How long requests paused before tries again, of those that paused",
    ),
    metric(
        API_LATENCY,
        MetricKind::Histogram,
        "From the start of an attempt to the end of its answer",
    ),
    metric(
        FIRST_TOKEN,
        MetricKind::Histogram,
        "From the start of an attempt to the first content of its stream",
    ),
    metric(
        PER_TOKEN,
        MetricKind::Histogram,
        "The time of an attempt, divided by its output tokens",
    ),
    metric(
        IN_FLIGHT,
        MetricKind::Gauge,
        "Requests that have not ended yet",
    ),
    metric(
        SPEND,
        MetricKind::Gauge,
        "Dollars that attempts cost, since the start",
    ),
    metric(
        REMAINING_REQUESTS,
        MetricKind::Gauge,
        "Requests that the provider said last are left",
    ),
    metric(
        REMAINING_TOKENS,
        MetricKind::Gauge,
        "Tokens that the provider said last are left",
    ),
    metric(
        STATE,
        MetricKind::Gauge,
        "0: serves; 1: has just failed, or is probed; 2: gets no requests",
    ),
    metric(
        TPM_LIMIT,
        MetricKind::Gauge,
        "Tokens a minute that the deployment is configured for",
    ),
    metric(
        RPM_LIMIT,
        MetricKind::Gauge,
        "Requests a minute that the deployment is configured for",
    ),
    metric(
        DEPLOYMENT_IN_FLIGHT,
        MetricKind::Gauge,
        "Attempts that have not ended yet",
    ),
    metric(
        CONCURRENCY_LIMIT,
        MetricKind::Gauge,
        "Attempts that may be in flight",
    ),
    metric(
        REMAINING_BUDGET,
        MetricKind::Gauge,
        "Dollars that are left of the budget of a provider",
    ),
    metric(
        QUEUE_WAITING,
        MetricKind::Gauge,
        "Requests that wait in the queue",
    ),
    metric(
        QUEUE_IN_FLIGHT,
        MetricKind::Gauge,
        "Requests that the queue has let through and that have not ended yet",
    ),
    metric(
        QUEUE_CAPACITY,
        MetricKind::Gauge,
        "Requests, or tokens, that the queue lets through at a time",
    ),
    metric(
        QUEUE_CLASS_WAITING,
        MetricKind::Gauge,
        "Requests of a class that wait in the queue",
    ),
    metric(
        QUEUE_CLASS_WAITS,
        MetricKind::Counter,
        "Requests of a class that have waited in the queue and got their turn",
    ),
    metric(
        QUEUE_CLASS_REFUSED,
        MetricKind::Counter,
        "Requests of a class that got no turn, by what became of them",
    ),
    metric(
        BODY_BYTES,
        MetricKind::Gauge,
        "Bytes of bodies that are held",
    ),
    metric(
        CONNECTIONS,
        MetricKind::Gauge,
        "Connections of clients that are open",
    ),
    metric(
        CONNECTIONS_REFUSED,
        MetricKind::Counter,
        "Connections of clients that found no place",
    ),
];

const fn metric(name: &'static str, kind: MetricKind, meaning: &'static str) -> Metric {
    Metric {
        name,
        kind,
        meaning,
    }
}

/// Tells the current recorder what each metric means, with its unit. Call it once, after the
/// recorder has been installed.
pub fn describe() {
    for Metric {
        name,
        kind,
        meaning,
    } in METRICS
    {
        match kind {
            MetricKind::Counter => describe_counter!(name, Unit::Count, meaning),
            MetricKind::Gauge => describe_gauge!(name, Unit::Count, meaning),
            MetricKind::Histogram => describe_histogram!(name, Unit::Seconds, meaning),
        }
    }
}

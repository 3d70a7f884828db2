//! The names of the metrics, and what they mean.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

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

/// Tells the current recorder what each metric means, with its unit. Call it once, after the
/// recorder has been installed.
pub fn describe() {
    let counters = [
        (
            REQUESTS,
            "Requests that ended, by the status the client saw",
        ),
        (
            FAILED_REQUESTS,
            "Requests that failed or were refused, by what the client was told",
        ),
        (RETRIES, "Tries again in the same model group"),
        (FALLBACKS, "Moves to another model group"),
        (
            FALLBACKS_SUCCEEDED,
            "Requests answered by another model group than the one asked for",
        ),
        (
            FALLBACKS_FAILED,
            "Requests that moved to another model group and failed there too",
        ),
        (
            REJECTIONS,
            "Requests refused by a layer of the router, by its reason",
        ),
        (
            ATTEMPTS,
            "Attempts that were sent to a deployment and ended",
        ),
        (SUCCESSES, "Attempts whose answer came to its end"),
        (
            FAILURES,
            "Attempts that failed, before their answer began or in its middle",
        ),
        (ABANDONED, "Attempts for whose end nobody waited"),
        (
            DEPLOYMENT_REJECTIONS,
            "Attempts refused before anything was sent, by the reason",
        ),
        (
            INPUT_TOKENS,
            "Input tokens of answers that are complete, as the provider counts them",
        ),
        (
            OUTPUT_TOKENS,
            "Output tokens of answers that are complete, as the provider counts them",
        ),
    ];
    for (name, meaning) in counters {
        describe_counter!(name, Unit::Count, meaning);
    }
    let histograms = [
        (REQUEST_LATENCY, "From the request to the end of its answer"),
        (
            API_LATENCY,
            "From the start of an attempt to the end of its answer",
        ),
        (
            FIRST_TOKEN,
            "From the start of an attempt to the first content of its stream",
        ),
        (
            PER_TOKEN,
            "The time of an attempt, divided by its output tokens",
        ),
    ];
    for (name, meaning) in histograms {
        describe_histogram!(name, Unit::Seconds, meaning);
    }
    describe_gauge!(IN_FLIGHT, Unit::Count, "Requests that have not ended yet");
    // Counters are whole numbers, and dollars are not.
    describe_gauge!(
        SPEND,
        Unit::Count,
        "Dollars that attempts cost, since the start"
    );
}

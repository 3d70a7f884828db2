//! States, and what requests waited for.

use std::time::Duration;

use tokio::time::sleep;
use tower::ServiceExt;
use ziggurat_core::{
    Deployment, ErrorKind, HasLedger, LlmRequest, Money, ProviderLimits, Quota, Routed,
};
use ziggurat_telemetry::{
    METRICS, describe,
    state::{self, DeploymentState},
};

use crate::support::{Recorded, complete, record, stack, straight};

fn deployment() -> Deployment {
    Deployment::new("a", "gpt", "gpt-4o")
        .with_base_url("https://user:secret@a.example/v1?key=secret")
        .with_rpm(60)
        .with_tpm(9_000)
}

fn labels(recorded: &Recorded, name: &str) -> Vec<String> {
    recorded.only(name).labels.keys().cloned().collect()
}

#[test]
fn the_state_of_a_deployment_has_the_references_name_and_labels() {
    for (state, value) in [
        (DeploymentState::Healthy, 0.0),
        (DeploymentState::Partial, 1.0),
        (DeploymentState::Outage, 2.0),
    ] {
        let recorded = record(async move {
            state::deployment(&deployment(), DeploymentState::Outage, 7);
            state::deployment(&deployment(), state, 3);
        });
        let name = "litellm_deployment_state";
        assert_eq!(recorded.only(name).value, value);
        let expected = ["api_base", "api_provider", "litellm_model_name", "model_id"];
        assert_eq!(labels(&recorded, name), expected);
        assert_eq!(recorded.only("ziggurat_deployment_in_flight").value, 3.0);
        let limits = [
            "litellm_deployment_rpm_limit",
            "litellm_deployment_tpm_limit",
        ];
        assert_eq!(
            limits.map(|name| recorded.only(name).value),
            [60.0, 9_000.0]
        );
    }
}

#[test]
fn what_is_gone_is_no_number() {
    let recorded = record(async {
        state::deployment(&deployment(), DeploymentState::Outage, 7);
        state::gone(&deployment());
    });
    assert_eq!(recorded.0.len(), 5);
    assert!(recorded.0.iter().all(|series| series.value.is_nan()));
}

#[test]
fn rests_budgets_queues_and_lost_alerts_are_told_as_they_are() {
    let recorded = record(async {
        for rests in [1, 4] {
            state::cooled_down(&deployment(), ErrorKind::RateLimited, rests);
            state::alerts(rests, 2 * rests);
        }
        state::queue(5, 8, 9);
        state::queue_class("high", 3, 7, &[("shed", 2)]);
        state::provider_budget("openai", Money::from_dollars(2.5).expect("is an amount"));
    });
    let rests = recorded.only("litellm_deployment_cooled_down");
    assert_eq!(
        (rests.value, rests.labels["exception_status"].as_str()),
        (4.0, "429")
    );
    for (name, value) in [
        ("ziggurat_queue_waiting", 5.0),
        ("ziggurat_queue_in_flight", 8.0),
        ("ziggurat_queue_capacity", 9.0),
        ("ziggurat_queue_class_waiting", 3.0),
        ("ziggurat_queue_class_waits_total", 7.0),
        ("ziggurat_queue_class_refused_total", 2.0),
        ("ziggurat_alerts_dropped_total", 4.0),
        ("ziggurat_alerts_undelivered_total", 8.0),
        ("litellm_provider_remaining_budget_metric", 2.5),
    ] {
        assert_eq!(recorded.only(name).value, value, "{name}");
    }
}

#[test]
fn every_state_has_a_description_and_no_secret() {
    let recorded = record(async {
        describe();
        state::deployment(&deployment(), DeploymentState::Healthy, 0);
        state::cooled_down(&deployment(), ErrorKind::RateLimited, 1);
        state::queue(0, 0, 0);
        state::queue_class("all", 0, 0, &[("queue_full", 0)]);
        state::provider_budget("openai", Money::ZERO);
        state::alerts(0, 0);
        state::gateway(0, 0, 0);
    });
    for series in &recorded.0 {
        assert!(series.described, "{}", series.name);
        assert!(METRICS.iter().any(|metric| metric.name == series.name));
        assert!(!format!("{:?}", series.labels).contains("secret"));
    }
}

#[test]
fn overhead_is_the_time_to_the_answer_without_the_attempts() {
    let recorded = record(async {
        let stack = stack(
            |request, attempts| async move {
                sleep(Duration::from_secs(1)).await;
                let ledger = request.ledger().expect("has one").clone();
                ledger.note_queued(Duration::from_millis(400));
                ledger.note_paused(Duration::from_millis(600));
                attempts.to("gpt", request).await
            },
            |_: Routed<LlmRequest>| async {
                sleep(Duration::from_secs(5)).await;
                Ok(complete())
            },
        );
        let request = LlmRequest::chat("gpt", "hi");
        stack.oneshot(request).await.expect("is answered");
    });
    for (name, seconds) in [
        ("litellm_overhead_latency_metric", 1.0),
        ("litellm_request_queue_time_seconds", 0.4),
        ("ziggurat_backoff_seconds", 0.6),
    ] {
        let series = recorded.only(name);
        assert_eq!(series.samples, [seconds], "{name}");
        assert_eq!(series.labels["model_group"], "gpt");
    }
}

#[test]
fn who_did_not_wait_is_not_among_those_who_did() {
    let recorded = record(async {
        let stack = straight(|_| async { Ok(complete()) });
        let request = LlmRequest::chat("gpt", "hi");
        stack.oneshot(request).await.expect("is answered");
    });
    assert_eq!(recorded.sum("litellm_request_queue_time_seconds"), 0.0);
    assert_eq!(recorded.sum("ziggurat_backoff_seconds"), 0.0);
}

#[test]
fn what_a_provider_says_is_left_is_told_and_nothing_else() {
    let recorded = record(async {
        let stack = straight(|_| async {
            let requests = Quota {
                limit: 100,
                remaining: 42,
                resets_at: None,
            };
            Ok(complete().with_provider_limits(ProviderLimits {
                requests: Some(requests),
                tokens: None,
            }))
        });
        let request = LlmRequest::chat("gpt", "hi");
        stack.oneshot(request).await.expect("is answered");
    });
    let left = recorded.only("litellm_remaining_requests_metric");
    assert_eq!((left.value, left.labels["model_id"].as_str()), (42.0, "a"));
    assert_eq!(recorded.sum("litellm_remaining_tokens_metric"), 0.0);
}

//! What both layers record, with a recorder of the `metrics` crate for each test and paused time.

mod spans;
mod states;
mod support;

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::time::sleep;
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{
    Clock, Deployment, Error, ErrorKind, HasLedger, Item, LlmRequest, Money, Reason, Rejection,
    Routed, Scope, Secret, Usage,
};
use ziggurat_telemetry::{AttemptLayer, BUCKETS, describe};

use self::support::{complete, read, record, stack, straight, streamed};

const REQUESTS: &str = "litellm_proxy_total_requests_metric";
const ATTEMPTS: &str = "litellm_deployment_total_requests";
const SUCCESSES: &str = "litellm_deployment_success_responses";
const FAILURES: &str = "litellm_deployment_failure_responses";
const ABANDONED: &str = "ziggurat_deployment_abandoned_responses";
const FIRST_TOKEN: &str = "litellm_llm_api_time_to_first_token_metric";
const API_LATENCY: &str = "litellm_llm_api_latency_metric";
const REQUEST_LATENCY: &str = "litellm_request_total_latency_metric";

#[test]
fn ten_thousand_model_names_make_no_more_series_than_one() {
    let ask = |names: usize| {
        record(async move {
            let stack = stack(
                |_, _| async { Err(Error::new(ErrorKind::NotFound, "no such model")) },
                |_| async { Ok(complete()) },
            );
            for i in 0..names {
                for name in [format!("gpt-{i}"), format!("any/{i}"), "gpt".to_owned()] {
                    let _ = stack.clone().oneshot(LlmRequest::chat(&name, "hi")).await;
                }
            }
        })
    };
    let (one, many) = (ask(1), ask(10_000));
    assert_eq!(many.0.len(), one.0.len());
    assert_eq!(many.sum(REQUESTS), 30_000.0);
    let unknown = many.0.iter().filter(|s| {
        s.labels
            .get("requested_model")
            .is_some_and(|m| m == "unknown")
    });
    assert_eq!(
        unknown
            .filter(|s| s.name == REQUESTS)
            .map(|s| s.value)
            .sum::<f64>(),
        10_000.0
    );
}

#[test]
fn a_complete_answer_is_one_record_with_its_labels_times_and_tokens() {
    let recorded = record(async {
        let stack = straight(|_| async {
            sleep(Duration::from_secs(2)).await;
            Ok(complete())
        });
        let request = LlmRequest::chat("gpt", "hi");
        stack.oneshot(request).await.expect("is answered");
    });
    let request = recorded.only(REQUESTS);
    assert_eq!(request.value, 1.0);
    assert_eq!(request.labels["requested_model"], "gpt");
    assert_eq!(request.labels["route"], "chat_completions");
    assert_eq!(request.labels["status_code"], "200");
    let attempt = recorded.only(SUCCESSES);
    assert_eq!(attempt.value, 1.0);
    let labels: Vec<_> = attempt
        .labels
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        labels,
        [
            ("api_base", "https://a.example/v1"),
            ("api_provider", "openai"),
            ("litellm_model_name", "gpt-4o"),
            ("model_group", "gpt"),
            ("model_id", "a"),
        ]
    );
    assert_eq!(recorded.sum(ATTEMPTS), 1.0);
    assert_eq!(recorded.only(REQUEST_LATENCY).samples, [2.0]);
    assert_eq!(recorded.only(API_LATENCY).samples, [2.0]);
    assert_eq!(
        recorded
            .only("litellm_deployment_latency_per_output_token")
            .samples,
        [0.5]
    );
    assert_eq!(recorded.sum("litellm_input_tokens_metric"), 7.0);
    assert_eq!(recorded.sum("litellm_output_tokens_metric"), 4.0);
    assert_eq!(recorded.sum("litellm_in_flight_requests"), 0.0);
    assert_eq!(recorded.sum(FIRST_TOKEN), 0.0, "it is no stream");
}

#[test]
fn a_stream_has_its_first_token_at_its_head_and_its_latency_at_its_end() {
    let recorded = record(async {
        let stack = straight(|_| async {
            sleep(Duration::from_secs(1)).await;
            let usage = Item {
                usage: Some(Usage::new(5, 2)),
                ..Item::default()
            };
            Ok(streamed([Ok(Item::default()), Ok(usage)]))
        });
        let response = stack
            .oneshot(LlmRequest::chat("gpt", "hi"))
            .await
            .expect("is answered");
        sleep(Duration::from_secs(3)).await;
        assert_eq!(read(response).await.len(), 2);
    });
    assert_eq!(recorded.only(FIRST_TOKEN).samples, [1.0]);
    assert_eq!(recorded.only(API_LATENCY).samples, [4.0]);
    assert_eq!(recorded.only(REQUEST_LATENCY).samples, [4.0]);
    assert_eq!(recorded.sum("litellm_output_tokens_metric"), 2.0);
}

#[test]
fn a_stream_is_in_flight_to_its_end() {
    let recorded = record(async {
        let stack = straight(|_| async { Ok(streamed([])) });
        let response = stack
            .oneshot(LlmRequest::chat("gpt", "hi"))
            .await
            .expect("is answered");
        Box::leak(Box::new(response));
    });
    assert_eq!(recorded.sum("litellm_in_flight_requests"), 1.0);
    assert_eq!(recorded.sum(REQUESTS), 0.0, "it has not ended");
}

#[test]
fn a_failure_is_one_record() {
    let recorded = record(async {
        let stack = straight(|_| async { Err(Error::new(ErrorKind::Overloaded, "busy")) });
        let answer = stack.oneshot(LlmRequest::chat("gpt", "hi")).await;
        assert!(answer.is_err());
    });
    let failure = recorded.only(FAILURES);
    assert_eq!(failure.value, 1.0);
    assert_eq!(failure.labels["exception_class"], "overloaded");
    assert_eq!(failure.labels["exception_status"], "503");
    assert_eq!(recorded.sum(ATTEMPTS), 1.0);
    assert_eq!(recorded.sum(SUCCESSES) + recorded.sum(ABANDONED), 0.0);
    assert_eq!(recorded.sum("litellm_proxy_failed_requests_metric"), 1.0);
    assert_eq!(recorded.sum(REQUESTS), 1.0);
    assert_eq!(
        recorded.sum(API_LATENCY) + recorded.sum(REQUEST_LATENCY),
        0.0,
        "a failure says nothing of how fast answers are"
    );
}

#[test]
fn a_retried_request_is_one_record_and_each_attempt_is_another() {
    let recorded = record(async {
        let stack = stack(
            |request, attempts| async move {
                let first = attempts.clone().to("gpt", request.clone()).await;
                assert!(first.is_err());
                request.ledger().expect("has one").note_retry();
                attempts.to("gpt", request).await
            },
            |routed: Routed<LlmRequest>| async move {
                let ledger = routed.ledger().expect("has one");
                if ledger.retries() == 0 {
                    return Err(Error::timeout(Clock::FirstToken));
                }
                Ok(complete())
            },
        );
        stack
            .oneshot(LlmRequest::chat("gpt", "hi"))
            .await
            .expect("is answered");
    });
    assert_eq!(recorded.sum(REQUESTS), 1.0);
    assert_eq!(recorded.sum("ziggurat_retries_total"), 1.0);
    assert_eq!(recorded.sum("ziggurat_fallbacks_total"), 0.0);
    assert_eq!(recorded.sum(ATTEMPTS), 2.0);
    assert_eq!(
        (recorded.sum(FAILURES), recorded.sum(SUCCESSES)),
        (1.0, 1.0)
    );
}

#[test]
fn a_fallback_is_counted_with_where_it_went_and_how_it_ended() {
    for succeeds in [true, false] {
        let recorded = record(async {
            let stack = stack(
                |request, attempts| async move {
                    let _ = attempts.clone().to("gpt", request.clone()).await;
                    request.ledger().expect("has one").note_fallback();
                    attempts.to("claude", request).await
                },
                move |routed: Routed<LlmRequest>| async move {
                    if succeeds && routed.deployment().group() == "claude" {
                        return Ok(complete());
                    }
                    Err(Error::new(ErrorKind::Unavailable, "down"))
                },
            );
            let answer = stack.oneshot(LlmRequest::chat("gpt", "hi")).await;
            assert_eq!(answer.is_ok(), succeeds);
        });
        let (this, other) = (
            "litellm_deployment_successful_fallbacks",
            "litellm_deployment_failed_fallbacks",
        );
        let (this, other) = if succeeds {
            (this, other)
        } else {
            (other, this)
        };
        let fallback = recorded.only(this);
        assert_eq!(fallback.value, 1.0);
        assert_eq!(fallback.labels["requested_model"], "gpt");
        assert_eq!(fallback.labels["fallback_model"], "claude");
        assert_eq!(recorded.sum(other), 0.0);
        assert_eq!(recorded.sum("ziggurat_fallbacks_total"), 1.0);
    }
}

#[test]
fn a_fallback_that_nothing_was_sent_to_is_none_to_the_group_itself() {
    let recorded = record(async {
        let stack = stack(
            |request, attempts| async move {
                request.ledger().expect("has one").note_fallback();
                attempts.to("gpt", request).await
            },
            |_| async { Err(Error::new(ErrorKind::Unavailable, "down")) },
        );
        let answer = stack.oneshot(LlmRequest::chat("gpt", "hi")).await;
        assert!(answer.is_err());
    });
    assert_eq!(recorded.sum("ziggurat_fallbacks_total"), 1.0);
    assert_eq!(recorded.sum("litellm_deployment_failed_fallbacks"), 0.0);
}

#[test]
fn a_stream_that_breaks_is_one_failure_and_no_success() {
    let recorded = record(async {
        let stack = straight(|_| async {
            let broken = Error::new(ErrorKind::StreamBroken, "broke off");
            Ok(streamed([Ok(Item::default()), Err(broken)]))
        });
        let response = stack
            .oneshot(LlmRequest::chat("gpt", "hi"))
            .await
            .expect("is answered");
        read(response).await;
    });
    assert_eq!(
        recorded.only(FAILURES).labels["exception_class"],
        "stream_broken"
    );
    assert_eq!((recorded.sum(FAILURES), recorded.sum(ATTEMPTS)), (1.0, 1.0));
    assert_eq!(recorded.only(REQUESTS).labels["status_code"], "502");
    assert_eq!(recorded.only(REQUESTS).value, 1.0);
}

#[test]
fn a_stream_that_nobody_reads_to_its_end_is_one_abandoned_record() {
    let recorded = record(async {
        let stack =
            straight(|_| async { Ok(streamed([Ok(Item::default()), Ok(Item::default())])) });
        let response = stack
            .oneshot(LlmRequest::chat("gpt", "hi"))
            .await
            .expect("is answered");
        let (_, mut items) = response.into_parts();
        items.next().await;
        drop(items);
    });
    assert_abandoned_once(&recorded);
}

#[test]
fn a_call_that_is_dropped_is_one_abandoned_record() {
    let recorded = record(async {
        let stack = straight(|_| async { std::future::pending().await });
        let call = stack.oneshot(LlmRequest::chat("gpt", "hi"));
        tokio::time::timeout(Duration::from_secs(1), call)
            .await
            .expect_err("hangs");
    });
    assert_abandoned_once(&recorded);
}

fn assert_abandoned_once(recorded: &support::Recorded) {
    assert_eq!(recorded.sum(ABANDONED), 1.0);
    assert_eq!(recorded.sum(ATTEMPTS), 1.0);
    assert_eq!(recorded.sum(SUCCESSES) + recorded.sum(FAILURES), 0.0);
    assert_eq!(recorded.only(REQUESTS).labels["status_code"], "499");
    assert_eq!(recorded.only(REQUESTS).value, 1.0);
    assert_eq!(recorded.sum("litellm_proxy_failed_requests_metric"), 0.0);
    assert_eq!(recorded.sum("litellm_in_flight_requests"), 0.0);
}

#[test]
fn a_refusal_is_counted_by_its_reason_and_is_no_attempt() {
    let recorded = record(async {
        let stack = straight(|_| async {
            let rejection = Rejection::new(Reason::Cooldown, Scope::Deployment);
            Err(Error::rejected(rejection, "rests"))
        });
        let answer = stack.oneshot(LlmRequest::chat("gpt", "hi")).await;
        assert!(answer.is_err());
    });
    let refused = recorded.only("ziggurat_deployment_rejections_total");
    assert_eq!(
        (refused.value, refused.labels["reason"].as_str()),
        (1.0, "cooldown")
    );
    assert_eq!(refused.labels["model_id"], "a");
    assert_eq!(recorded.sum(ATTEMPTS) + recorded.sum(FAILURES), 0.0);
    let request = recorded.only("ziggurat_rejections_total");
    assert_eq!(
        (request.value, request.labels["reason"].as_str()),
        (1.0, "cooldown")
    );
    assert_eq!(recorded.only(REQUESTS).labels["status_code"], "503");
}

#[test]
fn no_secret_is_in_a_label() {
    let recorded = record(async {
        let deployment = Deployment::new("a", "gpt", "m")
            .with_base_url("https://secret:secret@a.example/v1?api-key=secret#secret")
            .with_credential(Secret::new("secret"))
            .with_header("x-key", "secret");
        let leaf = service_fn(|_: Routed<LlmRequest>| async {
            let error =
                Error::new(ErrorKind::Authentication, "secret is wrong").with_code("secret");
            Err::<&str, _>(error.with_type("secret"))
        });
        let request = Routed::new(LlmRequest::chat("secret", "secret"), deployment.into());
        let answer = AttemptLayer::new().layer(leaf).oneshot(request).await;
        assert!(answer.is_err());
        let above = straight(|_| async { Ok(complete()) });
        let refused = LlmRequest::chat("gpt", "secret");
        above.oneshot(refused).await.expect("is answered");
    });
    assert_eq!(recorded.sum(FAILURES), 1.0);
    for series in &recorded.0 {
        for (name, value) in &series.labels {
            assert!(!value.contains("secret"), "{}: {name}={value}", series.name);
        }
    }
}

#[test]
fn a_deployment_that_a_reload_describes_anew_gets_its_new_labels() {
    let recorded = record(async {
        let layer = AttemptLayer::new();
        let leaf = service_fn(|_: Routed<&'static str>| async { Ok::<_, Error>("answer") });
        for model in ["old", "new", "new"] {
            let request = Routed::new("hi", Deployment::new("a", "gpt", model).into());
            layer
                .layer(leaf)
                .oneshot(request)
                .await
                .expect("is answered");
        }
    });
    let counts = recorded.0.iter().filter(|series| series.name == SUCCESSES);
    let mut counts: Vec<_> = counts
        .map(|series| (series.labels["litellm_model_name"].as_str(), series.value))
        .collect();
    counts.sort_by_key(|(model, _)| *model);
    assert_eq!(counts, [("new", 2.0), ("old", 1.0)]);
}

#[test]
fn what_attempts_cost_adds_up_for_what_is_configured() {
    let recorded = record(async {
        let layer = AttemptLayer::new();
        let wild = Arc::new(Deployment::new("wild", "g", "*"));
        let made = Arc::new(wild.for_model("gpt-4o"));
        for (deployment, dollars) in [(&wild, 0.25), (&made, 0.5), (&made, 0.0)] {
            let cost = Money::from_dollars(dollars).expect("is an amount");
            layer.spent(deployment, cost);
        }
    });
    let spend = recorded.only("litellm_spend_metric");
    assert_eq!(
        (spend.labels["model_id"].as_str(), spend.value),
        ("wild", 0.75)
    );
}

#[test]
fn every_metric_has_a_description_and_a_unit() {
    let recorded = record(async {
        describe();
        let stack = stack(
            |request, attempts| async move {
                let _ = attempts.clone().to("gpt", request.clone()).await;
                request.ledger().expect("has one").note_fallback();
                attempts.to("claude", request).await
            },
            |routed: Routed<LlmRequest>| async move {
                if routed.request().group().as_str() == "refused" {
                    let rejection = Rejection::new(Reason::Busy, Scope::Request);
                    return Err(Error::rejected(rejection, "busy"));
                }
                match routed.deployment().group() {
                    "gpt" => Err(Error::new(ErrorKind::Internal, "down")),
                    _ => Ok(complete()),
                }
            },
        );
        for group in ["gpt", "refused"] {
            let _ = stack.clone().oneshot(LlmRequest::chat(group, "hi")).await;
        }
    });
    assert!(recorded.0.len() > 20, "most of them were recorded");
    for series in &recorded.0 {
        assert!(series.described, "{} is not described", series.name);
    }
}

#[test]
fn the_buckets_rise_from_five_milliseconds_to_ten_minutes() {
    assert!(BUCKETS.is_sorted_by(|a, b| a < b));
    assert_eq!((BUCKETS[0], BUCKETS[BUCKETS.len() - 1]), (0.005, 600.0));
}

//! Who is told when something is wrong.

use serde_json::json;
use ziggurat_config::{Plan, WebhookFormat, WebhookSettings};

const SLACK: &str = "https://hooks.slack.com/secret";
const OTHER: &str = "https://other.example.com/secret";

fn environment(name: &str) -> Option<String> {
    match name {
        "SLACK_WEBHOOK_URL" => Some(SLACK.to_owned()),
        "WEBHOOK_URL" => Some(OTHER.to_owned()),
        _ => None,
    }
}

fn plan(text: &str) -> Plan {
    match Plan::parse(text, "config.yaml", environment) {
        Ok(plan) => plan,
        Err(problems) => panic!("{problems}"),
    }
}

/// The address, the shape and the events of each webhook.
fn told(plan: &Plan) -> Vec<(&str, WebhookFormat, Option<String>)> {
    let told = |webhook: &WebhookSettings| webhook.events.as_ref().map(|it| it.join(" "));
    let webhooks = plan.alerts.webhooks.iter();
    webhooks
        .map(|webhook| (webhook.url.expose(), webhook.format, told(webhook)))
        .collect()
}

/// What is wrong besides that there is no model.
fn warnings(plan: &Plan) -> Vec<&str> {
    let warnings = plan.warnings().iter().map(|it| it.message());
    warnings.filter(|it| !it.contains("model_list")).collect()
}

fn problems(text: &str) -> String {
    Plan::parse(text, "config.yaml", |_| None)
        .expect_err("is refused")
        .to_string()
}

#[test]
fn litellms_ways_lead_to_the_addresses_of_the_environment() {
    let plan = plan("general_settings: {alerting: [slack, webhook], alerting_threshold: 7}");
    let expected = [
        (SLACK, WebhookFormat::Slack, None),
        (OTHER, WebhookFormat::Json, None),
    ];
    assert_eq!(told(&plan), expected);
    assert_eq!(plan.alerts.threshold.map(|it| it.as_secs()), Some(7));
}

#[test]
fn litellms_types_are_ours_and_some_go_to_an_address_of_their_own() {
    let plan = plan(
        "general_settings:
           alerting: [slack]
           alert_types: [llm_too_slow, outage_alerts, budget_alerts]
           alert_to_webhook_url: {outage_alerts: [http://a, http://b]}",
    );
    let outages = Some("outage_minor outage_major".to_owned());
    let rest = Some("slow_response budget_near budget_crossed".to_owned());
    let expected = [
        ("http://a", WebhookFormat::Slack, outages.clone()),
        ("http://b", WebhookFormat::Slack, outages),
        (SLACK, WebhookFormat::Slack, rest),
    ];
    assert_eq!(told(&plan), expected);
}

#[test]
fn the_router_may_name_a_webhook_and_we_have_our_own() {
    let plan = plan(
        "router_settings: {alerting_config: {webhook_url: http://a, alerting_threshold: 9}}
ziggurat_settings:
  alerts: {webhooks: [{url: http://b, events: [group_out]}, {url: http://c, format: slack}], threshold: 8}",
    );
    let expected = [
        ("http://a", WebhookFormat::Slack, None),
        (
            "http://b",
            WebhookFormat::Json,
            Some("group_out".to_owned()),
        ),
        ("http://c", WebhookFormat::Slack, None),
    ];
    assert_eq!(told(&plan), expected);
    assert_eq!(plan.alerts.threshold.map(|it| it.as_secs()), Some(8));
    let [warning] = &warnings(&plan)[..] else {
        panic!("{:?}", plan.warnings());
    };
    let expected = "`alerting_config.alerting_threshold` has no effect";
    assert!(warning.starts_with(expected), "{warning}");
}

#[test]
fn what_cannot_be_told_is_an_error() {
    for (text, expected) in [
        (
            "general_settings:\n  alerting: [slack]",
            "error: alerting: `slack` needs the variable SLACK_WEBHOOK_URL",
        ),
        (
            "general_settings:\n  alerting: [slak]",
            "error: alerting: unknown `slak`; use slack or webhook",
        ),
        (
            "general_settings:\n  alert_types: [outage_alert]",
            "error: alert_types: unknown `outage_alert`; did you mean `outage_alerts`?",
        ),
        (
            "ziggurat_settings:\n  alerts:\n    webhooks: [{format: json}]",
            "error: an entry of `webhooks` needs a `url`",
        ),
        (
            "ziggurat_settings:\n  alerts:\n    webhooks: [{url: 'ftp://secret'}]",
            "error: `webhooks.url`: must be the address of an http or https server",
        ),
    ] {
        let problems = problems(text);
        assert!(problems.contains(expected), "{problems}");
        assert!(!problems.contains("secret"), "{problems}");
    }
}

#[test]
fn more_webhooks_than_anybody_has_are_an_error() {
    let webhooks = "{url: http://a}, ".repeat(17);
    let text = format!("ziggurat_settings: {{alerts: {{webhooks: [{webhooks}]}}}}");
    assert!(problems(&text).contains("more than 16 webhooks"));
}

#[test]
fn what_we_have_nothing_for_is_a_warning() {
    let plan = plan("general_settings: {alerting: [email], alert_types: [daily_reports]}");
    let expected = [
        "alerting: `email` is known to LiteLLM, not acted on yet",
        "alert_types: `daily_reports` is known to LiteLLM, not acted on yet",
    ];
    assert_eq!(warnings(&plan), expected);
}

#[test]
fn no_address_is_told_and_alerts_outlive_a_change_of_settings() {
    let plan = plan("general_settings: {alerting: [slack, webhook]}");
    let updates = json!({"num_retries": 1});
    let changed = plan.with_settings(updates.as_object().expect("is an object"));
    let changed = changed.expect("is valid");
    assert_eq!(changed.alerts, plan.alerts);
    for plan in [&plan, &changed] {
        let told = format!("{:?} {}", plan.alerts, plan.explanation());
        assert!(told.contains("slack: all events"), "{told}");
        assert!(!told.contains("secret"), "{told}");
    }
}

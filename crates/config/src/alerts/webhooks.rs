//! The webhooks of a file.

use std::sync::Arc;

use http::Uri;
use ziggurat_core::Secret;

use super::{ALERT_EVENTS, WebhookFormat, WebhookSettings};
use crate::{
    environment::Environment,
    keys,
    problem::Report,
    read::{self, Found, Section},
    source::Facts,
    tables::WEBHOOK,
    yaml::{Node, Pos, Value},
};

/// More webhooks than anybody has.
const MAX_WEBHOOKS: usize = 16;

/// The names that LiteLLM has, and what they stand for here; nothing for what there is not.
const LITELLM_TYPES: [(&str, &[&str]); 24] = [
    ("budget_alerts", &["budget_near", "budget_crossed"]),
    (
        "cooldown_deployment",
        &[
            "deployment_out",
            "deployment_back",
            "group_out",
            "group_back",
            "cooldown_storm",
        ],
    ),
    ("db_exceptions", &["store_lost", "store_back"]),
    ("llm_requests_hanging", &["hanging_request"]),
    ("llm_too_slow", &["slow_response"]),
    ("outage_alerts", &["outage_minor", "outage_major"]),
    ("daily_reports", &[]),
    ("failed_tracking_spend", &[]),
    ("fallback_reports", &[]),
    ("internal_user_created", &[]),
    ("internal_user_deleted", &[]),
    ("internal_user_updated", &[]),
    ("llm_exceptions", &[]),
    ("new_internal_user_created", &[]),
    ("new_model_added", &[]),
    ("new_team_created", &[]),
    ("new_virtual_key_created", &[]),
    ("region_outage_alerts", &[]),
    ("spend_reports", &[]),
    ("team_deleted", &[]),
    ("team_updated", &[]),
    ("virtual_key_deleted", &[]),
    ("virtual_key_updated", &[]),
    ("weekly_reports", &[]),
];

const FORMATS: [(&str, WebhookFormat); 2] = [
    ("slack", WebhookFormat::Slack),
    ("json", WebhookFormat::Json),
];

/// The webhooks while they are read.
#[derive(Default)]
pub(super) struct Webhooks(Vec<Found<WebhookSettings>>);

impl Webhooks {
    pub(super) fn add(
        &mut self,
        url: Found<Secret>,
        format: WebhookFormat,
        events: Option<Vec<Arc<str>>>,
        report: &mut Report,
    ) {
        if let Err(message) = check(url.value.expose()) {
            let path = &url.path;
            return report.error(url.at, format!("`{path}`: {message}"));
        }
        self.0.push(url.map(|url| WebhookSettings {
            url,
            format,
            events,
        }));
    }

    /// What `alerting` names, with the addresses that the environment has for it.
    pub(super) fn of_litellm(
        &mut self,
        general: &Section<'_>,
        environment: &Environment<'_>,
        report: &mut Report,
    ) {
        let key = "alerting";
        let wanted = general.one_or_more(key, report);
        let types = general.field("alert_types").and_then(|field| {
            let nodes = read::list(field.node, "alert_types", report)?;
            Some(events(nodes, "alert_types", report))
        });
        let mut own_url: Vec<Arc<str>> = Vec::new();
        let has_slack = wanted.iter().any(|found| *found.value == *"slack");
        if let Some(field) = general.field("alert_to_webhook_url") {
            let by_type = by_type(field.node, report);
            if !has_slack {
                let message = "`alert_to_webhook_url` has no effect without `alerting: [slack]`";
                report.warning(field.node.at, message);
            }
            for (events, urls) in by_type.into_iter().filter(|_| has_slack) {
                for url in urls {
                    let url = url.map(Secret::new);
                    self.add(url, WebhookFormat::Slack, Some(events.clone()), report);
                }
                own_url.extend(events);
            }
        }
        for found in wanted {
            let (variable, format) = match &*found.value {
                "slack" => ("SLACK_WEBHOOK_URL", WebhookFormat::Slack),
                "webhook" => ("WEBHOOK_URL", WebhookFormat::Json),
                "email" | "pagerduty" => {
                    let told = read::name(&found.value);
                    let message = format!("{key}: {told} is known to LiteLLM, not acted on yet");
                    report.warning(found.at, message);
                    continue;
                }
                _ => {
                    let told = read::name(&found.value);
                    let message = format!("{key}: unknown {told}; use slack or webhook");
                    report.error(found.at, message);
                    continue;
                }
            };
            // What has an address of its own does not go to the common one.
            let is_common =
                |event: &&Arc<str>| format != WebhookFormat::Slack || !own_url.contains(event);
            let all = || ALERT_EVENTS.iter().map(|event| Arc::from(*event)).collect();
            let wants: Option<Vec<Arc<str>>> = match (&types, own_url.is_empty()) {
                (None, true) => None,
                (types, _) => {
                    let types = types.clone().unwrap_or_else(all);
                    Some(types.iter().filter(is_common).cloned().collect())
                }
            };
            match environment.found(&[variable]) {
                Some(url) => self.add(url.map(Secret::new), format, wants, report),
                None if format == WebhookFormat::Slack && !own_url.is_empty() => {}
                None => {
                    let told = read::name(&found.value);
                    let message = format!("{key}: {told} needs the variable {variable}");
                    report.error(found.at, message);
                }
            }
        }
    }

    /// `ziggurat_settings.alerts.webhooks`.
    pub(super) fn of_ours(&mut self, own: &Section<'_>, report: &mut Report) {
        for (node, section) in own.each("webhooks", &WEBHOOK, report) {
            let format = section.choice("format", &FORMATS, report);
            let format = format.map_or(WebhookFormat::Json, |found| found.value);
            let events = section.field("events").and_then(|field| {
                let nodes = read::list(field.node, "events", report)?;
                Some(self::events(nodes, "events", report))
            });
            match section.secret("url", report) {
                Some(url) => self.add(url, format, events, report),
                None if section.field("url").is_none() => {
                    report.error(node.at, "an entry of `webhooks` needs a `url`");
                }
                None => {}
            }
        }
    }

    pub(super) fn settle(self, facts: &mut Facts, report: &mut Report) -> Vec<WebhookSettings> {
        if let Some(more) = self.0.get(MAX_WEBHOOKS) {
            report.error(more.at, format!("more than {MAX_WEBHOOKS} webhooks"));
        }
        let mut settled = Vec::new();
        for (number, found) in (1..).zip(self.0) {
            let format = FORMATS.iter().find(|(_, it)| *it == found.value.format);
            let format = format.map_or("", |(name, _)| name);
            let what = match &found.value.events {
                None => "all events".to_owned(),
                Some(events) => events.join(", "),
            };
            let told = format!("{format}: {what}");
            facts.note(&format!("alerts.webhook {number}"), &told, found.source);
            settled.push(found.value);
        }
        settled
    }
}

/// The address is not told: it is a secret.
fn check(url: &str) -> Result<(), &'static str> {
    let wanted = "must be the address of an http or https server";
    let uri: Uri = url.parse().map_err(|_| wanted)?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    (is_http && has_host).then_some(()).ok_or(wanted)
}

/// The events that a list names, by our names and by those of LiteLLM.
fn events(nodes: &[Node], key: &'static str, report: &mut Report) -> Vec<Arc<str>> {
    let mut events = Vec::new();
    for node in nodes {
        if let Some(found) = read::text(node, key, report) {
            add_events(&found.value, found.at, key, &mut events, report);
        }
    }
    events
}

fn add_events(name: &str, at: Pos, key: &str, events: &mut Vec<Arc<str>>, report: &mut Report) {
    let of_litellm = LITELLM_TYPES.iter().find(|(known, _)| *known == name);
    let own = ALERT_EVENTS.iter().find(|known| **known == name);
    let told = read::name(name);
    let names = match (own, of_litellm) {
        (Some(own), _) => std::slice::from_ref(own),
        (None, Some((_, []))) => {
            let message = format!("{key}: {told} is known to LiteLLM, not acted on yet");
            return report.warning(at, message);
        }
        (None, Some((_, events))) => *events,
        (None, None) => {
            let all = ALERT_EVENTS.iter().copied();
            let all = all.chain(LITELLM_TYPES.iter().map(|(name, _)| *name));
            let message = match keys::near(name, all) {
                Some(near) => format!("{key}: unknown {told}; did you mean `{near}`?"),
                None => format!("{key}: unknown {told}"),
            };
            return report.error(at, message);
        }
    };
    for name in names {
        if !events.iter().any(|event| **event == **name) {
            events.push(Arc::from(*name));
        }
    }
}

/// `alert_to_webhook_url`: types with an address of their own, or several.
fn by_type(node: &Node, report: &mut Report) -> Vec<(Vec<Arc<str>>, Vec<Found<Arc<str>>>)> {
    const KEY: &str = "alert_to_webhook_url";
    let mut all = Vec::new();
    for (name, node) in read::map(node, KEY, report).unwrap_or_default() {
        let mut events = Vec::new();
        add_events(&name.text, name.at, KEY, &mut events, report);
        let nodes = match &node.value {
            Value::List(nodes) => nodes.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let urls = nodes.iter().filter_map(|node| {
            let mut found = read::text(node, KEY, report)?;
            found.path = KEY.to_owned();
            Some(found)
        });
        let urls = urls.collect();
        all.push((events, urls));
    }
    all.retain(|(events, _): &(Vec<_>, Vec<_>)| !events.is_empty());
    all
}

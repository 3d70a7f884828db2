//! What is said.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    Event, Format, Kind, Severity,
    gate::{Counts, Notice},
};

/// Names that are longer are cut: they come from a configuration, and a message is to be read.
const MAX_NAME: usize = 128;

/// The body of a message.
pub(crate) fn body(notice: &Notice, format: Format) -> Bytes {
    let body = match format {
        Format::Slack => json!({"text": escape(&line(notice))}),
        Format::Json => object(notice),
    };
    body.to_string().into()
}

fn severity(notice: &Notice) -> Severity {
    match notice {
        Notice::One { event, .. } => event.kind().severity(),
        Notice::Summary(counts) => {
            let worst = counts.iter().map(|(kind, _)| kind.severity()).max();
            worst.unwrap_or(Severity::Info)
        }
    }
}

/// One line for people.
fn line(notice: &Notice) -> String {
    let severity = severity(notice).as_str();
    let text = text(notice);
    match notice {
        Notice::One { event, .. } => {
            let since = timestamp(event);
            format!("[{severity}] ziggurat: {text} ({since})")
        }
        Notice::Summary(_) => format!("[{severity}] ziggurat: {text}"),
    }
}

fn text(notice: &Notice) -> String {
    match notice {
        Notice::Summary(counts) => summary(counts),
        Notice::One { event, times } => {
            let mut text = what(event);
            if *times > 1 {
                let _ = write!(text, "; again, {times} times");
            }
            text
        }
    }
}

fn summary(counts: &Counts) -> String {
    let mut text = format!("{} more events:", counts.total());
    for (at, (kind, count)) in counts.iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(text, "{comma} {} {count}", kind.as_str());
    }
    text
}

fn what(event: &Event) -> String {
    let who = match event.deployment() {
        Some(deployment) => {
            let (id, group) = (name(deployment.id().as_str()), name(deployment.group()));
            format!("deployment `{id}` of group `{group}`")
        }
        None => String::new(),
    };
    let group = || name(event.group().unwrap_or_default());
    let (budget, store) = (
        name(event.budget().unwrap_or_default()),
        name(event.store().unwrap_or_default()),
    );
    let because = event
        .reason()
        .map(|it| format!(": {it}"))
        .unwrap_or_default();
    let after = event.time().map(|it| format!(" after {}", seconds(it)));
    let after = after.unwrap_or_default();
    let time = seconds(event.time().unwrap_or_default());
    let count = event.count().unwrap_or_default();
    let amounts = match event.amounts() {
        Some((spent, limit)) => format!("{spent} of {limit} dollars"),
        None => String::new(),
    };
    match event.kind() {
        Kind::DeploymentOut => format!("{who} is out{because}"),
        Kind::DeploymentBack => format!("{who} is back{after}"),
        Kind::GroupOut => format!("group `{}` is out: no deployment of it serves", group()),
        Kind::GroupBack => format!("group `{}` is back{after}", group()),
        Kind::CooldownStorm => format!("{count} deployments went out within a minute"),
        Kind::OutageMinor | Kind::OutageMajor => {
            let level = match event.kind() {
                Kind::OutageMajor => "major",
                _ => "minor",
            };
            format!("{level} outage of {who}: {count} errors lately, the last one{because}")
        }
        Kind::BudgetNear => format!("budget `{budget}` is nearly spent: {amounts}"),
        Kind::BudgetCrossed => format!("budget `{budget}` is spent: {amounts}"),
        Kind::SlowResponse => format!("{who} took {time} for an answer"),
        Kind::HangingRequest => {
            let place = if who.is_empty() { "the router" } else { &who };
            format!("a request waits for an answer for {time}, at {place}")
        }
        Kind::StoreLost => format!("store `{store}` is lost"),
        Kind::StoreBack => format!("store `{store}` is back{after}"),
    }
}

/// All members, for programs. What is not known is left out.
fn object(notice: &Notice) -> Value {
    let mut row = Map::new();
    let mut add = |name: &str, value: Value| drop(row.insert(name.to_owned(), value));
    let event = match notice {
        Notice::One { event, .. } => event.kind().as_str(),
        Notice::Summary(_) => "summary",
    };
    add("event", event.into());
    add("severity", severity(notice).as_str().into());
    add("text", text(notice).into());
    match notice {
        Notice::Summary(counts) => {
            let counts = counts.iter();
            let counts = counts.map(|(kind, n)| (kind.as_str().to_owned(), n.into()));
            add("counts", Value::Object(counts.collect()));
        }
        Notice::One { event, times } => {
            if let Some(deployment) = event.deployment() {
                add("deployment", name(deployment.id().as_str()).into());
                add("provider", name(deployment.provider()).into());
                add("model", name(deployment.model()).into());
            }
            for (key, value) in [
                ("group", event.group()),
                ("budget", event.budget()),
                ("store", event.store()),
            ] {
                if let Some(value) = value {
                    add(key, name(value).into());
                }
            }
            if let Some(reason) = event.reason() {
                add("reason", reason.as_str().into());
            }
            if let Some(time) = event.time() {
                add("seconds", time.as_secs_f64().into());
            }
            if let Some(count) = event.count() {
                add("count", count.into());
            }
            if let Some((spent, limit)) = event.amounts() {
                add("spent", spent.to_string().into());
                add("limit", limit.to_string().into());
            }
            add("since", timestamp(event).into());
            add("times", (*times).into());
        }
    }
    row.into()
}

fn timestamp(event: &Event) -> String {
    let since = Timestamp::try_from(event.since()).unwrap_or(Timestamp::MAX);
    format!("{since:.0}")
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn name(name: &str) -> String {
    let end = name.floor_char_boundary(MAX_NAME);
    name[..end].escape_debug().to_string()
}

/// Slack's three signs that mean something: they make links and mentions.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ziggurat_core::{Deployment, ErrorKind, Money, Secret};

    use super::*;

    fn all() -> Vec<Event> {
        let deployment = Deployment::new("azure-eu", "gpt", "gpt-4o")
            .with_provider("azure")
            .with_base_url("https://user:secret@a.example?key=secret")
            .with_credential(Secret::new("secret"));
        let deployment = &Arc::new(deployment);
        let (spent, limit) = (Money::from_picodollars(9), Money::from_picodollars(10));
        let (time, kind) = (Duration::from_millis(1_500), ErrorKind::Overloaded);
        vec![
            Event::deployment_out(deployment, Some(kind)),
            Event::deployment_back(deployment, time),
            Event::group_out("gpt"),
            Event::group_back("gpt", time),
            Event::cooldown_storm(12),
            Event::outage_minor(deployment, 5, kind),
            Event::outage_major(deployment, 10, kind),
            Event::budget_near("openai", spent, limit),
            Event::budget_crossed("openai", spent, limit),
            Event::slow_response(deployment, time),
            Event::hanging_request(Some(deployment), time),
            Event::hanging_request(None, time),
            Event::store_lost("redis"),
            Event::store_back("redis", time),
        ]
    }

    #[test]
    fn every_kind_has_its_words_and_none_tells_a_secret() {
        let mut kinds: Vec<_> = all().iter().map(Event::kind).collect();
        kinds.dedup();
        assert_eq!(kinds, Kind::ALL);
        for event in all() {
            let kind = event.kind();
            let notice = Notice::One { event, times: 1 };
            for format in [Format::Slack, Format::Json] {
                let body = body(&notice, format);
                let value: Value = serde_json::from_slice(&body).expect("is JSON");
                let text = value["text"].as_str().expect("has a text");
                assert!(text.len() > 15, "{kind:?}: {text}");
                assert!(!value.to_string().contains("secret"), "{value}");
            }
        }
    }

    #[test]
    fn a_message_for_people_says_who_why_and_how_often() {
        let event = all().swap_remove(0);
        let body = body(&Notice::One { event, times: 3 }, Format::Slack);
        let value: Value = serde_json::from_slice(&body).expect("is JSON");
        let text = value["text"].as_str().expect("has a text");
        let start = "[warning] ziggurat: deployment `azure-eu` of group `gpt` is out: overloaded; again, 3 times (2";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn a_message_for_programs_has_its_members() {
        let event = all().swap_remove(0);
        let since = timestamp(&event);
        let body = body(&Notice::One { event, times: 1 }, Format::Json);
        let value: Value = serde_json::from_slice(&body).expect("is JSON");
        let text = "deployment `azure-eu` of group `gpt` is out: overloaded";
        let expected = json!({
            "event": "deployment_out", "severity": "warning", "text": text, "deployment": "azure-eu",
            "group": "gpt", "provider": "azure", "model": "gpt-4o", "reason": "overloaded",
            "since": since, "times": 1,
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn a_name_is_cut_and_can_mention_nobody() {
        let long = format!("<!channel>&\n{}", "x".repeat(10_000));
        let notice = Notice::One {
            event: Event::group_out(long),
            times: 1,
        };
        let body = body(&notice, Format::Slack);
        let value: Value = serde_json::from_slice(&body).expect("is JSON");
        let text = value["text"].as_str().expect("has a text");
        assert!(text.contains("&lt;!channel&gt;&amp;\\n"), "{text}");
        assert!(text.len() < 300);
    }
}

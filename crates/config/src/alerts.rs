//! Who is told when something is wrong.

mod webhooks;

use std::{sync::Arc, time::Duration};

use ziggurat_core::Secret;

use self::webhooks::Webhooks;
use crate::{
    environment::Environment,
    problem::Report,
    read::{Range, Section, first},
    source::{Facts, Source},
    tables::{ALERTING_ARGS, ALERTING_CONFIG, ALERTS},
};

/// What may happen, by the names that `events` has for it.
pub const ALERT_EVENTS: [&str; 13] = [
    "deployment_out",
    "deployment_back",
    "group_out",
    "group_back",
    "cooldown_storm",
    "outage_minor",
    "outage_major",
    "budget_near",
    "budget_crossed",
    "slow_response",
    "hanging_request",
    "store_lost",
    "store_back",
];

/// The shape of a webhook's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebhookFormat {
    /// `{"text": …}`.
    Slack,
    /// All members, for programs.
    Json,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WebhookSettings {
    /// Its address: that of an http or https server.
    pub url: Secret,
    /// The shape of its messages.
    pub format: WebhookFormat,
    /// What it is told of, of [`ALERT_EVENTS`]. `None` for everything.
    pub events: Option<Vec<Arc<str>>>,
}

/// Who is told when something is wrong, and how often. `None` leaves the own default of what tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AlertSettings {
    /// The webhooks; without one nobody is told.
    pub webhooks: Vec<WebhookSettings>,
    /// From when on an attempt is slow, and a request without an answer hangs.
    pub threshold: Option<Duration>,
    /// How long the same event of the same subject is not told again.
    pub interval: Option<Duration>,
    /// The same for budgets.
    pub budget_interval: Option<Duration>,
    /// How many messages a webhook gets in any minute. At least 1.
    pub per_minute: Option<u32>,
    /// How many deployments that go out within a minute are a storm. At least 1.
    pub storm: Option<u32>,
    /// How many errors of a deployment are a minor outage. At least 1.
    pub minor_outage: Option<u32>,
    /// How many are a major one. At least 1.
    pub major_outage: Option<u32>,
    /// Within which time.
    pub outage_window: Option<Duration>,
}

/// Reads what `general_settings`, `router_settings` and `ziggurat_settings` say.
pub(crate) fn read(
    [general, router, own]: [&Section<'_>; 3],
    environment: &Environment<'_>,
    facts: &mut Facts,
    report: &mut Report,
) -> AlertSettings {
    use Range::OverZero;
    let own = own.child("alerts", &ALERTS, report);
    let config = router.child("alerting_config", &ALERTING_CONFIG, report);
    let args = general.child("alerting_args", &ALERTING_ARGS, report);

    let mut webhooks = Webhooks::default();
    webhooks.of_litellm(general, environment, report);
    let slack = WebhookFormat::Slack;
    if let Some(url) = config.secret("webhook_url", report) {
        webhooks.add(url, slack, None, report);
    }
    webhooks.of_ours(&own, report);

    let threshold = [
        own.seconds("threshold", OverZero, report),
        general.seconds("alerting_threshold", OverZero, report),
        config.seconds("alerting_threshold", OverZero, report),
    ];
    let both = |mine: &'static str, theirs: &'static str, report: &mut Report| {
        let found = [
            own.seconds(mine, OverZero, report),
            args.seconds(theirs, OverZero, report),
        ];
        first(found, report)
    };
    let budget_interval = both("budget_interval", "budget_alert_ttl", report);
    let outage_window = both("outage_window", "outage_alert_ttl", report);
    let both = |mine: &'static str, theirs: &'static str, report: &mut Report| {
        let found = [
            own.whole(mine, OverZero, report),
            args.whole(theirs, OverZero, report),
        ];
        first(found, report)
    };
    let minor = both("minor_outage", "minor_outage_alert_threshold", report);
    let major = both("major_outage", "major_outage_alert_threshold", report);
    let interval = own.seconds("interval", OverZero, report);
    let per_minute = own.whole("per_minute", OverZero, report);
    let storm = own.whole("storm", OverZero, report);
    let webhooks = webhooks.settle(facts, report);
    if webhooks.is_empty() {
        facts.note("alerts.webhooks", &"none", Source::Default);
    }
    AlertSettings {
        threshold: facts.maybe("alerts.threshold", first(threshold, report)),
        interval: facts.maybe("alerts.interval", interval),
        budget_interval: facts.maybe("alerts.budget_interval", budget_interval),
        per_minute: facts.maybe("alerts.per_minute", per_minute),
        storm: facts.maybe("alerts.storm", storm),
        minor_outage: facts.maybe("alerts.minor_outage", minor),
        major_outage: facts.maybe("alerts.major_outage", major),
        outage_window: facts.maybe("alerts.outage_window", outage_window),
        webhooks,
    }
}

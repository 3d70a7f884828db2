//! Who is told when something is wrong.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use tokio::{sync::watch, time::Instant};
use tower_service::Service;
use ziggurat_alert::{AlertPolicy, Alerts, Event, Format, Kind, Seen, Webhook};
use ziggurat_config::{Plan, WebhookFormat, WebhookSettings};
use ziggurat_cooldown::State;
use ziggurat_core::{BoxError, Deployment, ErrorKind};
use ziggurat_provider::{HyperClient, RequestBody, ReqwestClient, TransportConfig};
use ziggurat_rate_limit::{Crossing, Level, LimitSink, Measure, money};
use ziggurat_redis::{Health, Trouble};

use crate::{
    Router,
    router::{Copies, proxies_are_named},
};

/// What a plan says of alerts.
pub(crate) fn policy(plan: &Plan) -> AlertPolicy {
    const WINDOW: Duration = Duration::from_secs(60);
    let settings = &plan.alerts;
    let webhooks = settings.webhooks.iter().filter_map(webhook);
    let policy = webhooks.fold(AlertPolicy::new(), AlertPolicy::webhook);
    let policy = settings
        .threshold
        .into_iter()
        .fold(policy, AlertPolicy::threshold);
    let policy = settings
        .interval
        .into_iter()
        .fold(policy, AlertPolicy::interval);
    let policy = settings
        .budget_interval
        .into_iter()
        .fold(policy, AlertPolicy::budget_interval);
    let policy = settings
        .per_minute
        .into_iter()
        .fold(policy, AlertPolicy::per_minute);
    let policy = settings.storm.into_iter().fold(policy, AlertPolicy::storm);
    policy.outage(
        settings.minor_outage.unwrap_or(5),
        settings.major_outage.unwrap_or(10),
        settings.outage_window.unwrap_or(WINDOW),
    )
}

/// Tells of budgets that are nearly spent, and of those that are.
pub(crate) fn of_budgets(alerts: &Alerts) -> impl LimitSink + 'static {
    let alerts = alerts.clone();
    move |crossing: &Crossing| {
        if crossing.limit.measure() != Measure::Money {
            return;
        }
        let (spent, limit) = (money(crossing.used), money(crossing.limit.amount()));
        let name = crossing.key.to_string();
        alerts.notify(match crossing.level {
            Level::Near => Event::budget_near(name, spent, limit),
            Level::Full => Event::budget_crossed(name, spent, limit),
        });
    }
}

/// Tells when the servers of shared state are lost, or were never reached, and when they are back; for
/// ever.
pub(crate) async fn of_store(alerts: Alerts, mut health: watch::Receiver<Health>) {
    const NAME: &str = "Redis";
    let mut lost: Option<Instant> = None;
    loop {
        let (is_up, is_lost) = {
            let health = health.borrow_and_update();
            let mut troubles = health.troubles();
            // A server that is being connected to for the first time is not lost.
            let is_lost = troubles.any(|(_, trouble)| *trouble != Trouble::Starting);
            (health.is_up(), is_lost)
        };
        match lost {
            None if is_lost => {
                lost = Some(Instant::now());
                alerts.notify(Event::store_lost(NAME));
            }
            Some(since) if is_up => {
                lost = None;
                alerts.notify(Event::store_back(NAME, since.elapsed()));
            }
            _ => {}
        }
        if health.changed().await.is_err() {
            return;
        }
    }
}

/// A webhook that the configuration has let through is one.
fn webhook(settings: &WebhookSettings) -> Option<Webhook> {
    let format = match settings.format {
        WebhookFormat::Slack => Format::Slack,
        _ => Format::Json,
    };
    let webhook = Webhook::new(settings.url.clone(), format).ok()?;
    Some(match &settings.events {
        None => webhook,
        Some(events) => webhook.only(events.iter().filter_map(|name| Kind::named(name))),
    })
}

/// Looks which deployments of a router serve; nobody, if it is gone.
pub(crate) fn look(router: &Copies) -> Vec<Seen> {
    let Some(router) = router.router() else {
        return Vec::new();
    };
    let checks = router.health_routes();
    let snapshot = router.deployments().load();
    let seen = |deployment: &Arc<Deployment>| match router.standing(deployment, checks) {
        Standing::Serves => Seen::serving(Arc::clone(deployment)),
        Standing::Probed(because) => Seen::out(Arc::clone(deployment), Some(because)),
        Standing::Out(because) => Seen::out(Arc::clone(deployment), because),
    };
    snapshot.deployments().map(seen).collect()
}

impl Router {
    /// Tells webhooks that something has happened, and how many messages were lost. The router tells
    /// by itself what it notices, where the plan names a webhook.
    #[must_use]
    pub fn alerts(&self) -> &Alerts {
        &self.state().alerts
    }

    /// Whether what fails its health check gets no requests.
    pub(crate) fn health_routes(&self) -> bool {
        self.plan_mut().general.health.routing
    }

    /// Whether a deployment serves now.
    pub(crate) fn standing(&self, deployment: &Deployment, checks: bool) -> Standing {
        let id = deployment.id();
        match self.cooldown().state(id) {
            State::Resting { because, .. } => return Standing::Out(Some(because)),
            State::HalfOpen { because } => return Standing::Probed(because),
            _ => {}
        }
        match checks.then(|| self.health().verdict(id)).flatten() {
            Some(verdict) if !verdict.is_healthy() => Standing::Out(verdict.error_kind()),
            _ => Standing::Serves,
        }
    }
}

/// Whether a deployment serves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Standing {
    /// It does.
    Serves,
    /// One request at a time goes through after a rest for that.
    Probed(ErrorKind),
    /// It gets no requests, for that if it is known.
    Out(Option<ErrorKind>),
}

/// The HTTP client of the webhooks, made when the first message is sent.
#[derive(Clone, Default)]
pub(crate) struct Client(Arc<OnceLock<Result<Http, String>>>);

enum Http {
    Hyper(HyperClient),
    Reqwest(ReqwestClient),
}

impl Client {
    fn http(&self) -> &Result<Http, String> {
        let make = || {
            let config = TransportConfig::default();
            let made = match proxies_are_named() {
                true => ReqwestClient::new(&config).map(Http::Reqwest),
                false => HyperClient::new(&config).map(Http::Hyper),
            };
            made.map_err(|error| error.to_string())
        };
        self.0.get_or_init(make)
    }
}

impl Service<Request<Bytes>> for Client {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<()>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let request = request.map(RequestBody::from);
        match self.http() {
            Ok(Http::Hyper(client)) => {
                let answer = client.clone().call(request);
                Box::pin(async move { Ok(answer.await?.map(drop)) })
            }
            Ok(Http::Reqwest(client)) => {
                let answer = client.clone().call(request);
                Box::pin(async move { Ok(answer.await?.map(drop)) })
            }
            Err(message) => {
                let error: BoxError = message.as_str().into();
                Box::pin(async { Err(error) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_that_a_configuration_may_name_is_one() {
        let named: Vec<_> = ziggurat_config::ALERT_EVENTS
            .into_iter()
            .filter_map(Kind::named)
            .collect();
        assert_eq!(named, Kind::ALL);
    }
}

//! The far end: what tells the webhooks.

use std::{fmt, pin::pin, sync::atomic::Ordering::Relaxed, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use http::{Request, Response};
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, MissedTickBehavior, interval},
};
use tower_service::Service;

use crate::{
    AlertPolicy, Alerts, Event, Seen,
    lane::Lane,
    send::{Failure, send},
    watch::Watch,
};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);

/// What tells the webhooks. Without it events fill the queue, and are dropped then.
#[must_use = "webhooks are told only by `run`"]
pub struct Alerting {
    alerts: Alerts,
    receiver: Receiver<Event>,
}

impl Alerting {
    pub(crate) const fn new(alerts: Alerts, receiver: Receiver<Event>) -> Self {
        Self { alerts, receiver }
    }

    /// Tells the webhooks through an HTTP client, for ever. To be spawned once.
    ///
    /// Each second it looks who is out, by `look`, and which requests hang. While nobody is to be
    /// told it does nothing. It is one future, which sends all messages itself, one at a time to each
    /// webhook, and goes on taking events while a webhook is slow or gone.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it drops the messages that wait or are on their way.
    pub async fn run<S, B>(self, service: S, look: impl FnMut() -> Vec<Seen>)
    where
        S: Service<Request<Bytes>, Response = Response<B>> + Clone,
    {
        self.run_until(service, look, std::future::pending()).await;
    }

    /// The same until `end`; then it looks no more, and ends when all has been told that had happened,
    /// what was held back until then in one message to each webhook.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run).
    pub async fn run_until<S, B>(
        mut self,
        service: S,
        mut look: impl FnMut() -> Vec<Seen>,
        end: impl Future<Output = ()>,
    ) where
        S: Service<Request<Bytes>, Response = Response<B>> + Clone,
    {
        let mut end = pin!(end);
        let mut ends = false;
        let mut lanes: Vec<Lane> = Vec::new();
        let mut watch = Watch::default();
        let mut sending = FuturesUnordered::new();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let policy = self.alerts.policy();
            keep(&mut lanes, &policy);
            let is_over = ends && sending.is_empty() && self.receiver.is_empty();
            for lane in &mut lanes {
                if is_over {
                    lane.end();
                }
                let dropped = std::mem::take(&mut lane.dropped);
                self.alerts.0.undelivered.fetch_add(dropped, Relaxed);
                if let Some(notice) = lane.next() {
                    let (service, webhook) = (service.clone(), lane.webhook.clone());
                    sending.push(async move {
                        let sent = send(service, &webhook, &notice).await;
                        (webhook, sent)
                    });
                }
            }
            if is_over && sending.is_empty() {
                return;
            }
            // A change of the policy goes before what is told after it, and nothing starves.
            tokio::select! {
                biased;
                () = self.alerts.0.changed.notified() => {}
                Some((webhook, sent)) = sending.next() => {
                    let lane = lanes.iter_mut().find(|lane| lane.webhook == webhook);
                    self.sent(lane, sent);
                }
                () = &mut end, if !ends => ends = true,
                _ = ticks.tick(), if policy.is_on() && !ends => {
                    let now = Instant::now();
                    let hanging = self.alerts.0.waiting.hanging(policy.slow_from(), now);
                    let changes = watch.look(&look(), policy.storm_from(), now);
                    for event in changes.iter().chain(&hanging) {
                        offer(&mut lanes, event, &policy);
                    }
                    for lane in &mut lanes {
                        lane.look(policy.pace(), now);
                    }
                }
                Some(event) = self.receiver.recv() => {
                    offer(&mut lanes, &event, &policy);
                }
            }
        }
    }

    fn sent(&self, lane: Option<&mut Lane>, sent: Result<(), Failure>) {
        if sent.is_err() {
            self.alerts.0.undelivered.fetch_add(1, Relaxed);
        }
        let Some(lane) = lane else {
            return;
        };
        lane.is_sending = false;
        match (sent, lane.is_broken) {
            (Err(failure), false) => {
                tracing::warn!(%failure, "a webhook does not take alerts");
                lane.is_broken = true;
            }
            (Ok(()), true) => {
                tracing::info!("a webhook takes alerts again");
                lane.is_broken = false;
            }
            _ => {}
        }
    }
}

fn offer(lanes: &mut [Lane], event: &Event, policy: &AlertPolicy) {
    let now = Instant::now();
    for lane in lanes {
        lane.offer(event, policy.pace(), now);
    }
}

/// Makes the lanes those of the policy; one that was there stays as it is.
fn keep(lanes: &mut Vec<Lane>, policy: &AlertPolicy) {
    let wanted = policy.webhooks();
    if wanted.iter().eq(lanes.iter().map(|lane| &lane.webhook)) {
        return;
    }
    let mut before = std::mem::take(lanes);
    for webhook in wanted {
        let place = before.iter().position(|lane| lane.webhook == *webhook);
        lanes.push(match place {
            Some(place) => before.swap_remove(place),
            None => Lane::new(webhook.clone()),
        });
    }
}

impl fmt::Debug for Alerting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerting")
            .field("alerts", &self.alerts)
            .field("waiting", &self.receiver.len())
            .finish()
    }
}

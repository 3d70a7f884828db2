//! The near end: who is told that something has happened.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use ziggurat_core::{DeploymentId, ErrorKind, Keyed};
use ziggurat_settle::{Outcome, Settlement, SettlementSink};

use crate::{
    AlertPolicy, Alerting, Event, WatchRequestsLayer,
    outage::{self, Level, Outage},
    waiting::Waiting,
};

/// How many events may wait for the driver.
const QUEUE: usize = 1_024;

/// How many requests without an answer are watched.
const PLACES: usize = 4_096;

/// Whose failures are counted.
const DEPLOYMENTS: usize = 4_096;

/// Takes events and tells webhooks. A handle: clones share it.
///
/// It is a [`SettlementSink`], which notices slow attempts and outages. While no webhook is
/// configured it takes nothing.
#[derive(Clone)]
pub struct Alerts(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    policy: ArcSwap<AlertPolicy>,
    pub(crate) changed: Notify,
    sender: mpsc::Sender<Event>,
    dropped: AtomicU64,
    pub(crate) undelivered: AtomicU64,
    outages: Keyed<DeploymentId, Outage>,
    pub(crate) waiting: Arc<Waiting>,
}

impl Alerts {
    /// A handle, and the driver that sends what it is told.
    pub fn new(policy: AlertPolicy) -> (Self, Alerting) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let alerts = Self(Arc::new(Shared {
            policy: ArcSwap::from_pointee(policy),
            changed: Notify::new(),
            sender,
            dropped: AtomicU64::new(0),
            undelivered: AtomicU64::new(0),
            outages: Keyed::new(DEPLOYMENTS),
            waiting: Arc::new(Waiting::new(PLACES)),
        }));
        (alerts.clone(), Alerting::new(alerts, receiver))
    }

    /// Changes the policy from now on. What was told to a webhook that stays is remembered.
    pub fn set_policy(&self, policy: AlertPolicy) {
        self.0.policy.store(Arc::new(policy));
        self.0.changed.notify_one();
    }

    /// Whether anybody is told.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.policy.load().is_on()
    }

    /// Something has happened.
    ///
    /// It never waits. At most 1,024 events wait for the driver, which takes them out whatever the
    /// webhooks do; one that finds no room is dropped, and counted.
    pub fn notify(&self, event: Event) {
        if self.is_on() && self.0.sender.try_send(event).is_err() {
            self.0.dropped.fetch_add(1, Relaxed);
        }
    }

    /// How many events found no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }

    /// How many messages a webhook did not take, however often it was tried.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        self.0.undelivered.load(Relaxed)
    }

    /// A layer that watches requests until their answer begins, so that those that hang can be told
    /// of: at most 4,096 at a time, the others are not.
    #[must_use]
    pub fn watch_requests(&self) -> WatchRequestsLayer {
        WatchRequestsLayer::new(Arc::clone(&self.0.waiting))
    }

    /// How many requests could not be watched, since too many were.
    #[must_use]
    pub fn unwatched(&self) -> u64 {
        self.0.waiting.unseen()
    }

    pub(crate) fn policy(&self) -> Arc<AlertPolicy> {
        self.0.policy.load_full()
    }

    #[cold]
    fn failed(&self, settlement: &Settlement, kind: ErrorKind) {
        let policy = self.policy();
        let deployment = settlement.deployment().configured();
        let outage = self.0.outages.get_or_default(deployment.id());
        let event = match outage.fail(policy.outage_rule(), Instant::now()) {
            Some((Level::Major, count)) => Event::outage_major(deployment, count, kind),
            Some((_, count)) => Event::outage_minor(deployment, count, kind),
            None => return,
        };
        self.notify(event);
    }
}

impl SettlementSink for Alerts {
    fn settle(&self, settlement: &Settlement) {
        let slow_from = {
            let policy = self.0.policy.load();
            if !policy.is_on() {
                return;
            }
            policy.slow_from()
        };
        if settlement.took() >= slow_from {
            let event = Event::slow_response(settlement.deployment(), settlement.took());
            self.notify(event);
        }
        match settlement.outcome() {
            Outcome::Failed(kind) if outage::counts(kind) => self.failed(settlement, kind),
            _ => {}
        }
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts")
            .field("policy", &self.0.policy.load())
            .field("dropped", &self.dropped())
            .field("undelivered", &self.undelivered())
            .finish_non_exhaustive()
    }
}

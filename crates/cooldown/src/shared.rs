//! The health of all deployments of a layer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{
    Deployment, DeploymentId, Deployments, Error, Keyed, Ledger, Listener, Reason, Rejection, Scope,
};
use ziggurat_shared_log::Outbox;

use crate::{
    CooldownPolicy, Health, State,
    breaker::{Admission, PROBE_PAUSE, Refusal},
    entry::Entry,
    news::{News, Subject},
    rests::Rests,
    watch::{Watch, Watched},
};

/// How many deployments have a state. More are served, and the healthy ones among them forgotten.
const CAPACITY: usize = 16_384;

/// How many deployments there may be of which others are still to be told.
const NEWS: usize = 4_096;

/// No deployment has come back.
const NEVER: u64 = 0;

#[derive(Debug)]
pub(crate) struct Shared {
    policy: ArcSwap<CooldownPolicy>,
    pub(crate) deployments: Option<Deployments>,
    pub(crate) entries: Keyed<DeploymentId, Entry>,
    /// Held from the look at who else serves to the rest that follows from it, so that two
    /// deployments cannot rest on each other's account. No [`Entry`] is locked across it.
    pub(crate) floor: Mutex<()>,
    /// What other instances are to know.
    pub(crate) outbox: Outbox<Subject, News>,
    began: Instant,
    /// When a deployment came back last, in nanoseconds after `began`.
    last_back: AtomicU64,
    pub(crate) rests: Rests,
    /// Who is told by the configured id of a deployment. Never under a lock.
    pub(crate) listener: Listener<DeploymentId>,
}

impl Shared {
    pub(crate) fn new(policy: CooldownPolicy, deployments: Option<Deployments>) -> Self {
        Self {
            policy: ArcSwap::from_pointee(policy),
            deployments,
            entries: Keyed::new(CAPACITY),
            floor: Mutex::new(()),
            outbox: Outbox::new(NEWS),
            began: Instant::now(),
            last_back: AtomicU64::new(NEVER),
            rests: Rests::default(),
            listener: Listener::new(),
        }
    }

    pub(crate) fn policy(&self) -> Arc<CooldownPolicy> {
        self.policy.load_full()
    }

    pub(crate) fn set_policy(&self, policy: CooldownPolicy) {
        self.policy.store(Arc::new(policy));
    }

    pub(crate) fn state(&self, id: &DeploymentId, now: Instant) -> State {
        self.entries
            .get(id)
            .map_or(State::Closed, |entry| entry.with(|it| it.state(now)))
    }

    pub(crate) fn health(&self, id: &DeploymentId, now: Instant) -> Health {
        self.entries
            .get(id)
            .map_or(Health::NEW, |entry| entry.with(|it| it.health(now)))
    }

    pub(crate) fn back_since(&self, id: &DeploymentId) -> Option<Instant> {
        self.last_back()?;
        self.entries.get(id)?.with(|it| it.back_since())
    }

    pub(crate) fn last_back(&self) -> Option<Instant> {
        let nanos = self.last_back.load(Relaxed);
        (nanos != NEVER).then(|| self.began + Duration::from_nanos(nanos))
    }

    pub(crate) fn note_back(&self, now: Instant) {
        let nanos = now.saturating_duration_since(self.began).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX).max(NEVER + 1);
        self.last_back.fetch_max(nanos, Relaxed);
    }

    pub(crate) fn reset(&self, id: &DeploymentId, now: Instant) {
        if let Some(entry) = self.entries.get(id) {
            entry.with(|breaker| breaker.reset(now));
            self.listener.tell(id);
        }
    }

    pub(crate) fn reset_all(&self, now: Instant) {
        let mut ended = Vec::new();
        self.entries.for_each(|id, entry| {
            entry.with(|breaker| {
                if breaker.state(now) != State::Closed {
                    ended.push(id.clone());
                }
                breaker.reset(now);
            });
        });
        ended.iter().for_each(|id| self.listener.tell(id));
    }

    /// Lets other instances know.
    pub(crate) fn tell(&self, news: Option<News>) {
        if let Some(news) = news
            && self.outbox.is_open()
        {
            self.outbox.put(news.subject(), news);
        }
    }

    pub(crate) fn entry(&self, id: &DeploymentId, now: Instant) -> Arc<Entry> {
        self.entries.get_or_insert_with(id, || Entry::new(now))
    }

    /// Lets a request through, watched, or refuses it.
    pub(crate) fn admit(
        self: &Arc<Self>,
        deployment: &Arc<Deployment>,
        ledger: Option<&Ledger>,
    ) -> Result<Watch, Error> {
        let Some(time) = self.policy.load().time_of(deployment) else {
            return Ok(Watch::idle());
        };
        let now = Instant::now();
        if let Some(refusal) = self.configured_rests(deployment, now) {
            return Err(refused(deployment, refusal, Scope::Deployment, now));
        }
        let entry = self.entry(deployment.id(), now);
        if let Some(refusal) = self.spares_probe(deployment, ledger, now) {
            return Err(refused(deployment, refusal, Scope::Attempt, now));
        }
        let (admission, is_replaced) = entry
            .admit(deployment, time, now)
            .map_err(|refusal| refused(deployment, refusal, Scope::Deployment, now))?;
        if let Admission::Probe(_) = admission {
            tracing::debug!(deployment = %deployment.id(), "deployment is probed");
        }
        if is_replaced {
            self.listener.tell(deployment.public_id());
        }
        Ok(Watch::new(Watched {
            shared: Arc::clone(self),
            entry,
            deployment: Arc::clone(deployment),
            ledger: ledger.cloned(),
            time,
            admission,
        }))
    }

    /// Whether one made of a configured deployment, for a model or a client, shares what the
    /// configured one rests for.
    fn configured_rests(&self, deployment: &Arc<Deployment>, now: Instant) -> Option<Refusal> {
        let configured = deployment.configured();
        if Arc::ptr_eq(configured, deployment) {
            return None;
        }
        let entry = self.entries.get(configured.id())?;
        let rest = entry.rest_of(configured, deployment, now)?;
        Some(rest.refusal(rest.until))
    }

    /// Why a deployment is not probed with this request: one that has failed before goes to a
    /// deployment that is known to serve, if there is one it has not tried.
    fn spares_probe(
        &self,
        deployment: &Deployment,
        ledger: Option<&Ledger>,
        now: Instant,
    ) -> Option<Refusal> {
        self.deployments.as_ref()?;
        // The attempt that is being made is among them.
        let ledger = ledger.filter(|ledger| ledger.attempts() > 1)?;
        let rest = self
            .entries
            .get(deployment.id())?
            .with(|it| it.ended(now))?;
        let tried = ledger.tried();
        let untried = |other: &Deployment| !tried.contains(other.id());
        self.others_serve(deployment, 1, now, untried)
            .then(|| rest.refusal(now + PROBE_PAUSE))
    }
}

fn refused(deployment: &Deployment, refusal: Refusal, scope: Scope, now: Instant) -> Error {
    let Refusal {
        retry_at, because, ..
    } = refusal;
    let rejection = Rejection::new(Reason::Cooldown, scope)
        .retry_at(retry_at)
        .because_of(because);
    let id = deployment.id();
    let left = retry_at.saturating_duration_since(now).as_secs_f64();
    let message = format!("deployment `{id}` rests for another {left:.1} s after {because}");
    Error::rejected(rejection, message).with_deployment(id.clone())
}

//! The health of all deployments of a layer.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{
    Blame, Deployment, DeploymentId, Deployments, Error, ErrorKind, Idle, Keyed, Ledger, Reason,
    Rejection, Scope, Secret,
};

use crate::{
    CooldownPolicy, State,
    breaker::{Admission, Breaker, PROBE_PAUSE, Refusal, Rest},
    watch::{Watch, Watched},
};

/// How many deployments have a state. More are served, and the healthy ones among them forgotten.
const CAPACITY: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Shared {
    policy: ArcSwap<CooldownPolicy>,
    deployments: Option<Deployments>,
    healths: Keyed<DeploymentId, Health>,
    /// Held from the look at who else serves to the rest that follows from it, so that two
    /// deployments cannot rest on each other's account. No [`Health`] is locked across it.
    floor: Mutex<()>,
}

/// The health of one deployment. Its lock is never held while another is taken.
#[derive(Debug)]
pub(crate) struct Health(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    breaker: Breaker,
    /// The credential that it rests for.
    credential: Option<Secret>,
}

impl Health {
    fn new(now: Instant) -> Self {
        Self(Mutex::new(Inner {
            breaker: Breaker::new(now),
            credential: None,
        }))
    }

    fn admit(
        &self,
        deployment: &Deployment,
        time: Duration,
        now: Instant,
    ) -> Result<Admission, Refusal> {
        let inner = &mut *self.0.lock();
        inner.breaker.admit(time, now).or_else(|refusal| {
            // A new key does not inherit the rest of the one it replaces.
            let replaced = refusal.because.rule().blame == Blame::Credential
                && inner.credential.as_ref() != deployment.credential();
            if !replaced {
                return Err(refusal);
            }
            inner.breaker.reset(now);
            inner.breaker.admit(time, now)
        })
    }

    fn rest(&self, deployment: &Deployment, rest: Rest) -> bool {
        let mut inner = self.0.lock();
        if rest.because.rule().blame == Blame::Credential {
            inner.credential = deployment.credential().cloned();
        }
        inner.breaker.rest(rest)
    }

    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Breaker) -> T) -> T {
        act(&mut self.0.lock().breaker)
    }
}

impl Idle for Health {
    fn is_idle(&self) -> bool {
        self.with(|breaker| breaker.is_idle())
    }
}

impl Shared {
    pub(crate) fn new(policy: CooldownPolicy, deployments: Option<Deployments>) -> Self {
        Self {
            policy: ArcSwap::from_pointee(policy),
            deployments,
            healths: Keyed::new(CAPACITY),
            floor: Mutex::new(()),
        }
    }

    pub(crate) fn policy(&self) -> Arc<CooldownPolicy> {
        self.policy.load_full()
    }

    pub(crate) fn set_policy(&self, policy: CooldownPolicy) {
        self.policy.store(Arc::new(policy));
    }

    pub(crate) fn state(&self, id: &DeploymentId, now: Instant) -> State {
        self.healths.get(id).map_or(State::Closed, |health| {
            health.with(|breaker| breaker.state(now))
        })
    }

    pub(crate) fn reset(&self, id: &DeploymentId, now: Instant) {
        if let Some(health) = self.healths.get(id) {
            health.with(|breaker| breaker.reset(now));
        }
    }

    pub(crate) fn reset_all(&self, now: Instant) {
        self.healths
            .for_each(|_, health| health.with(|breaker| breaker.reset(now)));
    }

    fn health(&self, id: &DeploymentId, now: Instant) -> Arc<Health> {
        self.healths.get_or_insert_with(id, || Health::new(now))
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
        if let Some(refusal) = self.credential_rests(deployment, now) {
            return Err(refused(deployment, refusal, Scope::Deployment, now));
        }
        let health = self.health(deployment.id(), now);
        if let Some(because) = self.spares_probe(deployment, ledger, now) {
            let retry_at = now + PROBE_PAUSE;
            let refusal = Refusal { retry_at, because };
            return Err(refused(deployment, refusal, Scope::Attempt, now));
        }
        let admission = health
            .admit(deployment, time, now)
            .map_err(|refusal| refused(deployment, refusal, Scope::Deployment, now))?;
        if let Admission::Probe(_) = admission {
            tracing::debug!(deployment = %deployment.id(), "deployment is probed");
        }
        Ok(Watch::new(Watched {
            shared: Arc::clone(self),
            health,
            deployment: Arc::clone(deployment),
            ledger: ledger.cloned(),
            time,
            admission,
        }))
    }

    /// Whether one made of a configured deployment, for a model or a client, presents a credential
    /// that the configured one rests for.
    fn credential_rests(&self, deployment: &Arc<Deployment>, now: Instant) -> Option<Refusal> {
        let configured = deployment.configured();
        if Arc::ptr_eq(configured, deployment) {
            return None;
        }
        let health = self.healths.get(configured.id())?;
        let inner = health.0.lock();
        match inner.breaker.state(now) {
            State::Resting { until, because }
                if because.rule().blame == Blame::Credential
                    && inner.credential.as_ref() == deployment.credential() =>
            {
                Some(Refusal {
                    retry_at: until,
                    because,
                })
            }
            _ => None,
        }
    }

    /// Rests a deployment, unless nobody would be left to serve.
    pub(crate) fn rest(&self, watched: &Watched, rest: Rest, now: Instant) {
        let Watched {
            health, deployment, ..
        } = watched;
        let _floor = self.floor.lock();
        if !self.may_rest(deployment, watched.ledger.as_ref(), now) {
            return health.with(Breaker::spare);
        }
        if health.rest(deployment, rest) {
            tell(deployment, rest, now);
            if rest.because.rule().blame == Blame::Credential {
                self.rest_credential(watched, rest.because, now);
            }
        }
    }

    /// Rests every other deployment that presents the same credential at the same place.
    fn rest_credential(&self, watched: &Watched, because: ErrorKind, now: Instant) {
        let failed = &watched.deployment;
        let (Some(deployments), Some(_)) = (&self.deployments, failed.credential()) else {
            return;
        };
        for deployment in deployments.load().deployments() {
            let same = deployment.id() != failed.id()
                && deployment.provider() == failed.provider()
                && deployment.base_url() == failed.base_url()
                && deployment.credential() == failed.credential();
            let Some(time) = self.policy.load().time_of(deployment).filter(|_| same) else {
                continue;
            };
            // What the failed request may fall back to is of use to its own group only.
            let ledger = watched.ledger.as_ref();
            let ledger = ledger.filter(|_| deployment.group() == failed.group());
            let rest = Rest::new(because, time, now);
            if self.may_rest(deployment, ledger, now)
                && self.health(deployment.id(), now).rest(deployment, rest)
            {
                tell(deployment, rest, now);
            }
        }
    }

    /// Whether another member of the group serves, or the request could move to another group.
    fn may_rest(&self, deployment: &Deployment, ledger: Option<&Ledger>, now: Instant) -> bool {
        ledger.is_some_and(|ledger| ledger.fallbacks_left() > 0)
            || self.others_serve(deployment, now, |_| true)
    }

    /// Why a deployment is not probed with this request: one that has failed before goes to a
    /// deployment that is known to serve, if there is one it has not tried.
    fn spares_probe(
        &self,
        deployment: &Deployment,
        ledger: Option<&Ledger>,
        now: Instant,
    ) -> Option<ErrorKind> {
        self.deployments.as_ref()?;
        // The attempt that is being made is among them.
        let ledger = ledger.filter(|ledger| ledger.attempts() > 1)?;
        let State::HalfOpen { because } = self.state(deployment.id(), now) else {
            return None;
        };
        let tried = ledger.tried();
        let untried = |other: &Deployment| !tried.contains(other.id());
        self.others_serve(deployment, now, untried)
            .then_some(because)
    }

    /// Whether another member of the group serves that is as wanted. Without a list of deployments
    /// one is taken to, and in a group that a reload took away, which gets no more requests.
    fn others_serve(
        &self,
        deployment: &Deployment,
        now: Instant,
        wanted: impl Fn(&Deployment) -> bool,
    ) -> bool {
        let Some(deployments) = &self.deployments else {
            return true;
        };
        let policy = self.policy.load();
        let snapshot = deployments.load();
        let group = snapshot
            .groups()
            .find(|group| **group.name() == *deployment.group());
        group.is_none_or(|group| {
            group.members().iter().any(|other| {
                other.id() != deployment.public_id()
                    && wanted(other)
                    && (policy.time_of(other).is_none()
                        || (self.state(other.id(), now) == State::Closed
                            && self.state(&deployment.sibling_id(other), now) == State::Closed))
            })
        })
    }
}

fn refused(deployment: &Deployment, refusal: Refusal, scope: Scope, now: Instant) -> Error {
    let Refusal { retry_at, because } = refusal;
    let rejection = Rejection::new(Reason::Cooldown, scope)
        .retry_at(retry_at)
        .because_of(because);
    let id = deployment.id();
    let left = retry_at.saturating_duration_since(now).as_secs_f64();
    let message = format!("deployment `{id}` rests for another {left:.1} s after {because}");
    Error::rejected(rejection, message).with_deployment(id.clone())
}

fn tell(deployment: &Deployment, rest: Rest, now: Instant) {
    let time = rest.until.saturating_duration_since(now);
    tracing::info!(deployment = %deployment.id(), because = %rest.because, ?time, "deployment rests");
}

//! What is known of all deployments, and what follows from it.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use parking_lot::RwLock;
use tokio::{sync::Semaphore, time::Instant};
use ziggurat_core::{
    Deployment, DeploymentId, Deployments, Error, Reason, Rejection, Scope, Snapshot,
};

use crate::{HealthPolicy, Report, Verdict, check::Check, verdict::Found};

/// What checks have found out about deployments. A handle: clones share it.
///
/// Nothing is checked unless [`run`](Self::run) is run or [`check_now`](Self::check_now) is called.
/// See the [crate docs](crate) for an example and the rules. It knows at most as many deployments as
/// there are.
#[derive(Clone)]
pub struct HealthChecks(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    deployments: Deployments,
    policy: ArcSwap<HealthPolicy>,
    verdicts: RwLock<Verdicts>,
    /// Whether a request could be refused: there is an unhealthy deployment, and it counts.
    refuses: AtomicBool,
    /// Who checks all at once; the others wait for what is found.
    pub(crate) turn: Semaphore,
}

type Verdicts = HashMap<DeploymentId, Verdict, RandomState>;

impl HealthChecks {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(deployments: Deployments, policy: HealthPolicy) -> Self {
        Self(Arc::new(Shared {
            deployments,
            policy: ArcSwap::from_pointee(policy),
            verdicts: RwLock::default(),
            refuses: AtomicBool::new(false),
            turn: Semaphore::new(1),
        }))
    }

    /// Changes the policy from the next check, and the next request, on. What is known stays.
    pub fn set_policy(&self, policy: HealthPolicy) {
        self.0.policy.store(Arc::new(policy));
        self.0.decide(&self.0.verdicts.read());
    }

    /// What the last check of a deployment found.
    #[must_use]
    pub fn verdict(&self, id: &DeploymentId) -> Option<Verdict> {
        self.0.verdicts.read().get(id).cloned()
    }

    /// What is known of all deployments.
    #[must_use]
    pub fn report(&self) -> Report {
        let snapshot = self.0.deployments.load();
        let verdicts = self.0.verdicts.read();
        let known = |it: &Arc<Deployment>| verdicts.get(it.id()).filter(|known| known.is_about(it));
        Report::new((snapshot.deployments()).map(|it| (Arc::clone(it), known(it).cloned())))
    }
}

impl fmt::Debug for HealthChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthChecks")
            .field("policy", &self.0.policy.load())
            .field("known", &self.0.verdicts.read().len())
            .field("refuses", &self.0.refuses.load(Relaxed))
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn policy(&self) -> Arc<HealthPolicy> {
        self.policy.load_full()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.deployments.load()
    }

    /// The checks that find out about all deployments that were not checked since.
    pub(crate) fn checks_since(&self, then: Instant) -> Vec<Check> {
        let verdicts = self.verdicts.read();
        let is_due = |it: &&Arc<Deployment>| {
            let known = verdicts.get(it.id());
            !it.health_check().disabled && known.is_none_or(|known| known.checked_at() <= then)
        };
        Check::all(self.snapshot().deployments().filter(is_due))
    }

    /// Notes what a check found about all its members that are still there, and still the same.
    pub(crate) fn note(&self, check: &Check, found: &Found, now: Instant) {
        let snapshot = self.snapshot();
        let mut verdicts = self.verdicts.write();
        for deployment in check.members() {
            let before = verdicts.get(deployment.id());
            let before = before.filter(|before| before.is_about(deployment));
            let verdict = Verdict::new(Arc::clone(deployment), found, before, now);
            let current = snapshot.get(deployment.id());
            if !current.is_some_and(|current| verdict.is_about(current)) {
                continue;
            }
            if before.is_none_or(|before| before.is_healthy()) && !found.healthy {
                let (kind, message) = (verdict.error_kind(), verdict.error_message());
                tracing::debug!(deployment = %deployment.id(), ?kind, message, "deployment is unhealthy");
            } else if before.is_some_and(|before| !before.is_healthy()) && found.healthy {
                tracing::debug!(deployment = %deployment.id(), "deployment is healthy again");
            }
            verdicts.insert(deployment.id().clone(), verdict);
        }
        verdicts.retain(|id, _| snapshot.get(id).is_some());
        self.decide(&verdicts);
    }

    fn decide(&self, verdicts: &Verdicts) {
        let any = verdicts.values().any(|verdict| !verdict.is_healthy());
        self.refuses
            .store(any && self.policy.load().routes(), Relaxed);
    }

    /// Refuses a deployment that was found unhealthy, unless all of its group were.
    pub(crate) fn admit(&self, deployment: &Arc<Deployment>) -> Result<(), Error> {
        if self.refuses.load(Relaxed) {
            self.judge(deployment, Instant::now())
        } else {
            Ok(())
        }
    }

    #[cold]
    fn judge(&self, deployment: &Arc<Deployment>, now: Instant) -> Result<(), Error> {
        let policy = self.policy.load();
        let verdicts = self.verdicts.read();
        let unhealthy = |it: &Arc<Deployment>| {
            let known = verdicts.get(it.public_id())?;
            let counts = !known.is_healthy()
                && known.is_fresh(policy.stale_after(), now)
                && known.is_about(it)
                && policy.covers(it);
            counts.then_some(known)
        };
        let Some(verdict) = unhealthy(deployment) else {
            return Ok(());
        };
        let serves = |it: &Arc<Deployment>| !it.is_blocked() && unhealthy(it).is_none();
        let snapshot = self.snapshot();
        let mut groups = snapshot.groups();
        let group = groups.find(|group| **group.name() == *deployment.group());
        if !group.is_some_and(|group| group.members().iter().any(serves)) {
            return Ok(());
        }
        Err(refusal(deployment, verdict, &policy, now))
    }
}

/// The refusal lasts until the next check, or until the verdict no longer counts.
fn refusal(
    deployment: &Deployment,
    verdict: &Verdict,
    policy: &HealthPolicy,
    now: Instant,
) -> Error {
    let lasts = policy.every().min(policy.stale_after());
    // A check that is late may end at any moment.
    let at_least = Duration::from_secs(1);
    let retry_at = (verdict.checked_at() + lasts).max(now + at_least);
    let mut rejection = Rejection::new(Reason::Unhealthy, Scope::Deployment).retry_at(retry_at);
    if let Some(kind) = verdict.error_kind() {
        rejection = rejection.because_of(kind);
    }
    let id = deployment.id();
    let message = format!("deployment `{id}` was found unhealthy by a health check");
    Error::rejected(rejection, message).with_deployment(id.clone())
}

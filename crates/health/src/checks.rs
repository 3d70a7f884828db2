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

use arc_swap::{ArcSwap, Guard};
use foldhash::fast::RandomState;
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::{sync::Semaphore, time::Instant};
use ziggurat_core::{
    Deployment, DeploymentId, Deployments, Error, Listener, Reason, Rejection, Scope, Snapshot,
};
use ziggurat_shared_log::Outbox;

use crate::{HealthPolicy, Report, Verdict, check::Check, news::News, verdict::Found};

/// Of how many deployments others may still have to be told.
const NEWS: usize = 16_384;

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
    /// What other instances are to know.
    pub(crate) outbox: Outbox<DeploymentId, Verdict>,
    /// Who checks all at once; the others wait for what is found.
    pub(crate) turn: Semaphore,
    /// Who is told of a deployment that is in another order than before. Never under a lock.
    listener: Listener<DeploymentId>,
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
            outbox: Outbox::new(NEWS),
            turn: Semaphore::new(1),
            listener: Listener::new(),
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

    /// Until when a deployment gets no requests for what a check found, unless another check finds the
    /// same; `None` if it gets some.
    #[must_use]
    pub fn out_until(&self, deployment: &Arc<Deployment>) -> Option<Instant> {
        let known = self.0.known_refusals(Instant::now())?;
        known.keeps_out(deployment).map(|it| known.until(it))
    }

    /// Until when each of these gets no requests, as [`out_until`](Self::out_until) says of one. Those of
    /// a group cost less all at once than one after the other.
    #[must_use]
    pub fn out_of(&self, deployments: &[Arc<Deployment>]) -> Vec<Option<Instant>> {
        let Some(known) = self.0.known_refusals(Instant::now()) else {
            return vec![None; deployments.len()];
        };
        let mut serving: HashMap<&str, bool> = HashMap::new();
        let each = deployments.iter().map(|deployment| {
            let verdict = known.against(deployment)?;
            let group = deployment.group();
            let serves = || known.any_serves(group);
            (*serving.entry(group).or_insert_with(serves)).then(|| known.until(verdict))
        });
        each.collect()
    }

    /// Tells whenever a check has found a deployment to be in another order than before. `false` if
    /// somebody else is told already: then nothing changes.
    ///
    /// It is called without a lock, and must not block.
    pub fn on_change(&self, tell: impl Fn(&DeploymentId) + Send + Sync + 'static) -> bool {
        self.0.listener.set(tell)
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
        let mut changed = Vec::new();
        let mut verdicts = self.verdicts.write();
        for deployment in check.members() {
            let before = verdicts.get(deployment.id());
            let before = before.filter(|before| before.is_about(deployment));
            let verdict = Verdict::new(Arc::clone(deployment), found, before, now);
            let current = snapshot.get(deployment.id());
            if current.is_some_and(|current| verdict.is_about(current)) {
                self.outbox.put(deployment.id().clone(), verdict.clone());
                if enter(&mut verdicts, verdict) {
                    changed.push(deployment.id());
                }
            }
        }
        verdicts.retain(|id, _| snapshot.get(id).is_some());
        self.decide(&verdicts);
        drop(verdicts);
        changed.into_iter().for_each(|id| self.listener.tell(id));
    }

    /// Notes what another instance told so long ago.
    pub(crate) fn learn(&self, news: &News<'_>, told: Duration, now: Instant) {
        let snapshot = self.snapshot();
        let deployment = news.find(&snapshot);
        let deployment = deployment.filter(|it| !it.health_check().disabled);
        let age = news.age(told);
        let (Some(deployment), Some(at)) = (deployment, now.checked_sub(age)) else {
            return;
        };
        let mut verdicts = self.verdicts.write();
        let before = verdicts.get(deployment.id());
        let before = before.filter(|before| before.is_about(deployment));
        let is_newer = before.is_none_or(|before| before.checked_at() < at);
        if is_newer && age < self.policy.load().stale_after() {
            let verdict = Verdict::new(Arc::clone(deployment), &news.found(), before, at);
            let is_changed = enter(&mut verdicts, verdict.made_elsewhere());
            self.decide(&verdicts);
            drop(verdicts);
            if is_changed {
                self.listener.tell(deployment.id());
            }
        }
    }

    /// Puts all that still counts into the outbox.
    pub(crate) fn tell_all(&self, now: Instant) {
        let stale_after = self.policy.load().stale_after();
        let verdicts = self.verdicts.read();
        for (id, verdict) in verdicts
            .iter()
            .filter(|(_, it)| it.is_fresh(stale_after, now))
        {
            self.outbox.put(id.clone(), verdict.clone());
        }
    }

    /// When the checks began and ended that other instances have made.
    pub(crate) fn made_elsewhere(&self, mut each: impl FnMut(&DeploymentId, Instant, Instant)) {
        for (id, verdict) in &*self.verdicts.read() {
            if verdict.is_from_elsewhere() {
                let ended = verdict.checked_at();
                let began = ended.checked_sub(verdict.took()).unwrap_or(ended);
                each(id, began, ended);
            }
        }
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
        let known = self.known(now);
        match known.keeps_out(deployment) {
            Some(verdict) => Err(refusal(deployment, verdict, &known.policy, now)),
            None => Ok(()),
        }
    }

    /// What is known, if a request could be refused for it.
    fn known_refusals(&self, now: Instant) -> Option<Known<'_>> {
        self.refuses.load(Relaxed).then(|| self.known(now))
    }

    fn known(&self, now: Instant) -> Known<'_> {
        Known {
            deployments: &self.deployments,
            policy: self.policy.load(),
            verdicts: self.verdicts.read(),
            now,
        }
    }
}

/// What is known at a moment. Nothing is noted meanwhile.
struct Known<'a> {
    deployments: &'a Deployments,
    policy: Guard<Arc<HealthPolicy>>,
    verdicts: RwLockReadGuard<'a, Verdicts>,
    now: Instant,
}

impl Known<'_> {
    /// The verdict that keeps requests from a deployment, if there is one.
    fn keeps_out(&self, deployment: &Arc<Deployment>) -> Option<&Verdict> {
        let verdict = self.against(deployment)?;
        self.any_serves(deployment.group()).then_some(verdict)
    }

    /// The verdict that speaks against a deployment, if it counts.
    fn against(&self, deployment: &Arc<Deployment>) -> Option<&Verdict> {
        let verdict = self.verdicts.get(deployment.public_id())?;
        let counts = !verdict.is_healthy()
            && verdict.is_fresh(self.policy.stale_after(), self.now)
            && verdict.is_about(deployment)
            && self.policy.covers(deployment);
        counts.then_some(verdict)
    }

    /// Whether any deployment of a group serves.
    fn any_serves(&self, group: &str) -> bool {
        let serves = |it: &Arc<Deployment>| !it.is_blocked() && self.against(it).is_none();
        let snapshot = self.deployments.load();
        let mut groups = snapshot.groups();
        let group = groups.find(|it| **it.name() == *group);
        group.is_some_and(|group| group.members().iter().any(serves))
    }

    /// Until when a verdict counts, unless another check finds the same.
    fn until(&self, verdict: &Verdict) -> Instant {
        const FAR: Duration = Duration::from_secs(30 * 24 * 3600);
        let until = verdict.checked_at().checked_add(self.policy.stale_after());
        until.unwrap_or(self.now + FAR)
    }
}

/// Enters a verdict in the place of the one before. Returns whether the deployment is in another
/// order now; one of which nothing was known was in order.
fn enter(verdicts: &mut Verdicts, verdict: Verdict) -> bool {
    let deployment = verdict.deployment();
    let before = verdicts.get(deployment.id());
    let before = before.filter(|before| before.is_about(deployment));
    let was_healthy = before.map(Verdict::is_healthy);
    if was_healthy != Some(false) && !verdict.is_healthy() {
        let (kind, message) = (verdict.error_kind(), verdict.error_message());
        tracing::debug!(deployment = %deployment.id(), ?kind, message, "deployment is unhealthy");
    } else if was_healthy == Some(false) && verdict.is_healthy() {
        tracing::debug!(deployment = %deployment.id(), "deployment is healthy again");
    }
    let is_changed = was_healthy.unwrap_or(true) != verdict.is_healthy();
    verdicts.insert(deployment.id().clone(), verdict);
    is_changed
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

//! Who rests after a failure, and who does not for the sake of its group.

use std::sync::Arc;

use tokio::time::Instant;
use ziggurat_core::{Blame, Deployment, DeploymentId, Ledger};

use crate::{
    State,
    breaker::{Breaker, Effect, Rest},
    entry::Entry,
    news::News,
    shared::Shared,
    watch::Watched,
};

impl Shared {
    /// Rests a deployment that failed and whom else the failure speaks against, but nobody without
    /// whom too few of its group would serve.
    pub(crate) fn rest(&self, watched: &Watched, rest: Rest, now: Instant) {
        let Watched {
            entry, deployment, ..
        } = watched;
        let ledger = watched.ledger.as_ref();
        let mut changed = vec![deployment.public_id().clone()];
        {
            let _floor = self.floor.lock();
            match self.rest_one(entry, deployment, rest, ledger, now) {
                // Whom it concerns rests as long already.
                Some(Effect::Nothing) => return,
                Some(_) => {}
                None => entry.with(Breaker::spare),
            }
            self.rest_sharers(deployment, rest, ledger, now, &mut changed);
        }
        changed.iter().for_each(|id| self.listener.tell(id));
    }

    /// Rests a deployment that another instance has rested, unless too few would serve here.
    pub(crate) fn rest_too(&self, deployment: &Arc<Deployment>, rest: Rest, now: Instant) {
        let entry = self.entry(deployment.id(), now);
        let effect = {
            let _floor = self.floor.lock();
            self.rest_unless_last(&entry, deployment, rest, None, now)
        };
        if changes(effect) {
            self.listener.tell(deployment.public_id());
        }
    }

    /// Rests every other deployment that shares what is to blame, until the same time.
    fn rest_sharers(
        &self,
        failed: &Arc<Deployment>,
        rest: Rest,
        ledger: Option<&Ledger>,
        now: Instant,
        changed: &mut Vec<DeploymentId>,
    ) {
        let Some(deployments) = &self.deployments else {
            return;
        };
        if !concerns_others(failed, rest.blame) {
            return;
        }
        let policy = self.policy();
        for group in deployments.load().groups() {
            // What a routing group lists are members of other groups, and is met there.
            let members = group.members().iter();
            for listed in members.filter(|listed| *listed.group() == **group.name()) {
                let Some(sharer) = sharer(listed, failed, rest.blame) else {
                    continue;
                };
                if policy.time_of(&sharer).is_some() {
                    // What the failed request may fall back to is of use to its own group only.
                    let ledger = ledger.filter(|_| sharer.group() == failed.group());
                    let entry = self.entry(sharer.id(), now);
                    let effect = self.rest_one(&entry, &sharer, rest, ledger, now);
                    if changes(effect) {
                        changed.push(sharer.public_id().clone());
                    }
                }
            }
        }
    }

    /// Rests a deployment, and lets other instances know.
    fn rest_one(
        &self,
        entry: &Entry,
        deployment: &Arc<Deployment>,
        rest: Rest,
        ledger: Option<&Ledger>,
        now: Instant,
    ) -> Option<Effect> {
        let effect = self.rest_unless_last(entry, deployment, rest, ledger, now);
        if changes(effect) {
            self.tell(News::rests(deployment, rest));
        }
        effect
    }

    /// Rests a deployment, if enough others serve; who rests already may always rest longer.
    fn rest_unless_last(
        &self,
        entry: &Entry,
        deployment: &Arc<Deployment>,
        rest: Rest,
        ledger: Option<&Ledger>,
        now: Instant,
    ) -> Option<Effect> {
        let rests = entry.with(|breaker| breaker.runs(now)).is_some();
        if !rests && !self.may_rest(deployment, ledger, now) {
            return None;
        }
        let effect = entry.rest(deployment, rest, now);
        if effect == Effect::Began {
            self.rests.count(deployment.public_id(), rest.because);
            let time = rest.until.saturating_duration_since(now);
            tracing::info!(deployment = %deployment.id(), because = %rest.because, ?time, "deployment rests");
        }
        Some(effect)
    }

    /// Whether enough other members of the group serve, or the request could move to another
    /// group.
    fn may_rest(&self, deployment: &Deployment, ledger: Option<&Ledger>, now: Instant) -> bool {
        ledger.is_some_and(|ledger| ledger.fallbacks_left() > 0)
            || self.others_serve(deployment, self.policy().min_serving, now, |_| true)
    }

    /// Whether at least so many other members of the group serve that are as wanted. Without a list
    /// of deployments they are taken to, and in a group that a reload took away, which gets no more
    /// requests.
    pub(crate) fn others_serve(
        &self,
        deployment: &Deployment,
        at_least: usize,
        now: Instant,
        wanted: impl Fn(&Deployment) -> bool,
    ) -> bool {
        let Some(deployments) = &self.deployments else {
            return true;
        };
        let policy = self.policy();
        let snapshot = deployments.load();
        let group = snapshot
            .groups()
            .find(|group| **group.name() == *deployment.group());
        let serves = |other: &&Arc<Deployment>| {
            other.id() != deployment.public_id()
                && wanted(other)
                && (policy.time_of(other).is_none()
                    || (self.state(other.id(), now) == State::Closed
                        && self.state(&deployment.sibling_id(other), now) == State::Closed))
        };
        group.is_none_or(|group| {
            let serving = group.members().iter().filter(serves);
            serving.take(at_least).count() == at_least
        })
    }
}

/// Whether what was due made a difference.
fn changes(effect: Option<Effect>) -> bool {
    matches!(effect, Some(Effect::Began | Effect::Lengthened))
}

/// Whether a failure may speak against others. What a client's own account meets at a provider says
/// nothing of ours.
fn concerns_others(failed: &Arc<Deployment>, blame: Blame) -> bool {
    match blame {
        Blame::Credential | Blame::Quota => failed.credential().is_some(),
        Blame::Provider => failed.credential() == failed.configured().credential(),
        _ => false,
    }
}

/// What of a listed deployment shares what is to blame for a failure of another: itself, or what is
/// made of it for the model that failed, if it stands for many.
fn sharer(listed: &Arc<Deployment>, failed: &Deployment, blame: Blame) -> Option<Arc<Deployment>> {
    let is_there = listed.provider() == failed.provider() && listed.base_url() == failed.base_url();
    let shares = |it: &Deployment| it.id() != failed.id() && it.shares(blame, failed);
    if !is_there {
        return None;
    }
    let of_a_model = blame != Blame::Credential && !failed.model().contains('*');
    if of_a_model && listed.model().contains('*') {
        let concrete = listed.for_model(failed.model());
        return shares(&concrete).then(|| Arc::new(concrete));
    }
    shares(listed).then(|| Arc::clone(listed))
}

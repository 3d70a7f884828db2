//! How much may be in flight at the deployments of a group together.

use std::sync::Arc;

use tokio::time::Instant;
use ziggurat_concurrency::ConcurrencyLayer;
use ziggurat_cooldown::{CooldownLayer, State as Rest};
use ziggurat_core::{Deployment, Deployments};
use ziggurat_health::HealthChecks;

use crate::Router;

/// Says what deployments take: what a gate of a whole group goes by.
#[derive(Clone)]
pub(crate) struct GroupLimits {
    pub(crate) deployments: Deployments,
    pub(crate) cooldown: CooldownLayer,
    pub(crate) health: HealthChecks,
    pub(crate) concurrency: ConcurrencyLayer,
}

/// What a deployment takes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Takes {
    /// How many attempts at a time; `None` for any number.
    pub(crate) places: Option<u32>,
    /// Whether it serves. One that is only probed does not.
    pub(crate) serves: bool,
    /// When that may be over without anybody saying so.
    pub(crate) until: Option<Instant>,
}

impl GroupLimits {
    /// How many attempts may be in flight at those deployments of a group together that serve now;
    /// `None` if one of them takes any number, or the name leads nowhere.
    ///
    /// One that is probed after a rest counts for one. It is never nothing: some request finds out
    /// that a rest is over.
    pub(crate) fn of(&self, name: &str) -> Option<u64> {
        let snapshot = self.deployments.load();
        let route = snapshot.route(name)?;
        let members = match &route.only {
            Some(only) => std::slice::from_ref(*only),
            None => route.group.members(),
        };
        let mut sum = 0;
        for (member, takes) in self.each(members) {
            if !member.is_blocked() {
                sum += u64::from(takes.places?);
            }
        }
        Some(sum.max(1))
    }

    /// The deployments of a group that may get requests; none if the name leads nowhere.
    pub(crate) fn members(&self, group: &str) -> Vec<Arc<Deployment>> {
        let snapshot = self.deployments.load();
        let members = snapshot.resolve(group).map(|group| group.members());
        let members = members.unwrap_or_default().iter();
        members.filter(|it| !it.is_blocked()).cloned().collect()
    }

    /// What a deployment takes now.
    pub(crate) fn takes(&self, deployment: &Arc<Deployment>) -> Takes {
        self.takes_with(deployment, self.health.out_until(deployment))
    }

    /// What each of these takes now.
    pub(crate) fn each<'a>(
        &self,
        deployments: &'a [Arc<Deployment>],
    ) -> impl Iterator<Item = (&'a Arc<Deployment>, Takes)> {
        let out = self.health.out_of(deployments);
        let each = deployments.iter().zip(out);
        each.map(|(deployment, out)| (deployment, self.takes_with(deployment, out)))
    }

    /// What a deployment takes now, which its checks keep out until then, if they do.
    fn takes_with(&self, deployment: &Deployment, unhealthy: Option<Instant>) -> Takes {
        let out = |places, until| Takes {
            places: Some(places),
            serves: false,
            until,
        };
        match self.cooldown.state(deployment.id()) {
            Rest::Resting { until, .. } => return out(0, Some(until)),
            Rest::HalfOpen { .. } => return out(1, None),
            _ => {}
        }
        if unhealthy.is_some() {
            return out(0, unhealthy);
        }
        // Each model of a wildcard has a limit of its own.
        let is_one = !deployment.model().contains('*');
        Takes {
            places: is_one
                .then(|| limit(&self.concurrency, deployment))
                .flatten(),
            serves: true,
            until: None,
        }
    }
}

/// How many attempts may be in flight at a deployment, by whichever limit.
pub(crate) fn limit(concurrency: &ConcurrencyLayer, deployment: &Deployment) -> Option<u32> {
    let limit = concurrency.limit(deployment);
    limit.or(deployment.max_parallel())
}

impl Router {
    /// The limits of what is in flight at each deployment, as they are now.
    #[must_use]
    pub fn concurrency(&self) -> &ConcurrencyLayer {
        &self.state().concurrency
    }

    /// How many attempts may be in flight at a deployment, by whichever limit; `None` for any number.
    #[must_use]
    pub fn in_flight_limit(&self, deployment: &Deployment) -> Option<u32> {
        limit(self.concurrency(), deployment)
    }

    /// How many attempts may be in flight at the deployments of a group together, of those that
    /// neither rest nor get no requests for their checks: the sum of their limits, at least 1. `None` if
    /// one of them takes any number, as a wildcard does, or the name leads nowhere.
    #[must_use]
    pub fn group_capacity(&self, name: &str) -> Option<u64> {
        self.state().queues.group_gates().limits().of(name)
    }
}

//! The balancer's own side of the list of deployments.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{Deployment, DeploymentId, Deployments, Snapshot};

use crate::{
    cells::{Cell, Clock},
    pool::Pool,
};

/// A snapshot, and a pool for each of its groups.
#[derive(Debug)]
pub(crate) struct View {
    snapshot: Arc<Snapshot>,
    pools: Vec<Pool>,
    by_group: HashMap<Arc<str>, usize>,
    /// In which pool, and where in it, a deployment is first.
    by_id: HashMap<DeploymentId, (usize, usize)>,
}

impl View {
    /// A view that takes over what the previous one knows of the deployments that are still there,
    /// except refusals: a new configuration may have lifted their cause.
    fn new(snapshot: Arc<Snapshot>, previous: Option<&Self>, clock: Clock) -> Self {
        let mut known = HashMap::new();
        for pool in previous.into_iter().flat_map(|view| &view.pools) {
            for (_, cell) in pool.cells() {
                cell.load().forget_hint();
            }
            known.extend(pool.cells());
        }
        // A deployment may be in several groups and has one cell: that of its own group, which is
        // made first, so that the cells of a group lie side by side.
        let mut groups: Vec<_> = snapshot.groups().collect();
        groups.sort_by_key(|group| {
            let is_own = |member: &Arc<Deployment>| member.group() == &**group.name();
            !group.members().iter().all(is_own)
        });
        let pools: Vec<_> = groups
            .into_iter()
            .map(|group| {
                let pool = Pool::new(group, &known, clock);
                known.extend(pool.cells());
                pool
            })
            .collect();
        let by_group = pools
            .iter()
            .enumerate()
            .map(|(at, pool)| (Arc::clone(pool.group().name()), at))
            .collect();
        let mut by_id = HashMap::new();
        for (at, pool) in pools.iter().enumerate() {
            for (index, member) in pool.members().iter().enumerate() {
                by_id.entry(member.id().clone()).or_insert((at, index));
            }
        }
        Self {
            snapshot,
            pools,
            by_group,
            by_id,
        }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(crate) fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// What is known of a deployment.
    pub(crate) fn cell(&self, id: &DeploymentId) -> Option<Cell> {
        let (pool, index) = self.by_id.get(id)?;
        Some(self.pools[*pool].cell(*index))
    }

    /// Which pool serves a name, and where in it the deployment is to which a request is pinned;
    /// `None` if that is not in it. A name that is that of the deployment is served by its group.
    pub(crate) fn pinned(&self, name: &str, id: &DeploymentId) -> Option<(usize, usize)> {
        let is_it = |member: &Arc<Deployment>| member.id() == id;
        let within = |pool: usize| {
            let members = self.pools[pool].members();
            members.iter().position(is_it).map(|index| (pool, index))
        };
        if name == id.as_str() {
            let group = self.snapshot.get(id)?.group();
            return within(*self.by_group.get(group)?);
        }
        within(self.route(name)?.0)
    }

    /// Which pool serves a name, and which of its members alone, if the name is that of one.
    pub(crate) fn route(&self, name: &str) -> Option<(usize, Option<usize>)> {
        let route = self.snapshot.route(name)?;
        let pool = *self.by_group.get(route.group.name())?;
        let is_it = |only: &Arc<Deployment>| {
            let members = self.pools[pool].members();
            members.iter().position(|member| member.id() == only.id())
        };
        match route.only {
            Some(only) => Some((pool, Some(is_it(only)?))),
            None => Some((pool, None)),
        }
    }
}

/// The current view, made anew by the first request that finds the snapshot swapped.
#[derive(Debug)]
pub(crate) struct Views {
    deployments: Deployments,
    current: ArcSwap<View>,
    renewing: Mutex<()>,
    clock: Clock,
}

impl Views {
    pub(crate) fn new(deployments: Deployments) -> Self {
        let clock = Clock::new(Instant::now());
        let view = View::new(deployments.load(), None, clock);
        Self {
            deployments,
            current: ArcSwap::from_pointee(view),
            renewing: Mutex::new(()),
            clock,
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// The view of the current snapshot; the previous one while another request renews it.
    pub(crate) fn load(&self) -> Arc<View> {
        let view = self.current.load_full();
        let snapshot = self.deployments.load();
        if Arc::ptr_eq(&view.snapshot, &snapshot) {
            return view;
        }
        let Some(_renewing) = self.renewing.try_lock() else {
            return view;
        };
        let view = self.current.load_full();
        let snapshot = self.deployments.load();
        if Arc::ptr_eq(&view.snapshot, &snapshot) {
            return view;
        }
        tracing::debug!(generation = snapshot.generation(), "new deployments");
        let view = Arc::new(View::new(snapshot, Some(&view), self.clock));
        self.current.store(Arc::clone(&view));
        view
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ziggurat_core::{Reason, Rejection, RoutingGroup, Scope};

    use super::*;

    fn snapshot(ids: &[&str]) -> Snapshot {
        Snapshot::new(ids.iter().map(|id| Deployment::new(*id, "g", "m")))
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_keeps_counts_and_forgets_hints() {
        let deployments = Deployments::new(snapshot(&["a", "b"]));
        let views = Views::new(deployments.clone());
        let now = Instant::now();
        let before = views.load();
        let cell = before.pools()[0].cell(1);
        cell.load().enter();
        let refusal = Rejection::new(Reason::Cooldown, Scope::Deployment);
        cell.refuse(&refusal, now, Duration::from_secs(1));
        assert!(cell.load().see().is_hinted(views.clock().millis(now)));

        deployments.swap(snapshot(&["b", "c"]));
        let after = views.load();
        let seen = after.pools()[0].cell(0).load().see();
        assert_eq!((seen.in_flight(), seen.hinted_until()), (1, 0));
        assert!(Arc::ptr_eq(&after, &views.load()), "it is made once");
        cell.load().leave();
        assert_eq!(after.pools()[0].cell(0).load().see().in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deployment_in_several_groups_has_one_count() {
        let both = RoutingGroup {
            name: Arc::from("both"),
            models: vec![(Arc::from("g"), None), (Arc::from("h"), Some(2))],
        };
        let members = [
            Deployment::new("a", "g", "m"),
            Deployment::new("b", "h", "m"),
        ];
        let snapshot = Snapshot::new(members).with_routing_groups([both]);
        let views = Views::new(Deployments::new(snapshot));
        let view = views.load();
        let pool = |name| &view.pools()[view.route(name).expect("is there").0];
        pool("h").cell(0).load().enter();
        let both = pool("both");
        let counts: Vec<_> = (0..2)
            .map(|i| both.cell(i).load().see().in_flight())
            .collect();
        let b = both.members().iter().position(|m| m.id().as_str() == "b");
        assert_eq!(counts[b.expect("is there")], 1);
        assert_eq!(counts.iter().sum::<u32>(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn while_one_request_renews_the_view_others_use_the_old_one() {
        let deployments = Deployments::new(snapshot(&["a"]));
        let views = Views::new(deployments.clone());
        let before = views.load();
        deployments.swap(snapshot(&["b"]));
        let renewing = views.renewing.lock();
        assert!(Arc::ptr_eq(&before, &views.load()));
        drop(renewing);
        assert!(!Arc::ptr_eq(&before, &views.load()));
    }
}

//! The balancer's own side of the list of deployments.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{Deployments, Snapshot};

use crate::pool::{Clock, Pool};

/// A snapshot, and a pool for each of its groups.
#[derive(Debug)]
pub(crate) struct View {
    snapshot: Arc<Snapshot>,
    pools: Vec<Pool>,
    by_group: HashMap<Arc<str>, usize>,
}

impl View {
    /// A view that takes over what the previous one knows of the deployments that are still there,
    /// except refusals: a new configuration may have lifted their cause.
    fn new(snapshot: Arc<Snapshot>, previous: Option<&Self>, clock: Clock) -> Self {
        let mut known = HashMap::new();
        for pool in previous.into_iter().flat_map(|view| &view.pools) {
            for (index, member) in pool.members().iter().enumerate() {
                let cell = pool.cell(index);
                cell.load().forget_hint();
                known.insert(member.id().clone(), cell);
            }
        }
        let pools: Vec<_> = snapshot
            .groups()
            .map(|group| Pool::new(group, &known, clock))
            .collect();
        let by_group = pools
            .iter()
            .enumerate()
            .map(|(at, pool)| (Arc::clone(pool.group().name()), at))
            .collect();
        Self {
            snapshot,
            pools,
            by_group,
        }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(crate) fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// Which pool serves a name.
    pub(crate) fn resolve(&self, name: &str) -> Option<usize> {
        let group = self.snapshot.resolve(name)?;
        self.by_group.get(group.name()).copied()
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

    use ziggurat_core::{Deployment, Reason, Rejection, Scope};

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

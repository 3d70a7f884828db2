//! The instances of a layer, by deployment.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use ziggurat_core::{Deployment, DeploymentId, Deployments, Idle, Keyed};

/// One service for each deployment: bounded, and without those that a reload took away.
#[derive(Debug)]
pub(super) struct Instances<T> {
    kept: Keyed<DeploymentId, Instance<T>>,
    deployments: Option<Deployments>,
    generation: AtomicU64,
}

/// What requests to one deployment clone.
#[derive(Debug)]
pub(super) struct Instance<T> {
    service: Mutex<T>,
    id: DeploymentId,
    /// The deployment as it is configured.
    of: DeploymentId,
}

/// What a service keeps is not known. One that is held is not forgotten, and the one that was used
/// longest ago goes first.
impl<T> Idle for Instance<T> {
    fn is_idle(&self) -> bool {
        true
    }
}

impl<T: Clone> Instance<T> {
    pub(super) fn service(&self) -> T {
        self.service.lock().clone()
    }
}

impl<T> Instances<T> {
    pub(super) fn new(capacity: usize, deployments: Option<Deployments>) -> Self {
        let generation = deployments.as_ref().map(|it| it.load().generation());
        Self {
            kept: Keyed::new(capacity),
            deployments,
            generation: AtomicU64::new(generation.unwrap_or_default()),
        }
    }

    /// The instance of a deployment, made by `make` if it has none.
    pub(super) fn get(&self, of: &Deployment, make: impl FnOnce() -> T) -> Arc<Instance<T>> {
        self.follow();
        self.kept.get_or_insert_with(of.id(), || Instance {
            service: Mutex::new(make()),
            id: of.id().clone(),
            of: of.public_id().clone(),
        })
    }

    /// Forgets an instance that is of no more use, unless another has taken its place.
    pub(super) fn forget(&self, instance: &Arc<Instance<T>>) {
        let is_kept = self.kept.get(&instance.id);
        if is_kept.is_some_and(|kept| Arc::ptr_eq(&kept, instance)) {
            self.kept.retain(|_, kept| !Arc::ptr_eq(kept, instance));
        }
    }

    /// Forgets those that are gone, once for each new list of deployments.
    fn follow(&self) {
        let Some(deployments) = &self.deployments else {
            return;
        };
        let snapshot = deployments.load();
        let generation = snapshot.generation();
        if self.generation.swap(generation, Relaxed) == generation {
            return;
        }
        let is_there = |of: &DeploymentId| snapshot.get(of).is_some();
        self.kept.retain(|_, instance| is_there(&instance.of));
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Snapshot;

    use super::*;

    fn get(instances: &Instances<u32>, of: &Deployment) -> u32 {
        instances.get(of, || fastrand::u32(..)).service()
    }

    #[test]
    fn a_reload_takes_away_the_instances_of_what_is_gone_and_keeps_the_others() {
        let member = |id: &str| Deployment::new(id, "g", "m");
        let wild = Arc::new(Deployment::new("wild", "x/*", "*"));
        let deployments =
            Deployments::from_iter([member("a"), member("b"), Deployment::clone(&wild)]);
        let instances = Instances::new(100, Some(deployments.clone()));
        let all = [member("a"), member("b"), wild.for_model("4")];
        let before = all.clone().map(|of| get(&instances, &of));
        deployments.swap(Snapshot::new([member("a"), Deployment::clone(&wild)]));
        assert_eq!(get(&instances, &all[0]), before[0]);
        assert_eq!(instances.len(), 2);
        assert_eq!(get(&instances, &all[2]), before[2]);
    }

    #[test]
    fn there_are_never_more_than_was_said() {
        let instances = Instances::new(32, None);
        for i in 0..1_000 {
            get(
                &instances,
                &Deployment::new(i.to_string().as_str(), "g", "m"),
            );
        }
        assert!(instances.len() <= 32);
    }
}

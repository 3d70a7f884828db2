//! The capacity of each gate.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use ziggurat_config::{QueuePer, QueueSettings};
use ziggurat_core::{DeploymentId, Deployments, Extract, Snapshot};
use ziggurat_priority_queue::{Capacity, Parts};

use super::group_gates::GroupGates;

/// The capacity of each gate, which changes where the configuration does. A handle.
#[derive(Clone, Debug)]
pub(crate) struct Capacities(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    per: QueuePer,
    deployments: Deployments,
    /// Of groups, if they go by what their deployments take.
    groups: Option<GroupGates>,
    /// Of capacities that are those of all instances.
    parts: Option<Parts>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    /// Where nobody says otherwise.
    usual: Option<u32>,
    /// By group or deployment; of those that have been asked for, and are there.
    gates: HashMap<Arc<str>, Capacity>,
}

impl Capacities {
    pub(super) fn new(
        settings: &QueueSettings,
        deployments: &Deployments,
        groups: &GroupGates,
        parts: Option<Parts>,
    ) -> Self {
        let (usual, gates) = (settings.capacity, HashMap::new());
        Self(Arc::new(Inner {
            per: settings.per,
            deployments: deployments.clone(),
            groups: settings.follows_deployments().then(|| groups.clone()),
            parts,
            known: Mutex::new(Known { usual, gates }),
        }))
    }

    /// The deployments as they are now.
    pub(super) fn deployments(&self) -> Arc<Snapshot> {
        self.0.deployments.load()
    }

    /// The capacity of a gate, that much at first.
    pub(super) fn of(&self, name: &str, units: usize) -> Capacity {
        let mut is_new = false;
        let capacity = {
            let mut known = self.0.known.lock();
            let gate = known.gates.entry(Arc::from(name));
            let capacity = gate.or_insert_with(|| {
                is_new = true;
                Capacity::new(units)
            });
            capacity.clone()
        };
        if is_new && let Some(groups) = &self.0.groups {
            groups.follow(name, capacity.clone());
        }
        self.part_of(name, &capacity)
    }

    /// What this instance has of a capacity.
    fn part_of(&self, name: &str, whole: &Capacity) -> Capacity {
        let Some(parts) = &self.0.parts else {
            return whole.clone();
        };
        match self.0.per {
            QueuePer::Group => parts.of(&format!("group {name}"), whole),
            // It leads any number of gates, and a part leads one: those are each instance's own.
            QueuePer::Deployment if name.is_empty() => whole.clone(),
            QueuePer::Deployment => parts.of(&format!("deployment {name}"), whole),
            _ => parts.of("global", whole),
        }
    }

    /// Whether a gate has a capacity of that name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.known.lock().gates.contains_key(name)
    }

    /// Changes what holds where nobody says otherwise, when somebody [looks](Self::look).
    pub(super) fn set_usual(&self, usual: Option<u32>) {
        self.0.known.lock().usual = usual;
    }

    /// Takes over what the settings and the deployments say now.
    pub(super) fn look(&self) {
        let snapshot = self.0.deployments.load();
        let mut changed = Vec::new();
        let usual = {
            let Known { usual, gates } = &mut *self.0.known.lock();
            gates.retain(|name, capacity| {
                let (is_there, most) = match self.0.per {
                    QueuePer::Deployment => match snapshot.get(&DeploymentId::from(&**name)) {
                        Some(deployment) => (true, deployment.max_parallel().or(*usual)),
                        None => (name.is_empty(), *usual),
                    },
                    QueuePer::Group => (snapshot.resolve(name).is_some(), *usual),
                    _ => (true, *usual),
                };
                changed.push((capacity.clone(), units(most)));
                is_there
            });
            *usual
        };
        if let Some(groups) = &self.0.groups {
            return groups.look(units(usual));
        }
        for (capacity, units) in changed {
            capacity.set(units);
        }
    }

    fn usual(&self) -> Option<u32> {
        self.0.known.lock().usual
    }
}

/// As many as are named, or any number.
pub(super) fn units(named: Option<u32>) -> usize {
    named.map_or(usize::MAX, |units| units as usize)
}

impl Extract<Option<Capacity>, Arc<str>> for Capacities {
    /// Of a group. What is asked for and leads nowhere has none, and is refused beneath.
    fn extract(&self, group: &Arc<str>) -> Option<Capacity> {
        let snapshot = self.0.deployments.load();
        snapshot.resolve(group)?;
        Some(self.of(group, units(self.usual())))
    }
}

impl Extract<Option<Capacity>, DeploymentId> for Capacities {
    /// Of a deployment: its own, or what is usual.
    fn extract(&self, id: &DeploymentId) -> Option<Capacity> {
        let snapshot = self.0.deployments.load();
        let Some(deployment) = snapshot.get(id) else {
            // Made for a model or a client, of which there may be any number.
            let usual = units(Some(self.usual()?));
            return Some(self.of("", usual));
        };
        let most = deployment.max_parallel().or(self.usual())?;
        Some(self.of(id.as_str(), units(Some(most))))
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_concurrency::ConcurrencyLayer;
    use ziggurat_core::{ConcurrencyMode, Deployment};

    use super::*;

    #[test]
    fn a_capacity_of_deployments_that_are_not_listed_is_each_instance_s_own() {
        let deployments = Deployments::new(Snapshot::new([Deployment::new("a", "gpt", "m")]));
        let groups = GroupGates::over(&deployments, &ConcurrencyLayer::new(ConcurrencyMode::Off));
        let mut settings = QueueSettings::default();
        (settings.per, settings.capacity) = (QueuePer::Deployment, Some(4));
        let parts = Parts::new();
        let capacities = Capacities::new(&settings, &deployments, &groups, Some(parts.clone()));
        for (id, part, is_shared) in [
            ("a", "deployment a", true),
            ("made for a model", "deployment ", false),
            ("and for another", "deployment ", false),
        ] {
            let capacity: Option<Capacity> = capacities.extract(&DeploymentId::from(id));
            assert!(capacity.is_some(), "{id}");
            assert_eq!(parts.depth(part).is_some(), is_shared, "{id}");
        }
    }
}

//! Keeps the gates of groups as wide as what their deployments take.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use ziggurat_core::{Deployment, DeploymentId};
use ziggurat_priority_queue::Capacity;

use super::group_limits::{GroupLimits, Takes};

/// The capacities of gates of whole groups. A handle.
///
/// A capacity is the sum of what the deployments of its group take. It is set as soon as one of them
/// takes another number, on the task that found that out, so that nobody is let through to a place
/// that has just gone. That a rest is over nobody finds out: [`run`](Self::run) waits for it.
#[derive(Clone)]
pub(crate) struct GroupGates(Arc<Inner>);

struct Inner {
    limits: GroupLimits,
    /// What no capacity is over.
    most: AtomicUsize,
    known: Mutex<Known>,
    /// When deployments take another number without anybody finding that out.
    ends: Mutex<HashMap<DeploymentId, Instant>>,
    has_new_end: Notify,
}

#[derive(Default)]
struct Known {
    gates: HashMap<Arc<str>, Arc<Gate>>,
    /// The gates of the groups that a deployment is a member of.
    of: HashMap<DeploymentId, Vec<Arc<Gate>>>,
}

struct Gate {
    group: Arc<str>,
    capacity: Capacity,
    sum: Mutex<Sum>,
}

impl GroupGates {
    /// No gates yet. From now on it is told of what the layers find out.
    pub(crate) fn new(limits: GroupLimits) -> Self {
        let inner = Arc::new(Inner {
            limits,
            most: AtomicUsize::new(usize::MAX),
            known: Mutex::default(),
            ends: Mutex::default(),
            has_new_end: Notify::new(),
        });
        let told = |look: fn(&Inner, &DeploymentId)| {
            let inner = Arc::downgrade(&inner);
            move |id: &DeploymentId| inner.upgrade().iter().for_each(|inner| look(inner, id))
        };
        let layers = &inner.limits;
        layers.concurrency.on_change(told(Inner::look_at));
        layers.cooldown.on_change(told(Inner::look_at));
        // Where all are unhealthy all serve, so what one is speaks of the others.
        layers.health.on_change(told(Inner::look_around));
        Self(inner)
    }

    pub(crate) fn limits(&self) -> &GroupLimits {
        &self.0.limits
    }

    /// Sets a capacity from now on to what a group takes.
    pub(crate) fn follow(&self, group: &str, capacity: Capacity) {
        let gate = Arc::new(Gate {
            group: Arc::from(group),
            capacity,
            sum: Mutex::default(),
        });
        self.0.known.lock().enter(&gate, &self.0.limits);
        self.0.look_at_all(&gate);
    }

    /// Looks at all groups anew, of which none is to take more than `most`: settings or deployments
    /// have changed.
    pub(crate) fn look(&self, most: usize) {
        let Inner {
            limits,
            known,
            ends,
            ..
        } = &*self.0;
        self.0.most.store(most, Relaxed);
        let snapshot = limits.deployments.load();
        ends.lock().retain(|id, _| snapshot.get(id).is_some());
        let mut gates: Vec<Arc<Gate>> = Vec::new();
        {
            let mut known = known.lock();
            let before = std::mem::take(&mut *known).gates;
            gates.extend(before.into_values());
            gates.retain(|gate| snapshot.resolve(&gate.group).is_some());
            gates.iter().for_each(|gate| known.enter(gate, limits));
        }
        gates.iter().for_each(|gate| self.0.look_at_all(gate));
    }

    /// Forgets all gates, whose capacities stay what they are.
    pub(crate) fn clear(&self) {
        *self.0.known.lock() = Known::default();
    }

    /// Looks at deployments whose rests are over, for ever: to be run in the background.
    pub(crate) fn run(&self) -> impl Future<Output = ()> + Send + use<> {
        let inner = Arc::clone(&self.0);
        async move {
            loop {
                let next = inner.ends.lock().values().min().copied();
                let over = async {
                    match next {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = inner.has_new_end.notified() => {}
                    () = over => inner.look_at_ended(Instant::now()),
                }
            }
        }
    }
}

impl fmt::Debug for GroupGates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gates = self.0.known.lock().gates.len();
        f.debug_struct("GroupGates").field("gates", &gates).finish()
    }
}

impl Known {
    fn enter(&mut self, gate: &Arc<Gate>, limits: &GroupLimits) {
        for member in limits.members(&gate.group) {
            let gates = self.of.entry(member.id().clone()).or_default();
            gates.push(Arc::clone(gate));
        }
        self.gates.insert(Arc::clone(&gate.group), Arc::clone(gate));
    }
}

impl Inner {
    fn gates_of(&self, id: &DeploymentId) -> Vec<Arc<Gate>> {
        let known = self.known.lock();
        known.of.get(id).cloned().unwrap_or_default()
    }

    /// Looks at a deployment.
    fn look_at(&self, id: &DeploymentId) {
        for gate in self.gates_of(id) {
            self.change(&gate, |sum| {
                let snapshot = self.limits.deployments.load();
                match snapshot.get(id) {
                    Some(member) if sum.parts.contains_key(id) => {
                        self.put(sum, member, self.limits.takes(member))
                    }
                    _ => false,
                }
            });
        }
    }

    /// Looks at a deployment and whoever is in a group with it.
    fn look_around(&self, id: &DeploymentId) {
        let gates = self.gates_of(id);
        gates.iter().for_each(|gate| self.look_at_all(gate));
    }

    fn look_at_all(&self, gate: &Gate) {
        self.change(gate, |sum| {
            *sum = Sum::default();
            let members = self.limits.members(&gate.group);
            let each = self.limits.each(&members);
            let ends = each.filter(|(member, takes)| self.put(sum, member, *takes));
            ends.count() > 0
        });
    }

    fn look_at_ended(&self, now: Instant) {
        let ended: Vec<_> = self.ends.lock().extract_if(|_, at| *at <= now).collect();
        ended.iter().for_each(|(id, _)| self.look_around(id));
    }

    /// Changes the sum of a group, under its lock, so that what is found out last counts. `change`
    /// returns whether there is another end.
    fn change(&self, gate: &Gate, change: impl FnOnce(&mut Sum) -> bool) {
        let has_new_end = change(&mut gate.sum.lock());
        let units = || gate.sum.lock().units().min(self.most.load(Relaxed));
        // Not under the lock, since it wakes tasks. Of several that change a sum at once, who sets
        // the capacity last looks whether it is the sum that was changed last.
        let mut set = units();
        loop {
            gate.capacity.set(set);
            let now = units();
            if now == set {
                break;
            }
            set = now;
        }
        if has_new_end {
            self.has_new_end.notify_one();
        }
    }

    /// Enters what a deployment takes. Returns whether that has another end than before.
    fn put(&self, sum: &mut Sum, member: &Deployment, takes: Takes) -> bool {
        let id = member.id();
        let told_above = takes.places.unwrap_or(u32::MAX);
        let in_flight = self.limits.concurrency.in_flight_above(id, told_above);
        sum.put(
            id,
            Part {
                // What is in flight beyond the limit is let through already, and keeps nobody from
                // the places of others.
                places: takes.places.map(|places| places.max(in_flight)),
                serves: takes.serves,
            },
        );
        let mut ends = self.ends.lock();
        match takes.until {
            Some(until) => ends.insert(id.clone(), until) != Some(until),
            None => {
                ends.remove(id);
                false
            }
        }
    }
}

/// What the deployments of a group take together.
#[derive(Debug, Default)]
struct Sum {
    parts: HashMap<DeploymentId, Part>,
    /// Of those that take a number.
    places: u64,
    /// How many take any number.
    unlimited: usize,
    serving: usize,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    /// `None` for any number.
    places: Option<u32>,
    serves: bool,
}

impl Sum {
    fn put(&mut self, id: &DeploymentId, part: Part) {
        if let Some(before) = self.parts.insert(id.clone(), part) {
            self.serving -= usize::from(before.serves);
            match before.places {
                Some(places) => self.places -= u64::from(places),
                None => self.unlimited -= 1,
            }
        }
        self.serving += usize::from(part.serves);
        match part.places {
            Some(places) => self.places += u64::from(places),
            None => self.unlimited += 1,
        }
    }

    /// Where nobody serves nobody is held up: there is nothing to wait for, and another group may
    /// serve.
    fn units(&self) -> usize {
        if self.serving == 0 || self.unlimited > 0 {
            return usize::MAX;
        }
        usize::try_from(self.places.max(1)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::FutureExt as _;
    use tower::{Layer as _, ServiceExt as _, service_fn};
    use ziggurat_concurrency::ConcurrencyLayer;
    use ziggurat_cooldown::{CooldownLayer, CooldownPolicy};
    use ziggurat_core::{
        ConcurrencyMode, Deployments, Error, LlmRequest, LlmResponse, Routed, Snapshot,
    };
    use ziggurat_health::{HealthChecks, HealthPolicy};

    use super::*;

    impl GroupGates {
        pub(in crate::queueing) fn over(
            deployments: &Deployments,
            concurrency: &ConcurrencyLayer,
        ) -> Self {
            Self::new(GroupLimits {
                cooldown: CooldownLayer::new(CooldownPolicy::new()),
                health: HealthChecks::new(deployments.clone(), HealthPolicy::new()),
                concurrency: concurrency.clone(),
                deployments: deployments.clone(),
            })
        }
    }

    #[test]
    fn of_a_deployment_that_takes_any_number_no_end_of_an_attempt_is_told() {
        let deployments = Deployments::new(Snapshot::new([Deployment::new("a", "gpt", "m")]));
        let concurrency = ConcurrencyLayer::new(ConcurrencyMode::Off);
        let told = Arc::new(AtomicUsize::new(0));
        let tells = Arc::clone(&told);
        concurrency.on_change(move |_| {
            tells.fetch_add(1, Relaxed);
        });
        let gates = GroupGates::over(&deployments, &concurrency);
        gates.follow("gpt", Capacity::unbounded());
        let service = concurrency.layer(service_fn(async |_: Routed<LlmRequest>| {
            pending::<Result<LlmResponse, Error>>().await
        }));
        let snapshot = deployments.load();
        let member = snapshot.get(&"a".into()).expect("is listed");
        let routed = Routed::new(LlmRequest::chat("gpt", "hi"), Arc::clone(member));
        let mut call = Box::pin(service.oneshot(routed));
        assert!((&mut call).now_or_never().is_none());
        // As while it rests.
        assert_eq!(concurrency.in_flight_above(member.id(), 0), 1);
        gates.look(usize::MAX);
        drop(call);
        assert_eq!(told.load(Relaxed), 0);
    }
}

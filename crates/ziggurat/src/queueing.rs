//! Who waits where, and whose it is.

mod capacities;
mod claims;
mod group_gates;
mod group_limits;

use std::{num::NonZeroU32, sync::Arc};

use parking_lot::Mutex;
use ziggurat_config::{Plan, QueueClass, QueueOrder, QueuePer, QueueSettings};
use ziggurat_core::{DeploymentId, Deployments, Extract, LlmRequest, Routed};
use ziggurat_priority_queue::{
    Class, ClassStats, Each, One, Order, Parts, PriorityQueueLayer, Rules, Stats as QueueStats,
};

pub(crate) use self::{
    capacities::Capacities,
    claims::ClaimOf,
    group_limits::{GroupLimits, limit},
};
use self::{capacities::units, group_gates::GroupGates};

pub(crate) type GlobalQueue = PriorityQueueLayer<ClaimOf, One>;
pub(crate) type GroupQueue = PriorityQueueLayer<ClaimOf, Each<Arc<str>, GroupOf, Capacities>>;
pub(crate) type DeploymentQueue =
    PriorityQueueLayer<ClaimOf, Each<DeploymentId, DeploymentOf, Capacities>>;

/// The queue of a plan, if it has one.
#[derive(Clone, Debug)]
pub(crate) enum Queue {
    Global(GlobalQueue),
    Group(GroupQueue),
    Deployment(DeploymentQueue),
}

/// The queue that is used, what it was made of, and what this instance has of capacities that are
/// those of all.
pub(crate) struct Queues {
    current: Mutex<Option<(QueueSettings, Queue, Capacities)>>,
    group_gates: GroupGates,
    parts: Option<Parts>,
}

impl Queues {
    /// None yet. The gates of groups go by these limits, and capacities are those of all instances if
    /// there are parts of them.
    pub(crate) fn new(limits: GroupLimits, parts: Option<Parts>) -> Self {
        Self {
            current: Mutex::default(),
            group_gates: GroupGates::new(limits),
            parts,
        }
    }

    /// The queue of a plan. Who waits goes on to wait while nothing changes but capacities; otherwise
    /// a new queue begins beside the old one, which runs empty. Other capacities hold when somebody
    /// [looks](Self::look).
    pub(crate) fn of(&self, plan: &Plan, deployments: &Deployments) -> Option<Queue> {
        let settings = &plan.own.queue;
        let mut current = self.current.lock();
        if !settings.is_on() {
            *current = None;
            self.group_gates.clear();
            return None;
        }
        let kept = current.take().filter(|(before, ..)| {
            let mut alike = before.clone();
            if before.capacity.is_some() == settings.capacity.is_some() {
                alike.capacity = settings.capacity;
            }
            alike == *settings
        });
        let (queue, capacities) = match kept {
            Some((_, queue, capacities)) => {
                capacities.set_usual(settings.capacity);
                (queue, capacities)
            }
            None => {
                self.group_gates.clear();
                self.group_gates.look(units(settings.capacity));
                // What an instance has learned that the deployments of a group take is its own.
                let is_own = settings.per == QueuePer::Group && settings.capacity.is_none();
                let is_shared = settings.shared != Some(false) && !is_own;
                let parts = self.parts.clone().filter(|_| is_shared);
                let groups = &self.group_gates;
                let capacities = Capacities::new(settings, deployments, groups, parts);
                (Queue::new(settings, deployments, &capacities), capacities)
            }
        };
        let queue = queue.with_claims(ClaimOf::new(plan));
        *current = Some((settings.clone(), queue.clone(), capacities));
        Some(queue)
    }

    /// Looks at all capacities anew: settings or deployments have changed.
    pub(crate) fn look(&self) {
        let capacities = {
            let current = self.current.lock();
            let Some((_, queue, capacities)) = &*current else {
                return;
            };
            queue.retain(capacities);
            capacities.clone()
        };
        capacities.look();
    }

    /// The gates of groups that go by what their deployments take.
    pub(crate) const fn group_gates(&self) -> &GroupGates {
        &self.group_gates
    }

    /// What this instance has of capacities that are those of all.
    pub(crate) const fn parts(&self) -> Option<&Parts> {
        self.parts.as_ref()
    }

    /// How full it is, all gates together, and what became of the requests of each class.
    pub(crate) fn stats(&self) -> Option<(QueueStats, Vec<(Option<Arc<str>>, ClassStats)>)> {
        let current = self.current.lock();
        current.as_ref().map(|(_, queue, _)| match queue {
            Queue::Global(layer) => layer.overview(),
            Queue::Group(layer) => layer.overview(),
            Queue::Deployment(layer) => layer.overview(),
        })
    }
}

impl Queue {
    fn new(settings: &QueueSettings, deployments: &Deployments, capacities: &Capacities) -> Self {
        let rules = rules(settings);
        let claims = ClaimOf::default();
        let gates = capacities.clone();
        match settings.per {
            QueuePer::Group => {
                let key_by = GroupOf(deployments.clone());
                let layer = PriorityQueueLayer::keyed(key_by, gates, rules);
                Self::Group(layer.claim_by(claims))
            }
            QueuePer::Deployment => {
                let layer = PriorityQueueLayer::keyed(DeploymentOf, gates, rules);
                Self::Deployment(layer.claim_by(claims))
            }
            _ => {
                let capacity = capacities.of("", units(settings.capacity));
                let layer = PriorityQueueLayer::with_rules(capacity, rules);
                Self::Global(layer.claim_by(claims))
            }
        }
    }

    /// Forgets the gates of groups and deployments that are gone, before their capacities are, and
    /// gates whose capacity nobody sets any more. That of one which comes back begins anew.
    fn retain(&self, capacities: &Capacities) {
        let snapshot = capacities.deployments();
        match self {
            Self::Global(_) => {}
            Self::Group(layer) => layer.retain(|group| {
                let is_there = snapshot.resolve(group).is_some();
                is_there && capacities.knows(group)
            }),
            // What is made for a model or a client is not there, and has no capacity of its own.
            Self::Deployment(layer) => layer.retain(|id| {
                let is_there = snapshot.get(id).is_some();
                is_there == capacities.knows(id.as_str())
            }),
        }
    }

    fn with_claims(self, claims: ClaimOf) -> Self {
        match self {
            Self::Global(layer) => Self::Global(layer.claim_by(claims)),
            Self::Group(layer) => Self::Group(layer.claim_by(claims)),
            Self::Deployment(layer) => Self::Deployment(layer.claim_by(claims)),
        }
    }
}

/// The rules of a configuration, which has let through no classes that are none.
fn rules(settings: &QueueSettings) -> Rules {
    let size = |n: u32| n as usize;
    let mut rules = Rules::new().order(match settings.order {
        QueueOrder::Weighted => Order::Weighted,
        _ => Order::Strict,
    });
    if let Some(requests) = settings.max_waiting {
        rules = rules.max_waiting(size(requests));
    }
    if let Some(bytes) = settings.max_waiting_bytes {
        rules = rules.max_waiting_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    if let Some(time) = settings.max_wait {
        rules = rules.max_wait(time);
    }
    if let Some(units) = settings.max_cost {
        rules = rules.max_cost(size(units));
    }
    if let Some(time) = settings.aging {
        rules = rules.aging(time);
    }
    if let Some(requests) = settings.max_waiting_per_tenant {
        rules = rules.max_waiting_per_tenant(size(requests));
    }
    if let Some(requests) = settings.max_in_flight_per_tenant {
        rules = rules.max_in_flight_per_tenant(size(requests));
    }
    let classes = settings.classes.iter().map(class);
    let with_classes = rules.clone().classes(classes);
    with_classes.unwrap_or(rules)
}

fn class(settings: &QueueClass) -> Class {
    let weight = NonZeroU32::new(settings.weight).unwrap_or(NonZeroU32::MIN);
    let class = Class::new(Arc::clone(&settings.name), settings.up_to).weight(weight);
    match settings.max_wait {
        Some(time) => class.max_wait(time),
        None => class,
    }
}

/// The group that a request is for, by its own name.
#[derive(Clone, Debug)]
pub(crate) struct GroupOf(Deployments);

impl Extract<Arc<str>, LlmRequest> for GroupOf {
    fn extract(&self, request: &LlmRequest) -> Arc<str> {
        let snapshot = self.0.load();
        let name = request.group().as_str();
        let group = snapshot.resolve(name);
        group.map_or_else(|| Arc::from(name), |group| Arc::clone(group.name()))
    }
}

/// The deployment that was chosen for a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeploymentOf;

impl Extract<DeploymentId, Routed<LlmRequest>> for DeploymentOf {
    fn extract(&self, request: &Routed<LlmRequest>) -> DeploymentId {
        request.deployment().id().clone()
    }
}

/// Sends a request that has waited for a deployment to what that is now: its limits may be others.
pub(crate) fn to_current(
    deployments: &Deployments,
) -> impl Fn(Routed<LlmRequest>) -> Routed<LlmRequest> + Clone + use<> {
    let deployments = deployments.clone();
    move |routed| {
        let snapshot = deployments.load();
        match snapshot.get(routed.deployment().id()) {
            Some(current) => routed.with_deployment(Arc::clone(current)),
            None => routed,
        }
    }
}

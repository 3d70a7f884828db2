//! States as metrics, when somebody looks.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use ziggurat_core::{Deployment, DeploymentId, Snapshot};
use ziggurat_priority_queue::ClassStats;
use ziggurat_rate_limit::{Measure, Subject, money};
use ziggurat_telemetry::state::{self, DeploymentState};

use crate::{Router, alerts::Standing, queueing};

/// The deployments whose states were written the last time.
pub(crate) type Told = Mutex<HashMap<DeploymentId, Arc<Deployment>>>;

impl Router {
    /// Writes what are states and no events to the recorder of metrics: who serves, who rested how
    /// often, limits, how full the queue is. To be called before the metrics are rendered; it costs a
    /// few microseconds for each deployment, and requests cost nothing for it.
    pub fn record_states(&self) {
        let (built, state) = (self.built(), self.state());
        let checks = self.health_routes();
        let snapshot = self.deployments().load();
        let mut told = state.told.lock();
        told.retain(|id, before| {
            let stays = snapshot
                .get(id)
                .is_some_and(|now| is_told_alike(before, now));
            if !stays {
                state::gone(before);
            }
            stays
        });
        for deployment in snapshot.deployments() {
            let stats = built.balancer.stats(deployment.id());
            let seen = match self.standing(deployment, checks) {
                Standing::Out(_) => DeploymentState::Outage,
                Standing::Probed(_) => DeploymentState::Partial,
                Standing::Serves if stats.is_failing => DeploymentState::Partial,
                Standing::Serves => DeploymentState::Healthy,
            };
            state::deployment(deployment, seen, stats.in_flight);
            state::concurrency(deployment, queueing::limit(&state.concurrency, deployment));
            told.insert(deployment.id().clone(), Arc::clone(deployment));
        }
        self.cooldown().for_each_rest(|id, because, rests| {
            if let Some(deployment) = snapshot.get(id) {
                state::cooled_down(deployment, because, rests);
            }
        });
        self.record_provider_budgets(&snapshot);
        if let Some((queue, classes)) = state.queues.stats() {
            state::queue(queue.waiting, queue.in_flight, queue.capacity);
            for (name, class) in classes {
                record_class(name.as_deref().unwrap_or("all"), &class);
            }
        }
        if state.alerts.is_on() {
            state::alerts(state.alerts.dropped(), state.alerts.undelivered());
        }
    }
}

impl Router {
    /// Of each provider that has a budget, what is left of it.
    fn record_provider_budgets(&self, snapshot: &Snapshot) {
        let mut told: Vec<&str> = Vec::new();
        for deployment in snapshot.deployments() {
            let provider = deployment.provider();
            if told.contains(&provider) {
                continue;
            }
            told.push(provider);
            let limits = self.limits_of_deployment(deployment.id());
            let budgets = limits.iter().filter(|it| {
                it.key.subject() == Subject::Provider && it.left.limit.measure() == Measure::Money
            });
            if let Some(least) = budgets.map(|it| it.left.remaining()).min() {
                state::provider_budget(provider, money(least));
            }
        }
    }
}

/// What became of the requests of a class of the queue.
fn record_class(name: &str, class: &ClassStats) {
    let refused = [
        ("queue_full", class.refused_full),
        ("deadline", class.refused_deadline),
        ("busy", class.refused_busy),
        ("shed", class.shed),
        ("expired", class.expired),
        ("left", class.left),
    ];
    state::queue_class(name, class.waiting, class.waits, &refused);
}

/// Whether two descriptions of a deployment have the same labels and limits.
fn is_told_alike(a: &Deployment, b: &Deployment) -> bool {
    (
        a.group(),
        a.model(),
        a.provider(),
        a.base_url(),
        a.rpm(),
        a.tpm(),
    ) == (
        b.group(),
        b.model(),
        b.provider(),
        b.base_url(),
        b.rpm(),
        b.tpm(),
    )
}

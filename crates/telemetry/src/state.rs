//! States, which are written when somebody looks, and not with each request.
//!
//! Whoever renders the metrics calls these first. They ask the recorder anew each time, so they cost
//! a few microseconds for each deployment.

use metrics::{Label, counter, gauge};
use ziggurat_core::{Deployment, ErrorKind, Money};

use crate::{names, series::labels_of};

/// What a deployment is good for at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeploymentState {
    /// It serves.
    Healthy,
    /// It has just failed, or is probed.
    Partial,
    /// It gets no requests.
    Outage,
}

impl DeploymentState {
    const fn value(self) -> f64 {
        match self {
            Self::Healthy => 0.0,
            Self::Partial => 1.0,
            Self::Outage => 2.0,
        }
    }
}

/// Labels of a deployment, without its group.
fn without_group(deployment: &Deployment) -> Vec<Label> {
    let mut labels = labels_of(deployment);
    labels.remove(0);
    labels
}

/// Writes `litellm_deployment_state`, the configured limits, and how many attempts are in flight.
pub fn deployment(deployment: &Deployment, state: DeploymentState, in_flight: u32) {
    gauge!(names::STATE, without_group(deployment)).set(state.value());
    let labels = labels_of(deployment);
    gauge!(names::DEPLOYMENT_IN_FLIGHT, labels.clone()).set(in_flight);
    for (limit, name) in [
        (deployment.rpm(), names::RPM_LIMIT),
        (deployment.tpm(), names::TPM_LIMIT),
    ] {
        if let Some(limit) = limit {
            gauge!(name, labels.clone()).set(limit as f64);
        }
    }
}

/// Writes how many attempts may be in flight at a deployment; infinitely many where nothing limits
/// them.
pub fn concurrency(deployment: &Deployment, limit: Option<u32>) {
    let limit = limit.map_or(f64::INFINITY, f64::from);
    gauge!(names::CONCURRENCY_LIMIT, labels_of(deployment)).set(limit);
}

/// Says that a deployment is gone: its states are no numbers from now on.
pub fn gone(deployment: &Deployment) {
    let labels = labels_of(deployment);
    gauge!(names::STATE, without_group(deployment)).set(f64::NAN);
    gauge!(names::DEPLOYMENT_IN_FLIGHT, labels.clone()).set(f64::NAN);
    gauge!(names::CONCURRENCY_LIMIT, labels.clone()).set(f64::NAN);
    for (limit, name) in [
        (deployment.rpm(), names::RPM_LIMIT),
        (deployment.tpm(), names::TPM_LIMIT),
    ] {
        if limit.is_some() {
            gauge!(name, labels.clone()).set(f64::NAN);
        }
    }
}

/// Writes `litellm_deployment_cooled_down`: how many rests of a deployment began since the start, for
/// failures of that kind.
pub fn cooled_down(deployment: &Deployment, because: ErrorKind, rests: u64) {
    let mut labels = without_group(deployment);
    let status = because.rule().status.as_u16().to_string();
    labels.push(Label::new("exception_status", status));
    labels.push(Label::new("exception_class", because.as_str()));
    counter!(names::COOLED_DOWN, labels).absolute(rests);
}

/// Writes how full the queue is.
pub fn queue(waiting: usize, in_flight: usize, capacity: usize) {
    for (name, value) in [
        (names::QUEUE_WAITING, waiting),
        (names::QUEUE_IN_FLIGHT, in_flight),
        (names::QUEUE_CAPACITY, capacity),
    ] {
        let value = if value == usize::MAX {
            f64::INFINITY
        } else {
            value as f64
        };
        gauge!(name).set(value);
    }
}

/// Writes what a gateway holds, and how many connections it has refused since the start.
pub fn gateway(body_bytes: u64, connections: usize, refused: u64) {
    gauge!(names::BODY_BYTES).set(body_bytes as f64);
    gauge!(names::CONNECTIONS).set(connections as f64);
    counter!(names::CONNECTIONS_REFUSED).absolute(refused);
}

/// Writes what became of the requests of a class of the queue: how many wait, how many have waited
/// and got their turn, and how many have not, by what became of them. Classes are of the
/// configuration, and so are few.
pub fn queue_class(class: &str, waiting: usize, waits: u64, refused: &[(&'static str, u64)]) {
    let label = Label::new("class", class.to_owned());
    gauge!(names::QUEUE_CLASS_WAITING, vec![label.clone()]).set(waiting as f64);
    counter!(names::QUEUE_CLASS_WAITS, vec![label.clone()]).absolute(waits);
    for (reason, count) in refused {
        let labels = vec![label.clone(), Label::new("reason", *reason)];
        counter!(names::QUEUE_CLASS_REFUSED, labels).absolute(*count);
    }
}

/// Writes `litellm_provider_remaining_budget_metric`: what is left of the budget of a provider. Only
/// for those that have one.
pub fn provider_budget(provider: &str, left: Money) {
    let labels = vec![Label::new("api_provider", provider.to_owned())];
    gauge!(names::REMAINING_BUDGET, labels).set(left.dollars());
}

/// Writes how many alerts were lost since the start: for want of room, and since no webhook took them.
pub fn alerts(dropped: u64, undelivered: u64) {
    counter!(names::ALERTS_DROPPED).absolute(dropped);
    counter!(names::ALERTS_UNDELIVERED).absolute(undelivered);
}

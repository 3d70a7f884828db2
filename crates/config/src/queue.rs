//! Who waits, for how long, and who goes next.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use ziggurat_core::{Concurrency, ConcurrencyMode, Deployment};

use crate::{
    problem::Report,
    read::{Range, Section},
    source::{Facts, Show, show_by_name},
    tables::{QUEUE, QUEUE_CLASS},
};

/// How many classes there may be: each has metrics of its own.
const MOST_CLASSES: usize = 16;

/// `ziggurat_settings.queue`. `None` leaves the layer's own default.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct QueueSettings {
    /// Of what there is a queue each.
    pub per: QueuePer,
    /// Requests, or tokens, in flight before others wait. At least 1. Without it each group takes what
    /// its deployments take, if there is a queue of each.
    pub capacity: Option<u32>,
    /// Whether it is that of all instances together, where there is Redis; `None` for yes.
    pub shared: Option<bool>,
    /// What the capacity counts.
    pub count: QueueCount,
    /// So many tokens a request counts for at most. At least 1.
    pub max_cost: Option<u32>,
    /// Requests that may wait; beyond that the worst placed is refused.
    pub max_waiting: Option<u32>,
    /// How large those who wait may be, all together.
    pub max_waiting_bytes: Option<u64>,
    /// How long a request waits at most. Zero for not at all.
    pub max_wait: Option<Duration>,
    /// After how long a request stands where one of the next better priority does that comes now.
    pub aging: Option<Duration>,
    /// Which class goes next.
    pub order: QueueOrder,
    /// The classes, the best first. Each goes further than the one before it, and no name stands
    /// twice.
    pub classes: Vec<QueueClass>,
    /// Between whom the capacity is shared.
    pub tenant: QueueTenant,
    /// Requests of one tenant that may wait.
    pub max_waiting_per_tenant: Option<u32>,
    /// Requests of one tenant that may be in flight. At least 1.
    pub max_in_flight_per_tenant: Option<u32>,
}

impl QueueSettings {
    /// Whether there is a queue.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.capacity.is_some() || self.per == QueuePer::Deployment || self.follows_deployments()
    }

    /// Whether each group takes what its deployments take, which is requests, and no more than
    /// `capacity`.
    #[must_use]
    pub fn follows_deployments(&self) -> bool {
        self.per == QueuePer::Group && self.count == QueueCount::Requests
    }
}

/// An entry of `ziggurat_settings.queue.classes`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct QueueClass {
    /// How it is called, in metrics too.
    pub name: Arc<str>,
    /// The last priority that is of it; the last class takes all that are left.
    pub up_to: i64,
    /// Its part of the capacity, by weight. At least 1.
    pub weight: u32,
    /// How long its requests wait at most, in the place of `max_wait`.
    pub max_wait: Option<Duration>,
}

/// Of what there is a queue each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueuePer {
    /// One for all, above the fallbacks.
    #[default]
    Global,
    /// One for each group, beneath the fallbacks.
    Group,
    /// One for each deployment, of its `max_parallel_requests`.
    Deployment,
}

/// What a capacity counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueCount {
    /// Requests.
    #[default]
    Requests,
    /// Tokens, as they are estimated before.
    Tokens,
}

/// Which class goes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueOrder {
    /// The best.
    #[default]
    Strict,
    /// Each in turn, by weight.
    Weighted,
}

/// Between whom the capacity is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueTenant {
    /// Between keys.
    #[default]
    Key,
    /// Between teams; keys without one are a team each.
    Team,
}

const PER: &[(&str, QueuePer)] = &[
    ("global", QueuePer::Global),
    ("group", QueuePer::Group),
    ("deployment", QueuePer::Deployment),
];
const COUNT: &[(&str, QueueCount)] = &[
    ("requests", QueueCount::Requests),
    ("tokens", QueueCount::Tokens),
];
const ORDER: &[(&str, QueueOrder)] = &[
    ("strict", QueueOrder::Strict),
    ("weighted", QueueOrder::Weighted),
];
const TENANT: &[(&str, QueueTenant)] = &[("key", QueueTenant::Key), ("team", QueueTenant::Team)];

show_by_name!(QueuePer: PER, QueueCount: COUNT, QueueOrder: ORDER, QueueTenant: TENANT);

impl Show for Vec<QueueClass> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, class) in self.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            let (name, up_to) = (class.name.escape_debug(), class.up_to);
            write!(f, "{comma}{name} up to {up_to}, weight {}", class.weight)?;
            if let Some(time) = class.max_wait {
                f.write_str(", waits for ")?;
                time.show(f)?;
            }
        }
        Ok(())
    }
}

/// Reads `queue`.
pub(crate) fn read(own: &Section<'_>, facts: &mut Facts, report: &mut Report) -> QueueSettings {
    use Range::{NotNegative, OverZero};
    let queue = own.child("queue", &QUEUE, report);
    let per = queue.choice("per", PER, report);
    let count = queue.choice("count", COUNT, report);
    let order = queue.choice("order", ORDER, report);
    let tenant = queue.choice("tenant", TENANT, report);
    let max_wait = queue.seconds("max_wait", NotNegative, report);
    let aging = queue.seconds("aging", NotNegative, report);
    let shared = queue.flag("shared", report);
    let bytes = queue.whole("max_waiting_bytes", NotNegative, report);
    let mut whole = |key, name: &str, range| {
        let found = queue.whole(key, range, report);
        facts.maybe(name, found)
    };
    let capacity = whole("capacity", "queue.capacity", OverZero);
    let max_cost = whole("max_cost", "queue.max_cost", OverZero);
    let max_waiting = whole("max_waiting", "queue.max_waiting", NotNegative);
    let [waiting, in_flight] = ["max_waiting_per_tenant", "max_in_flight_per_tenant"];
    let max_waiting_per_tenant = whole(waiting, "queue.max_waiting_per_tenant", OverZero);
    let max_in_flight_per_tenant = whole(in_flight, "queue.max_in_flight_per_tenant", OverZero);
    QueueSettings {
        per: facts.settle("queue.per", per, QueuePer::default()),
        capacity,
        shared: facts.maybe("queue.shared", shared),
        count: facts.settle("queue.count", count, QueueCount::default()),
        max_cost,
        max_waiting,
        max_waiting_bytes: facts.maybe("queue.max_waiting_bytes", bytes),
        max_wait: facts.maybe("queue.max_wait", max_wait),
        aging: facts.maybe("queue.aging", aging),
        order: facts.settle("queue.order", order, QueueOrder::default()),
        classes: classes(&queue, facts, report),
        tenant: facts.settle("queue.tenant", tenant, QueueTenant::default()),
        max_waiting_per_tenant,
        max_in_flight_per_tenant,
    }
}

/// Warns of a queue in which nobody ever waits.
pub(crate) fn check(
    own: &Section<'_>,
    settings: &QueueSettings,
    all: Concurrency,
    deployments: &[Deployment],
    report: &mut Report,
) {
    let Some(field) = own.field("queue") else {
        return;
    };
    let is_tokens = settings.count == QueueCount::Tokens;
    let of_all = || (deployments.iter()).map(|deployment| most(deployment, all));
    let message = match (settings.per, settings.capacity) {
        (QueuePer::Group, None) if is_tokens => {
            "there is no queue: what deployments take is counted in requests, so `count: tokens` needs a `capacity`".into()
        }
        (QueuePer::Group, None) if of_all().any(|it| it.is_some()) => return,
        (QueuePer::Group, None) => {
            "nobody waits: all deployments take any number; name a `capacity`, or limit them by `concurrency` or `max_parallel_requests`".into()
        }
        (QueuePer::Global, Some(capacity)) if !is_tokens => {
            let together = of_all().try_fold(0_u64, |sum, it| Some(sum + u64::from(it?)));
            match together {
                Some(most) if 0 < most && most < u64::from(capacity) => format!(
                    "nobody waits: all deployments together take {most} requests at a time and refuse others, before the {capacity} of `capacity` are reached; name less, or raise `concurrency`"
                ),
                _ => return,
            }
        }
        (QueuePer::Deployment, Some(capacity)) if !is_tokens => {
            let unnamed = deployments.iter().filter(|it| it.max_parallel().is_none());
            let mut limits = unnamed.filter_map(|it| most(it, all));
            match limits.find(|most| *most < capacity) {
                Some(most) => format!(
                    "nobody waits at some deployments, which take {most} requests at a time and refuse others, before the {capacity} of `capacity` are reached; name less, or raise `concurrency`"
                ),
                None => return,
            }
        }
        _ => return,
    };
    report.warning(field.node.at, message);
}

/// How many requests a deployment takes at a time at most; `None` for any number, as each model of a
/// wildcard takes so many.
fn most(deployment: &Deployment, all: Concurrency) -> Option<u32> {
    if deployment.model().contains('*') {
        return None;
    }
    let own = deployment.concurrency().or(all);
    let hard = deployment.max_parallel();
    match own.mode {
        Some(ConcurrencyMode::Off) => hard,
        _ => {
            let max = own.max.map_or(Concurrency::DEFAULT_MAX, NonZeroU32::get);
            Some(hard.map_or(max, |hard| hard.min(max)))
        }
    }
}

fn classes(queue: &Section<'_>, facts: &mut Facts, report: &mut Report) -> Vec<QueueClass> {
    let Some(field) = queue.field("classes") else {
        return Vec::new();
    };
    let mut classes: Vec<QueueClass> = Vec::new();
    for (node, section) in queue.each("classes", &QUEUE_CLASS, report) {
        let name = section.text("name", report);
        let up_to = section.whole("up_to", Range::Any, report);
        let weight = section.whole("weight", Range::OverZero, report);
        let max_wait = section.seconds("max_wait", Range::NotNegative, report);
        let (Some(name), Some(up_to)) = (name, up_to) else {
            if section.field("name").is_none() || section.field("up_to").is_none() {
                report.error(node.at, "a class needs a `name` and `up_to`, a priority");
            }
            continue;
        };
        if let Some(before) = classes.last()
            && up_to.value <= before.up_to
        {
            let message = "`up_to` must be more than that of the class before it";
            report.error(up_to.at, message);
        }
        if classes.iter().any(|class| class.name == name.value) {
            report.error(name.at, "two classes have this name");
        }
        classes.push(QueueClass {
            name: name.value,
            up_to: up_to.value,
            weight: weight.map_or(1, |found| found.value),
            max_wait: max_wait.map(|found| found.value),
        });
    }
    if classes.len() > MOST_CLASSES {
        let message = format!("there may be {MOST_CLASSES} classes at most");
        report.error(field.node.at, message);
    }
    facts
        .take("queue.classes", Some(field.found(classes, None)))
        .unwrap_or_default()
}

//! Instances that share a capacity, what is in flight at all of them, and a store that may be gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::{Either, Pending, Ready, pending};
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;
use ziggurat_core::{Error, HasLedger as _, LlmRequest, LlmResponse, Priority};
use ziggurat_priority_queue::{
    Capacity, Claim, MemoryPartStore, One, Parts, PriorityQueueLayer, Rules,
    parts::{Answer, PartStore, Told},
};

/// A store that answers, or does not.
#[derive(Clone, Default)]
pub(crate) struct Store {
    pub(crate) rows: MemoryPartStore,
    is_gone: Arc<AtomicBool>,
    has_lost_instances: Arc<AtomicBool>,
}

impl Store {
    pub(crate) fn set_gone(&self, is_gone: bool) {
        self.is_gone.store(is_gone, Relaxed);
    }

    /// What it keeps of gates is there, but not which instances are: as where a cluster has lost a node.
    pub(crate) fn lose_instances(&self) {
        self.has_lost_instances.store(true, Relaxed);
    }
}

impl PartStore for Store {
    type Exchange = Either<Ready<Option<Answer>>, Pending<Option<Answer>>>;

    fn exchange(
        &self,
        instance: &str,
        gate: Option<&str>,
        told: Told,
        lease: Duration,
    ) -> Self::Exchange {
        let is_lost = gate.is_none() && self.has_lost_instances.load(Relaxed);
        if is_lost || self.is_gone.load(Relaxed) {
            return Either::Right(pending());
        }
        let answer = self.rows.exchange(instance, gate, told, lease).into_inner();
        Either::Left(futures_util::future::ready(answer))
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Went {
    pub(crate) at: usize,
    pub(crate) priority: i64,
    pub(crate) came: Instant,
    /// `None` if it was refused.
    pub(crate) began: Option<Instant>,
}

impl Went {
    pub(crate) fn waited(&self) -> Duration {
        self.began.expect("was not refused") - self.came
    }
}

#[derive(Default)]
struct Log {
    flight: usize,
    most: usize,
    at: Vec<usize>,
    went: Vec<Went>,
}

/// What all instances send to.
#[derive(Clone, Default)]
pub(crate) struct Flight(Arc<Mutex<Log>>);

impl Flight {
    fn begins(&self, at: usize, units: usize) -> Flying {
        let mut log = self.0.lock();
        log.flight += units;
        log.most = log.most.max(log.flight);
        if log.at.len() <= at {
            log.at.resize(at + 1, 0);
        }
        log.at[at] += units;
        Flying(self.clone(), at, units)
    }

    pub(crate) fn now(&self) -> usize {
        self.0.lock().flight
    }

    pub(crate) fn at(&self, at: usize) -> usize {
        self.0.lock().at.get(at).copied().unwrap_or_default()
    }

    /// The most that was in flight since it was asked for last.
    pub(crate) fn most(&self) -> usize {
        let mut log = self.0.lock();
        let now = log.flight;
        std::mem::replace(&mut log.most, now)
    }

    pub(crate) fn went(&self) -> Vec<Went> {
        self.0.lock().went.clone()
    }
}

struct Flying(Flight, usize, usize);

impl Drop for Flying {
    fn drop(&mut self) {
        let mut log = self.0.0.lock();
        log.flight -= self.2;
        log.at[self.1] -= self.2;
    }
}

type Queue = PriorityQueueLayer<fn(&LlmRequest) -> Claim, One>;

/// An instance.
pub(crate) struct Instance {
    pub(crate) whole: Capacity,
    pub(crate) parts: Parts,
    pub(crate) queue: Queue,
    at: usize,
    flight: Flight,
    driver: JoinSet<()>,
    requests: JoinSet<()>,
    ends: Arc<Notify>,
}

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) flight: Flight,
    pub(crate) instances: Vec<Instance>,
}

impl World {
    /// So many instances that have reached the store, for so many units in flight.
    pub(crate) async fn new(count: usize, whole: usize, rules: Rules) -> Self {
        let (store, flight) = (Store::default(), Flight::default());
        let make = |at| Instance::new(at, whole, rules.clone(), &store, &flight);
        let instances: Vec<_> = (0..count).map(make).collect();
        for instance in &instances {
            instance.parts.joined().await;
        }
        // Each has heard of the others.
        sleep(Duration::from_secs(1)).await;
        Self {
            store,
            flight,
            instances,
        }
    }

    /// Requests of that priority, each of which runs for that long.
    pub(crate) fn come(&mut self, at: usize, count: usize, priority: i64, holds: Duration) {
        for _ in 0..count {
            self.instances[at].comes(priority, 1, holds);
        }
    }

    pub(crate) fn set_gone(&self, is_gone: bool) {
        self.store.set_gone(is_gone);
    }

    /// Those that came to an instance with that priority, in the order in which they began or were refused.
    pub(crate) fn went(&self, at: usize, priority: i64) -> Vec<Went> {
        let all = self.flight.went().into_iter();
        all.filter(|it| (it.at, it.priority) == (at, priority))
            .collect()
    }
}

impl Instance {
    fn new(at: usize, whole: usize, rules: Rules, store: &Store, flight: &Flight) -> Self {
        let (whole, parts) = (Capacity::new(whole), Parts::new());
        let queue = PriorityQueueLayer::with_rules(parts.of("all", &whole), rules);
        let ends = Arc::new(Notify::new());
        let mut driver = JoinSet::new();
        let until = Arc::clone(&ends);
        let until = async move { until.notified().await };
        driver.spawn(parts.share_until(store.clone(), format!("instance {at}"), until));
        Self {
            whole,
            parts,
            queue: queue.claim_by(claim),
            at,
            flight: flight.clone(),
            driver,
            requests: JoinSet::new(),
            ends,
        }
    }

    pub(crate) fn comes(&mut self, priority: i64, units: usize, holds: Duration) {
        self.comes_within(priority, units, holds, None);
    }

    /// The same with a deadline.
    pub(crate) fn comes_within(
        &mut self,
        priority: i64,
        units: usize,
        holds: Duration,
        time: Option<Duration>,
    ) {
        let (at, flight) = (self.at, self.flight.clone());
        let came = Instant::now();
        let went = move |log: &Flight, began| {
            log.0.lock().went.push(Went {
                at,
                priority,
                came,
                began,
            });
        };
        let log = flight.clone();
        let service = self.queue.layer(service_fn(move |_: LlmRequest| {
            went(&flight, Some(Instant::now()));
            let flying = flight.begins(at, units);
            async move {
                sleep(holds).await;
                drop(flying);
                Ok::<_, Error>(LlmResponse::complete("{}", None))
            }
        }));
        let request = LlmRequest::chat(&format!("{priority}:{units}"), "hi");
        if let Some(time) = time {
            let ledger = request.ledger().expect("has one");
            ledger.limit(Instant::now() + time);
        }
        self.requests.spawn(async move {
            if service.oneshot(request).await.is_err() {
                went(&log, None);
            }
        });
    }

    /// It is no more: nobody says good-bye.
    pub(crate) fn dies(&mut self) {
        self.driver.abort_all();
        self.requests.abort_all();
    }

    /// It ends in order.
    pub(crate) async fn ends(&mut self) {
        self.ends.notify_one();
        self.driver.join_next().await;
    }
}

/// Of a group that is called by its priority and its cost.
fn claim(request: &LlmRequest) -> Claim {
    let (priority, units) = request.group().as_str().split_once(':').expect("has both");
    let number = "is a number";
    Claim::new(Priority(priority.parse().expect(number))).with_cost(units.parse().expect(number))
}

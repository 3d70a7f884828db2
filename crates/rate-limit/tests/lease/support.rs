//! Instances that share a store, which may be slow or out of order.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use ziggurat_rate_limit::{
    Charges, Cost, LeaseStore, LeasedLimiter, Leasing, LimitKey, Limiter, Limits, MemoryLeases,
    Refused,
    lease::{LeasedPermit, SyncFailed, SyncLimit, SyncReply, SyncRequest},
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);

/// How the store behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// It answers after so long.
    Serves(Duration),
    /// It does what it is told, and the answer is lost.
    Loses,
    /// It does nothing, and says so.
    Fails,
    /// It does nothing, and never answers.
    Hangs,
}

#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub(crate) inner: MemoryLeases,
    way: Arc<Mutex<Way>>,
    asked: Arc<AtomicUsize>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            inner: MemoryLeases::new(),
            way: Arc::new(Mutex::new(Way::Serves(MILLI))),
            asked: Arc::default(),
        }
    }

    /// How many times it was asked anything.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }

    pub(crate) fn set(&self, way: Way) {
        *self.way.lock() = way;
    }

    /// What the store counts as used, and what instances hold.
    pub(crate) fn counts(&self, limits: &Limits) -> Vec<(u64, u64)> {
        let limits = limits.iter().copied().map(SyncLimit::new);
        let request = SyncRequest {
            key: Some(key()),
            instance: "observer".into(),
            number: 1,
            batch: 1,
            born: 0,
            lease: MILLI,
            limits: limits.collect(),
        };
        let reply = self.inner.sync_at(&request, self.inner.now());
        reply.limits.iter().map(|it| (it.used, it.leased)).collect()
    }
}

impl LeaseStore for Store {
    type Sync = Pin<Box<dyn Future<Output = Result<SyncReply, SyncFailed>> + Send>>;

    fn sync(&self, request: &SyncRequest) -> Self::Sync {
        self.asked.fetch_add(1, Relaxed);
        let (store, request) = (self.clone(), request.clone());
        Box::pin(async move {
            let way = *store.way.lock();
            if let Way::Serves(time) = way {
                sleep(time / 2).await;
            }
            let reply = match way {
                Way::Serves(_) | Way::Loses => Ok(store.inner.sync_at(&request, store.inner.now())),
                Way::Fails => Err(SyncFailed::default()),
                Way::Hangs => std::future::pending().await,
            };
            match way {
                Way::Serves(time) => sleep(time - time / 2).await,
                Way::Loses => return Err(SyncFailed::default()),
                _ => {}
            }
            reply
        })
    }
}

/// One instance.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) limiter: LeasedLimiter,
    pub(crate) driver: JoinHandle<()>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the driver, as an application spawns it"
)]
pub(crate) fn instance(store: &Store, leasing: Leasing) -> Instance {
    let (limiter, driver) = leasing.build();
    Instance {
        limiter,
        driver: tokio::spawn(driver.run(store.clone())),
    }
}

pub(crate) fn instances(store: &Store, number: usize) -> Vec<Instance> {
    (0..number)
        .map(|_| instance(store, Leasing::new()))
        .collect()
}

pub(crate) fn key() -> LimitKey {
    LimitKey::tenant("alice")
}

pub(crate) fn charges(limits: &Limits, tokens: u64) -> Charges {
    let charges = Charges::none().on(key(), limits.clone());
    charges.with_cost(Cost::new(0, Some(tokens)))
}

impl Instance {
    pub(crate) async fn ask(&self, limits: &Limits, tokens: u64) -> Result<LeasedPermit, Refused> {
        self.limiter.acquire(&charges(limits, tokens)).await
    }
}

/// What was charged, and when: the exact log.
#[derive(Debug, Default)]
pub(crate) struct Log(pub(crate) Vec<(Instant, u64, u64)>);

impl Log {
    pub(crate) fn charge(&mut self, id: u64, amount: u64) {
        self.0.push((Instant::now(), id, amount));
    }

    /// Of one request, no more than that was used. What has left the window stays.
    pub(crate) fn settle(&mut self, id: u64, amount: u64, per: Duration) {
        let now = Instant::now();
        let these = |it: &&mut (Instant, u64, u64)| it.1 == id && it.0 + per > now;
        for it in self.0.iter_mut().filter(these) {
            it.2 = it.2.min(amount);
        }
    }

    pub(crate) fn used(&self, per: Duration) -> u64 {
        let now = Instant::now();
        let counts = self.0.iter().filter(|(at, ..)| *at + per > now);
        counts.map(|(.., amount)| amount).sum()
    }

    /// The most that any window of that length has seen.
    pub(crate) fn most(&self, per: Duration) -> u64 {
        let windows = self.0.iter().map(|(end, ..)| {
            let within = self
                .0
                .iter()
                .filter(|(at, ..)| at <= end && *at + per > *end);
            within.map(|(.., amount)| amount).sum()
        });
        windows.max().unwrap_or(0)
    }
}

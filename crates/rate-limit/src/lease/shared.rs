//! What the limiter, its permits and the driver have in common.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use ziggurat_core::Keyed;

use super::{cell::Cell, leasing::Leasing};
use crate::LimitKey;

/// What the limiter, its permits and the driver have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) leasing: Leasing,
    pub(crate) cells: Keyed<LimitKey, Cell>,
    /// Whether the store answers.
    is_up: AtomicBool,
    /// The number of the last request to the store.
    number: AtomicU64,
    /// How many instances there are.
    instances: AtomicU64,
    /// Whether it has been told that.
    has_joined: watch::Sender<bool>,
    /// The keys that the driver is to look at sooner than it knows.
    calls: Mutex<Vec<Arc<Cell>>>,
    bell: Notify,
    is_closed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(leasing: Leasing) -> Self {
        Self {
            cells: Keyed::new(leasing.keys),
            leasing,
            is_up: AtomicBool::new(true),
            number: AtomicU64::new(0),
            instances: AtomicU64::new(1),
            has_joined: watch::Sender::new(false),
            calls: Mutex::default(),
            bell: Notify::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn cell(&self, key: &LimitKey, now: Instant) -> Arc<Cell> {
        self.cells
            .get_or_insert_with(key, || Cell::new(key.clone(), now))
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Relaxed) + 1
    }

    pub(crate) fn is_up(&self) -> bool {
        self.is_up.load(Relaxed)
    }

    /// The store answered, or did not. If it did not, the driver finds out when it does again.
    pub(crate) fn set_up(&self, is_up: bool) {
        if self.is_up.swap(is_up, Relaxed) && !is_up {
            self.bell.notify_one();
        }
    }

    pub(crate) fn instances(&self) -> u64 {
        self.instances.load(Relaxed)
    }

    pub(crate) fn set_instances(&self, instances: u64) {
        self.instances.store(instances, Relaxed);
        self.has_joined
            .send_if_modified(|joined| !std::mem::replace(joined, true));
    }

    /// Waits until it is known how many instances there are.
    pub(crate) async fn joined(&self) {
        let mut joined = self.has_joined.subscribe();
        // The sender is here, so it does not end.
        let _ = joined.wait_for(|joined| *joined).await;
    }

    /// Has the driver look at a key.
    pub(crate) fn call(&self, cell: &Arc<Cell>) {
        self.calls.lock().push(Arc::clone(cell));
        self.bell.notify_one();
    }

    /// The keys that the driver was called for.
    pub(crate) fn take_calls(&self, into: &mut Vec<Arc<Cell>>) {
        into.append(&mut self.calls.lock());
    }

    pub(crate) async fn called(&self) {
        self.bell.notified().await;
    }

    /// Nobody will call any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Relaxed);
        self.bell.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }
}

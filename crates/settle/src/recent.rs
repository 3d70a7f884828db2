//! The last settlements.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use crate::{Settlement, SettlementSink};

/// Keeps the last settlements: when it is full, the oldest makes room, and is counted.
#[derive(Debug)]
pub struct Recent {
    rows: Mutex<VecDeque<Settlement>>,
    capacity: usize,
    dropped: AtomicU64,
}

impl Recent {
    /// Room for so many, one at least.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            rows: Mutex::default(),
            capacity: capacity.max(1),
            dropped: AtomicU64::new(0),
        }
    }

    /// Takes what there is, the oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<Settlement> {
        std::mem::take(&mut *self.rows.lock()).into()
    }

    /// How many had to make room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

impl SettlementSink for Recent {
    fn settle(&self, settlement: &Settlement) {
        let mut rows = self.rows.lock();
        if rows.len() == self.capacity {
            rows.pop_front();
            self.dropped.fetch_add(1, Relaxed);
        }
        rows.push_back(settlement.clone());
    }
}

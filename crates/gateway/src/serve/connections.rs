//! How many connections there are.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

/// How many connections a [`Server`](crate::Server) has. Clones count the same.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    open: AtomicUsize,
    refused: AtomicU64,
}

impl Connections {
    /// How many are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.0.open.load(Relaxed)
    }

    /// How many found no place.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Relaxed)
    }

    pub(super) fn opened(&self) {
        self.0.open.fetch_add(1, Relaxed);
    }

    pub(super) fn closed(&self) {
        self.0.open.fetch_sub(1, Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.0.refused.fetch_add(1, Relaxed);
    }
}

//! Places in flight.

use crate::refused::Wait;

/// How many places are taken.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    limit: u64,
    taken: u64,
}

impl Places {
    pub(crate) const fn new(limit: u64) -> Self {
        Self { limit, taken: 0 }
    }

    pub(crate) const fn set(&mut self, limit: u64) {
        self.limit = limit;
    }

    pub(crate) const fn used(&self) -> u64 {
        self.taken
    }

    pub(crate) fn wait(&self, amount: u64) -> Option<Wait> {
        match self.limit {
            0 => Some(Wait::Never),
            limit => (self.taken.saturating_add(amount) > limit).then_some(Wait::Place),
        }
    }

    pub(crate) const fn take(&mut self, amount: u64) {
        self.taken = self.taken.saturating_add(amount);
    }

    pub(crate) const fn give_back(&mut self, amount: u64) {
        self.taken = self.taken.saturating_sub(amount);
    }
}

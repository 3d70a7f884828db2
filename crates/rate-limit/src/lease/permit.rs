//! What a request holds.

use std::{fmt, sync::Arc};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{
    cell::{Cell, Taken},
    limiter::LeasedLimiter,
};
use crate::{Actual, Settle};

/// What a request holds of a [`LeasedLimiter`]. To settle or to drop it takes no time: the store
/// hears of it later.
pub struct LeasedPermit {
    limiter: LeasedLimiter,
    held: SmallVec<[(Arc<Cell>, Taken); 1]>,
}

impl LeasedPermit {
    pub(super) const fn new(
        limiter: LeasedLimiter,
        held: SmallVec<[(Arc<Cell>, Taken); 1]>,
    ) -> Self {
        Self { limiter, held }
    }
}

impl Settle for LeasedPermit {
    fn settle(&mut self, actual: Actual) {
        if self.held.is_empty() {
            return;
        }
        let now = Instant::now();
        let shared = self.limiter.shared();
        for (cell, taken) in self.held.drain(..) {
            let calls = {
                let mut state = cell.state.lock();
                state.settle(&taken, &actual, now);
                state.calls(&shared.leasing, now)
            };
            if calls {
                shared.call(&cell);
            }
        }
    }
}

impl Drop for LeasedPermit {
    fn drop(&mut self) {
        self.settle(Actual::Unsent);
    }
}

impl fmt::Debug for LeasedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedPermit")
            .field("settled", &self.held.is_empty())
            .finish_non_exhaustive()
    }
}

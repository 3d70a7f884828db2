//! The decision of a leased limiter.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use smallvec::SmallVec;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{cell::Cell, limiter::LeasedLimiter, permit::LeasedPermit};
use crate::{Charges, Refused};

pin_project! {
    /// The decision of a [`LeasedLimiter`]: made at once if enough is leased, or else when the store
    /// has answered or the deadline has passed.
    ///
    /// *Cancel safe*: dropped, it gives back what it took, and who waits leaves.
    pub struct Acquire {
        #[pin]
        stage: Stage,
    }
}

pin_project! {
    #[project = StageProj]
    enum Stage {
        Decided { result: Option<Result<LeasedPermit, Refused>> },
        Waiting {
            limiter: LeasedLimiter,
            charges: Charges,
            seats: Seats,
            #[pin]
            deadline: Sleep,
        },
    }
}

impl Acquire {
    pub(super) const fn decided(result: Result<LeasedPermit, Refused>) -> Self {
        Self {
            stage: Stage::Decided {
                result: Some(result),
            },
        }
    }

    pub(super) fn waiting(limiter: LeasedLimiter, charges: Charges, now: Instant) -> Self {
        let deadline = sleep_until(now + limiter.shared().leasing.deadline);
        Self {
            stage: Stage::Waiting {
                limiter,
                charges,
                seats: Seats::default(),
                deadline,
            },
        }
    }
}

impl Future for Acquire {
    type Output = Result<LeasedPermit, Refused>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().stage.project() {
            StageProj::Decided { result } => {
                Poll::Ready(result.take().expect("polled after it was ready"))
            }
            StageProj::Waiting {
                limiter,
                charges,
                seats,
                deadline,
            } => {
                let wait = Some((&mut *seats, cx.waker()));
                let decision = limiter.decide(charges, wait, false, Instant::now());
                if let Poll::Ready(result) = decision {
                    seats.leave();
                    return Poll::Ready(result);
                }
                if deadline.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                seats.leave();
                limiter.shared().set_up(false);
                // Now it is decided without the store.
                limiter.decide(charges, None, true, Instant::now())
            }
        }
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("waits", &matches!(self.stage, Stage::Waiting { .. }))
            .finish_non_exhaustive()
    }
}

/// Where a request waits. Dropped, it leaves.
#[derive(Default)]
pub(super) struct Seats(SmallVec<[(Arc<Cell>, u64); 1]>);

impl Seats {
    /// Its seat on a key.
    pub(super) fn on(&self, cell: &Arc<Cell>) -> Option<u64> {
        let seat = self.0.iter().find(|(it, _)| Arc::ptr_eq(it, cell));
        seat.map(|(_, seat)| *seat)
    }

    pub(super) fn take(&mut self, cell: &Arc<Cell>, seat: u64) {
        if self.on(cell).is_none() {
            self.0.push((Arc::clone(cell), seat));
        }
    }

    fn leave(&mut self) {
        for (cell, seat) in self.0.drain(..) {
            cell.state.lock().leave(seat);
        }
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        self.leave();
    }
}

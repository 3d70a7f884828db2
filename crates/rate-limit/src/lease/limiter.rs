//! The limiter of several instances.

use std::{
    fmt,
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use parking_lot::MutexGuard;
use smallvec::SmallVec;
use tokio::time::Instant;
use ziggurat_core::{Reason, Rejection, Scope};

use super::{
    cell::{Alone, Cell, State, Verdict},
    future::{Acquire, Seats},
    leasing::Outage,
    permit::LeasedPermit,
    shared::Shared,
};
use crate::{Charge, Charges, Left, Limit, LimitKey, Limiter, Measure, Refused, memory::both};

/// Keeps limits over several instances, by leases. Made by [`Leasing`](crate::Leasing); the
/// [module docs](crate::lease) say what it promises.
///
/// Clones share the counts.
#[derive(Clone)]
pub struct LeasedLimiter {
    handle: Arc<Handle>,
}

/// The last one closes the driver.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

type Locked<'a> = SmallVec<[(MutexGuard<'a, State>, &'a Charge); 1]>;

impl LeasedLimiter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            handle: Arc::new(Handle(shared)),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.handle.0
    }

    /// Has the [driver](crate::LeaseDriver) give everything back, and end: for when this instance ends,
    /// while clones and permits are still about. What is asked after that is decided as in an outage.
    pub fn close(&self) {
        self.shared().close();
    }

    /// How much of a measure this instance has itself used of a key, of its first limit on it.
    #[must_use]
    pub fn used(&self, key: &LimitKey, measure: Measure, now: Instant) -> u64 {
        let cell = self.shared().cells.get(key);
        cell.map_or(0, |cell| cell.state.lock().used(measure, now))
    }

    /// Whether the store answers. While it does not, [`Outage`] says what becomes of requests.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.shared().is_up()
    }

    /// Has the store forget what all instances have used of the limits for which `forgets` says so, of
    /// the keys that this instance knows: those that it has had requests of, and not forgotten since.
    /// What is in flight stays counted, and so does what is leased.
    ///
    /// It takes effect when the store has heard of it, by one call for each key in the background; while
    /// the store does not answer it is kept in mind, and limits are held as before. What this instance
    /// used until then is forgotten too. What others used and have not told, of the last 0.1 s, counts;
    /// they know of it when they ask the store next.
    ///
    /// `forgets` runs under the lock of its key: it must not ask this limiter.
    pub fn clear(&self, mut forgets: impl FnMut(&LimitKey, &Limit) -> bool) {
        let (shared, now) = (self.shared(), Instant::now());
        let mut called = Vec::new();
        shared.cells.for_each(|key, cell| {
            let mut state = cell.state.lock();
            state.clear(|limit| forgets(key, limit));
            if state.calls(&shared.leasing, now) {
                called.push(Arc::clone(cell));
            }
        });
        called.iter().for_each(|cell| shared.call(cell));
    }

    /// Waits until the store has answered for the first time. Before that an instance takes itself
    /// for the only one: wait, for a short time, before it takes requests. Without a
    /// [driver](crate::LeaseDriver) that runs it never ends.
    ///
    /// *Cancel safe*.
    pub async fn joined(&self) {
        self.shared().joined().await;
    }

    /// Decides, or waits. `wait` says who is to be woken if it waits; without it, nothing is begun.
    /// `is_late` says that there is no more time.
    pub(super) fn decide(
        &self,
        charges: &Charges,
        wait: Option<(&mut Seats, &Waker)>,
        is_late: bool,
        now: Instant,
    ) -> Poll<Result<LeasedPermit, Refused>> {
        let shared = self.shared();
        let mut cells: SmallVec<[(Arc<Cell>, &Charge); 1]> = charges
            .iter()
            .map(|charge| (shared.cell(charge.key(), now), charge))
            .collect();
        // All are locked together, in an order that is the same for everybody.
        cells.sort_unstable_by_key(|(cell, _)| Arc::as_ptr(cell));
        let (taken, calls) = {
            let mut locked: Locked<'_> = cells
                .iter()
                .map(|(cell, charge)| (cell.state.lock(), *charge))
                .collect();
            let is_alone = is_late || !shared.is_up();
            let taken = match self.weigh(&mut locked, charges, is_alone, now) {
                Weighed::Passes => {
                    let take = |(state, charge): &mut (MutexGuard<'_, State>, &Charge)| {
                        let instances = shared.instances();
                        state.take(charge.limits(), charges.cost(), instances, now)
                    };
                    Some(locked.iter_mut().map(take).collect::<SmallVec<[_; 1]>>())
                }
                Weighed::Refused(refused) => return Poll::Ready(Err(*refused)),
                Weighed::Lacks(lacking) => {
                    let Some((seats, waker)) = wait else {
                        return Poll::Pending;
                    };
                    for (at, (state, charge)) in locked.iter_mut().enumerate() {
                        let (limits, cost) = (charge.limits(), charges.cost());
                        let cell = &cells[at].0;
                        let lacks = lacking.contains(&at);
                        let seat = state.sit(seats.on(cell), lacks, limits, cost, waker);
                        seats.take(cell, seat);
                    }
                    None
                }
            };
            let calls = locked
                .iter_mut()
                .map(|(state, _)| state.calls(&shared.leasing, now));
            (taken, calls.collect::<SmallVec<[bool; 8]>>())
        };
        for ((cell, _), calls) in cells.iter().zip(calls) {
            if calls {
                shared.call(cell);
            }
        }
        match taken {
            Some(taken) => {
                let cells = cells.into_iter().map(|(cell, _)| cell);
                let held = cells.zip(taken).collect();
                Poll::Ready(Ok(LeasedPermit::new(self.clone(), held)))
            }
            None => Poll::Pending,
        }
    }

    fn weigh(
        &self,
        locked: &mut Locked<'_>,
        charges: &Charges,
        is_alone: bool,
        now: Instant,
    ) -> Weighed {
        let shared = self.shared();
        let cost = charges.cost();
        let mut lacking = SmallVec::new();
        let mut refusal = None;
        for (at, (state, charge)) in locked.iter_mut().enumerate() {
            let (key, limits) = (charge.key(), charge.limits());
            let is_alone = is_alone || state.is_failing();
            let alone = match shared.leasing.outage {
                _ if !is_alone => None,
                Outage::Share => Some(Alone::Share),
                Outage::Open => Some(Alone::Open),
                Outage::Closed => None,
            };
            match state.weigh(limits, cost, alone, shared.instances(), now) {
                Verdict::Passes => {}
                Verdict::Lacks if is_alone => {
                    let limit = state.lacking(limits, cost, now);
                    let limit = limit.or_else(|| limits.iter().next().copied());
                    if let Some(limit) = limit {
                        return Weighed::Refused(Box::new(closed(key, limit, now)));
                    }
                }
                Verdict::Lacks => lacking.push(at),
                Verdict::Refused(verdict) => {
                    let this = (verdict, key, key.scope());
                    refusal = Some(refusal.map_or(this, |other| both(other, this)));
                }
            }
        }
        match refusal {
            Some((verdict, key, scope)) => {
                let key: &LimitKey = key;
                Weighed::Refused(Box::new(verdict.refuse(key.clone(), scope)))
            }
            None if lacking.is_empty() => Weighed::Passes,
            None => Weighed::Lacks(lacking),
        }
    }
}

enum Weighed {
    Passes,
    Lacks(SmallVec<[usize; 4]>),
    Refused(Box<Refused>),
}

/// Nobody passes while the store does not answer.
fn closed(key: &LimitKey, limit: Limit, now: Instant) -> Refused {
    const AGAIN: Duration = Duration::from_secs(1);
    let scope = match key.scope() {
        // What is leased is not for all, but another request may find enough.
        Scope::Deployment => Scope::Attempt,
        scope => scope,
    };
    let rejection = Rejection::new(Reason::Unchecked, scope).retry_at(now + AGAIN);
    Refused::new(rejection, key.clone(), limit, 0)
}

impl Limiter for LeasedLimiter {
    type Permit = LeasedPermit;
    type Acquire = Acquire;

    fn acquire(&self, charges: &Charges) -> Acquire {
        let now = Instant::now();
        match self.decide(charges, None, false, now) {
            Poll::Ready(result) => Acquire::decided(result),
            Poll::Pending => Acquire::waiting(self.clone(), charges.clone(), now),
        }
    }

    fn left(&self, charge: &Charge, now: Instant) -> SmallVec<[Left; 3]> {
        let shared = self.shared();
        let cell = shared.cells.get(charge.key());
        let cell = cell.unwrap_or_else(|| Arc::new(Cell::new(charge.key().clone(), now)));
        let mut state = cell.state.lock();
        state.left(charge.limits(), shared.instances(), now)
    }
}

impl fmt::Debug for LeasedLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedLimiter")
            .field("instance", &self.shared().leasing.instance)
            .field("is_up", &self.is_up())
            .finish_non_exhaustive()
    }
}

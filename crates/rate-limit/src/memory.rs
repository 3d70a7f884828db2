//! The limiter of one process.

use std::{
    fmt,
    future::{Ready, ready},
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;
use ziggurat_core::{Idle, Keyed, Scope};

use crate::{
    Actual, Charge, Charges, Cost, Crossing, Left, Limit, LimitKey, LimitSink, Limiter, Measure,
    Refused, Settle,
    cell::{Cell, Taken},
    refused::Verdict,
};

/// Keeps the counts in this process, and answers at once.
///
/// Clones share the counts. It holds a bounded number of keys; when there are more, those that
/// nothing is counted for are forgotten first. A key costs some hundred bytes, and up to 3 KiB while
/// it is in constant use.
///
/// ```
/// use tokio::time::Instant;
/// use ziggurat_rate_limit::{Actual, Charges, LimitKey, Limiter, Limits, Measure, MemoryLimiter, Rate, Settle};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let limiter = MemoryLimiter::new();
/// let alice = LimitKey::tenant("alice");
/// let limits = Limits::none().with_requests(Rate::per_minute(1));
/// let charges = Charges::none().on(alice.clone(), limits);
///
/// let mut permit = limiter.acquire(&charges).await.expect("nothing is used yet");
/// let refused = limiter.acquire(&charges).await.expect_err("one is all there is");
/// assert_eq!(refused.to_string(), "the limit of 1 requests in 60s for tenant `alice` is used up");
///
/// permit.settle(Actual::Unsent);
/// assert_eq!(limiter.used(&alice, Measure::Requests, Instant::now()), 0);
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryLimiter {
    cells: Arc<Keyed<LimitKey, Shared>>,
    sink: Option<Arc<dyn LimitSink>>,
}

#[derive(Debug, Default)]
struct Shared {
    cell: Mutex<Cell>,
    /// Whose it is, if somebody wants to hear of it.
    key: OnceLock<LimitKey>,
}

impl Idle for Shared {
    fn is_idle(&self) -> bool {
        self.cell.lock().is_idle(Instant::now())
    }
}

impl MemoryLimiter {
    /// A limiter for 65,536 keys.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(1 << 16)
    }

    /// A limiter for that many keys.
    #[must_use]
    pub fn with_capacity(keys: usize) -> Self {
        Self {
            cells: Arc::new(Keyed::new(keys)),
            sink: None,
        }
    }

    /// Tells somebody of limits that are nearly used up, and of those that are.
    #[must_use]
    pub fn with_sink(mut self, sink: impl LimitSink + 'static) -> Self {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// How much of a measure a key has used, of its first limit on it. Only what is limited is
    /// counted; see [`Rate::counted`](crate::Rate::counted).
    #[must_use]
    pub fn used(&self, key: &LimitKey, measure: Measure, now: Instant) -> u64 {
        let cell = self.cells.get(key);
        cell.map_or(0, |cell| cell.cell.lock().used(measure, now))
    }

    /// Forgets the keys for which `keep` says no, with all that is counted of them: what a reload
    /// took away.
    pub fn retain(&self, mut keep: impl FnMut(&LimitKey) -> bool) {
        self.cells.retain(|key, _| keep(key));
    }

    /// Forgets what has been used of the limits for which `forgets` says so. What is in flight stays
    /// counted; what requests reserved that run now is charged again only where it was too little.
    ///
    /// `forgets` runs under the lock of its key: it must not ask this limiter.
    pub fn clear(&self, mut forgets: impl FnMut(&LimitKey, &Limit) -> bool) {
        self.cells.for_each(|key, cell| {
            let mut cell = cell.cell.lock();
            cell.clear(|limit| forgets(key, limit));
        });
    }

    fn cell(&self, key: &LimitKey) -> Arc<Shared> {
        let cell = self.cells.get_or_default(key);
        if self.sink.is_some() {
            cell.key.get_or_init(|| key.clone());
        }
        cell
    }

    fn admit(&self, charges: &Charges, now: Instant) -> Result<MemoryPermit, Refused> {
        let admitted = match charges.as_slice() {
            [charge] => self.admit_one(charge, charges.cost(), now),
            several => self.admit_all(several, charges.cost(), now),
        };
        if let (Err(refused), Some(sink)) = (&admitted, &self.sink) {
            let cell = self.cells.get(refused.key());
            let told = cell.and_then(|it| it.cell.lock().refused(&refused.limit(), now));
            if let Some((limit, level, used)) = told {
                sink.crossed(&Crossing::new(refused.key().clone(), limit, level, used));
            }
        }
        admitted
    }

    fn admit_one(
        &self,
        charge: &Charge,
        cost: Cost,
        now: Instant,
    ) -> Result<MemoryPermit, Refused> {
        let cell = self.cell(charge.key());
        let taken = {
            let mut cell = cell.cell.lock();
            if let Some(verdict) = cell.refuses(charge.limits(), cost, now) {
                let key = charge.key();
                return Err(verdict.refuse(key.clone(), key.scope()));
            }
            cell.take(charge.limits(), cost, now)
        };
        Ok(self.permit(SmallVec::from_buf([(cell, taken)])))
    }

    fn admit_all(
        &self,
        charges: &[Charge],
        cost: Cost,
        now: Instant,
    ) -> Result<MemoryPermit, Refused> {
        let cells = charges
            .iter()
            .map(|charge| (self.cell(charge.key()), charge));
        let mut cells: SmallVec<[(Arc<Shared>, &Charge); FEW]> = cells.collect();
        // All are locked together, in an order that is the same for everybody.
        cells.sort_unstable_by_key(|(cell, _)| Arc::as_ptr(cell));
        let locked = cells
            .iter()
            .map(|(cell, charge)| (cell.cell.lock(), *charge));
        let mut locked: SmallVec<[_; FEW]> = locked.collect();
        let refusals = locked.iter_mut().filter_map(|(cell, charge)| {
            let verdict = cell.refuses(charge.limits(), cost, now)?;
            Some((verdict, charge.key(), charge.key().scope()))
        });
        if let Some((verdict, key, scope)) = refusals.reduce(both) {
            return Err(verdict.refuse(key.clone(), scope));
        }
        let taken = locked
            .iter_mut()
            .map(|(cell, charge)| cell.take(charge.limits(), cost, now));
        let taken: SmallVec<[Taken; FEW]> = taken.collect();
        drop(locked);
        let cells = cells.into_iter().map(|(cell, _)| cell);
        Ok(self.permit(cells.zip(taken).collect()))
    }

    fn permit(&self, held: SmallVec<[(Arc<Shared>, Taken); 1]>) -> MemoryPermit {
        MemoryPermit {
            held,
            sink: self.sink.clone(),
        }
    }
}

/// For how many keys nothing is allocated to decide on them together.
const FEW: usize = 4;

impl fmt::Debug for MemoryLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLimiter")
            .field("cells", &self.cells)
            .finish_non_exhaustive()
    }
}

pub(crate) type Refusal<'a> = (Verdict, &'a LimitKey, Scope);

/// The refusals of two keys: both have to be waited for, and the wider one says whom it concerns.
pub(crate) fn both<'a>(one: Refusal<'a>, other: Refusal<'a>) -> Refusal<'a> {
    let width = |scope: Scope| match scope {
        Scope::Request => 2,
        Scope::Deployment => 1,
        _ => 0,
    };
    // What a tenant has to wait for says nothing of a deployment.
    let of_deployment = |(verdict, _, scope): Refusal<'a>| Verdict {
        any: verdict.any.filter(|_| scope == Scope::Deployment),
        ..verdict
    };
    let key = if other.0.wait > one.0.wait {
        other.1
    } else {
        one.1
    };
    let verdict = of_deployment(one).and(of_deployment(other));
    let scope = std::cmp::max_by_key(one.2, other.2, |scope| width(*scope));
    (verdict, key, scope)
}

impl Default for MemoryLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Limiter for MemoryLimiter {
    type Permit = MemoryPermit;
    type Acquire = Ready<Result<MemoryPermit, Refused>>;

    fn acquire(&self, charges: &Charges) -> Self::Acquire {
        ready(self.admit(charges, Instant::now()))
    }

    fn left(&self, charge: &Charge, now: Instant) -> SmallVec<[Left; 3]> {
        let cell = self.cells.get(charge.key()).unwrap_or_default();
        let mut cell = cell.cell.lock();
        cell.left(charge.limits(), now)
    }
}

/// What a request holds of a [`MemoryLimiter`].
pub struct MemoryPermit {
    held: SmallVec<[(Arc<Shared>, Taken); 1]>,
    sink: Option<Arc<dyn LimitSink>>,
}

impl Settle for MemoryPermit {
    fn settle(&mut self, actual: Actual) {
        if self.held.is_empty() {
            return;
        }
        let now = Instant::now();
        for (shared, taken) in self.held.drain(..) {
            let crossed = {
                let mut cell = shared.cell.lock();
                cell.settle(&taken, &actual, now);
                match self.sink {
                    Some(_) => cell.crossed(&taken, now),
                    None => continue,
                }
            };
            if let (Some(sink), Some(key)) = (&self.sink, shared.key.get()) {
                for (limit, level, used) in crossed {
                    sink.crossed(&Crossing::new(key.clone(), limit, level, used));
                }
            }
        }
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.settle(Actual::Unsent);
    }
}

impl fmt::Debug for MemoryPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryPermit")
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

//! The limiter of one process.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;
use ziggurat_core::{Idle, Keyed, Scope};

use crate::{
    Actual, Charge, Charges, LimitKey, Limiter, Limits, Rate, Refused, Settle,
    cell::{Cell, Taken},
    meter::Meter,
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
/// use ziggurat_rate_limit::{Actual, Charges, LimitKey, Limiter, Limits, MemoryLimiter, Rate, Settle};
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
/// assert_eq!(refused.to_string(), "the limit of 1 requests in 60s is used up");
///
/// permit.settle(Actual::Unsent);
/// let remaining = limiter.remaining(&alice, &limits, Instant::now());
/// assert_eq!(remaining.requests.map(|left| left.remaining), Some(1));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MemoryLimiter {
    cells: Arc<Keyed<LimitKey, Shared>>,
}

#[derive(Debug, Default)]
struct Shared(Mutex<Cell>);

impl Idle for Shared {
    fn is_idle(&self) -> bool {
        self.0.lock().is_idle(Instant::now())
    }
}

/// What a key has used of its limits in their periods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Used {
    /// Requests.
    pub requests: u64,
    /// Tokens, those reserved included.
    pub tokens: u64,
    /// Requests in flight.
    pub in_flight: u32,
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// The limit.
    pub limit: u64,
    /// How much of it is left.
    pub remaining: u64,
    /// When all of it is left again, if nothing more is used.
    pub resets_at: Instant,
}

/// What is left to a key: the numbers of the `x-ratelimit-*` headers. `None` is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remaining {
    /// Requests.
    pub requests: Option<Left>,
    /// Tokens.
    pub tokens: Option<Left>,
    /// How many more requests may be in flight.
    pub in_flight: Option<u32>,
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
        }
    }

    /// What a key has used. Only what is limited is counted; see [`Rate::counted`].
    #[must_use]
    pub fn used(&self, key: &LimitKey, now: Instant) -> Used {
        let Some(cell) = self.cells.get(key) else {
            return Used::default();
        };
        let mut cell = cell.0.lock();
        Used {
            requests: cell.requests.used(now),
            tokens: cell.tokens.used(now),
            in_flight: cell.in_flight,
        }
    }

    /// What is left to a key under these limits.
    #[must_use]
    pub fn remaining(&self, key: &LimitKey, limits: &Limits, now: Instant) -> Remaining {
        let cell = self.cells.get(key).unwrap_or_default();
        let mut cell = cell.0.lock();
        let in_flight = cell.in_flight;
        let left = |meter: &mut Meter, rate: Rate| Left {
            limit: rate.amount(),
            remaining: rate.amount().saturating_sub(meter.used(now)),
            resets_at: meter.empty_at(now),
        };
        Remaining {
            requests: limits.requests().map(|rate| left(&mut cell.requests, rate)),
            tokens: limits.tokens().map(|rate| left(&mut cell.tokens, rate)),
            in_flight: limits
                .in_flight()
                .map(|most| most.saturating_sub(in_flight)),
        }
    }

    /// Forgets the keys for which `keep` says no: what a reload took away.
    pub fn retain(&self, mut keep: impl FnMut(&LimitKey) -> bool) {
        self.cells.retain(|key, _| keep(key));
    }

    fn admit(&self, charges: &Charges, now: Instant) -> Result<MemoryPermit, Refused> {
        let cost = charges.cost();
        if let [charge] = charges.as_slice() {
            let cell = self.cells.get_or_default(charge.key());
            let taken = {
                let mut cell = cell.0.lock();
                if let Some(verdict) = cell.refuses(charge.limits(), cost, now) {
                    return Err(verdict.refuse(charge.key().scope()));
                }
                cell.take(charge.limits(), cost, now)
            };
            return Ok(MemoryPermit {
                held: SmallVec::from_buf([(cell, taken)]),
            });
        }
        let mut cells: Vec<(Arc<Shared>, &Charge)> = charges
            .iter()
            .map(|charge| (self.cells.get_or_default(charge.key()), charge))
            .collect();
        // All are locked together, in an order that is the same for everybody.
        cells.sort_unstable_by_key(|(cell, _)| Arc::as_ptr(cell));
        let mut locked: Vec<_> = cells
            .iter()
            .map(|(cell, charge)| (cell.0.lock(), *charge))
            .collect();
        let refusals = locked.iter_mut().filter_map(|(cell, charge)| {
            let verdict = cell.refuses(charge.limits(), cost, now)?;
            Some((verdict, charge.key().scope()))
        });
        if let Some((verdict, scope)) = refusals.reduce(both) {
            return Err(verdict.refuse(scope));
        }
        let taken: Vec<Taken> = locked
            .iter_mut()
            .map(|(cell, charge)| cell.take(charge.limits(), cost, now))
            .collect();
        drop(locked);
        let cells = cells.into_iter().map(|(cell, _)| cell);
        Ok(MemoryPermit {
            held: cells.zip(taken).collect(),
        })
    }
}

/// The refusals of two keys: both have to be waited for, and the wider one says whom it concerns.
fn both(one: (Verdict, Scope), other: (Verdict, Scope)) -> (Verdict, Scope) {
    let width = |scope: Scope| match scope {
        Scope::Request => 2,
        Scope::Deployment => 1,
        _ => 0,
    };
    // What a tenant has to wait for says nothing of a deployment.
    let of_deployment = |(verdict, scope): (Verdict, Scope)| Verdict {
        any: verdict.any.filter(|_| scope == Scope::Deployment),
        ..verdict
    };
    let verdict = of_deployment(one).and(of_deployment(other));
    let scope = std::cmp::max_by_key(one.1, other.1, |scope| width(*scope));
    (verdict, scope)
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
}

/// What a request holds of a [`MemoryLimiter`].
#[derive(Debug)]
pub struct MemoryPermit {
    held: SmallVec<[(Arc<Shared>, Taken); 1]>,
}

impl Settle for MemoryPermit {
    fn settle(&mut self, actual: Actual) {
        let now = Instant::now();
        for (cell, taken) in self.held.drain(..) {
            cell.0.lock().settle(taken, actual, now);
        }
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.settle(Actual::Unsent);
    }
}

//! What keeps the counts: this process alone, or several together.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use smallvec::SmallVec;
use tokio::time::Instant;
use ziggurat_rate_limit::{
    Actual, Charge, Charges, Crossing, LeasedLimiter, Left, Limit, LimitKey, LimitSink as _,
    Measure, MemoryLimiter, Refused, Settle, Told,
};

use super::LimitSinks;

/// What keeps the counts of all limits.
#[derive(Clone, Debug)]
pub(crate) enum Limiter {
    Alone(MemoryLimiter),
    Together(LeasedLimiter, Heard),
}

impl Limiter {
    /// Forgets what has been used of some limits.
    pub(crate) fn clear(&self, forgets: impl FnMut(&LimitKey, &Limit) -> bool) {
        match self {
            Self::Alone(limiter) => limiter.clear(forgets),
            Self::Together(limiter, _) => limiter.clear(forgets),
        }
    }
}

impl ziggurat_rate_limit::Limiter for Limiter {
    type Permit = Permit;
    type Acquire = Acquire;

    fn acquire(&self, charges: &Charges) -> Acquire {
        match self {
            Self::Alone(limiter) => Acquire::Alone {
                acquire: limiter.acquire(charges),
            },
            Self::Together(limiter, heard) => Acquire::Together {
                acquire: limiter.acquire(charges),
                watch: heard.watch(limiter, charges),
            },
        }
    }

    fn left(&self, charge: &Charge, now: Instant) -> SmallVec<[Left; 3]> {
        match self {
            Self::Alone(limiter) => limiter.left(charge, now),
            Self::Together(limiter, _) => limiter.left(charge, now),
        }
    }
}

/// Who is told of limits that are kept together, and what was told. A limit that is nearly used up is
/// looked at when a request has taken of it, one that is used up when it refuses.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    sinks: LimitSinks,
    told: Arc<Mutex<HashMap<(LimitKey, Measure), Told>>>,
}

/// Of how many limits it is known that they were told. With more, some are told again.
const MOST_TOLD: usize = 65_536;

impl Heard {
    pub(crate) fn new(sinks: LimitSinks) -> Self {
        Self {
            sinks,
            told: Arc::default(),
        }
    }

    fn watch(&self, limiter: &LeasedLimiter, charges: &Charges) -> Watch {
        let is_soft = |charge: &Charge| charge.limits().iter().any(|it| it.soft().is_some());
        let near = charges.iter().any(is_soft);
        Watch {
            near: near.then(|| (limiter.clone(), charges.clone())),
            heard: self.clone(),
        }
    }

    fn tell(&self, key: &LimitKey, left: &Left, is_refused: bool, now: Instant) {
        let level = {
            let mut told = self.told.lock();
            if told.len() >= MOST_TOLD {
                told.clear();
            }
            let told = told.entry((key.clone(), left.limit.measure())).or_default();
            told.tell(&left.limit, left.used, is_refused, left.resets_at, now)
        };
        if let Some(level) = level {
            let crossing = Crossing::new(key.clone(), left.limit, level, left.used);
            self.sinks.crossed(&crossing);
        }
    }
}

/// What there may be to tell of a request.
#[derive(Debug)]
pub(crate) struct Watch {
    near: Option<(LeasedLimiter, Charges)>,
    heard: Heard,
}

impl Watch {
    fn tell(&self, refused: Option<&Refused>) {
        let now = Instant::now();
        if let Some(refused) = refused {
            let limit = refused.limit();
            let used = limit.amount().saturating_sub(refused.remaining());
            let left = Left::new(limit, used, refused.reset());
            self.heard.tell(refused.key(), &left, true, now);
        } else if let Some((limiter, charges)) = &self.near {
            for charge in charges.iter() {
                for left in ziggurat_rate_limit::Limiter::left(limiter, charge, now) {
                    self.heard.tell(charge.key(), &left, false, now);
                }
            }
        }
    }
}

/// What a request holds.
#[derive(Debug)]
pub(crate) enum Permit {
    Alone(<MemoryLimiter as ziggurat_rate_limit::Limiter>::Permit),
    Together(<LeasedLimiter as ziggurat_rate_limit::Limiter>::Permit),
}

impl Settle for Permit {
    fn settle(&mut self, actual: Actual) {
        match self {
            Self::Alone(permit) => permit.settle(actual),
            Self::Together(permit) => permit.settle(actual),
        }
    }
}

pin_project! {
    /// The decision.
    #[project = AcquireProj]
    pub(crate) enum Acquire {
        Alone { #[pin] acquire: <MemoryLimiter as ziggurat_rate_limit::Limiter>::Acquire },
        Together {
            #[pin] acquire: <LeasedLimiter as ziggurat_rate_limit::Limiter>::Acquire,
            watch: Watch,
        },
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Refused>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AcquireProj::Alone { acquire } => acquire.poll(cx).map_ok(Permit::Alone),
            AcquireProj::Together { acquire, watch } => {
                let decided = ready!(acquire.poll(cx));
                watch.tell(decided.as_ref().err());
                Poll::Ready(decided.map(Permit::Together))
            }
        }
    }
}

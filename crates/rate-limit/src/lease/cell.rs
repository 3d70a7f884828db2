//! All that this instance knows of one key.

mod tell;

use std::task::Waker;

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;
use ziggurat_core::Idle;

pub(crate) use self::tell::Sync;
use super::{
    leasing::PROMPT,
    ledger::{Ledger, One, Weight},
    store::Slot,
};
use crate::{Actual, Cost, Left, Limit, LimitKey, Limits, Measure, Sizes};

/// All that this instance knows of one key. It is decided and charged as a whole, under one lock.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) key: LimitKey,
    pub(crate) state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    ledgers: SmallVec<[Ledger; 3]>,
    sizes: Sizes,
    /// The batch that is told next, counted.
    batch: u64,
    /// What was told and not answered.
    told: Option<Told>,
    /// Until when what is leased may be used.
    expires: Option<Instant>,
    born: u64,
    instances: u64,
    /// How many syncs were sent and answered; those that failed are answered as well.
    sent: u64,
    answered: u64,
    last: Instant,
    /// Since the last one failed: when the store is asked again.
    retry_at: Option<Instant>,
    waiting: Vec<Waiting>,
    last_seat: u64,
    /// Nothing will be used any more.
    is_closed: bool,
    /// When the driver looks at it, if it does.
    pub(crate) wakes_at: Option<Instant>,
}

/// What is told until it is answered.
#[derive(Clone, Debug)]
struct Told {
    number: u64,
    batch: u64,
    limits: Vec<(Slot, u64, Vec<(u64, u64)>)>,
}

/// Somebody who waits for more to be leased.
#[derive(Debug)]
struct Waiting {
    seat: u64,
    /// The first sync that asks for this one, or an earlier one if that is not needed.
    from: u64,
    needs: SmallVec<[(Slot, u64); 3]>,
    waker: Waker,
}

/// What a request has taken of a key.
pub(crate) type Taken = SmallVec<[One; 3]>;

/// Whether a request may pass.
#[derive(Debug)]
pub(crate) enum Verdict {
    Passes,
    Lacks,
    Refused(crate::refused::Verdict),
}

impl Cell {
    pub(crate) fn new(key: LimitKey, now: Instant) -> Self {
        Self {
            key,
            state: Mutex::new(State {
                ledgers: SmallVec::new(),
                sizes: Sizes::default(),
                batch: 1,
                told: None,
                expires: None,
                born: 0,
                instances: 1,
                sent: 0,
                answered: 0,
                last: now.checked_sub(PROMPT).unwrap_or(now),
                retry_at: None,
                waiting: Vec::new(),
                last_seat: 0,
                is_closed: false,
                wakes_at: None,
            }),
        }
    }
}

impl Idle for Cell {
    fn is_idle(&self) -> bool {
        let now = Instant::now();
        let mut state = self.state.lock();
        state.told.is_none() && state.ledgers.iter_mut().all(|it| it.is_idle(now))
    }
}

impl State {
    /// The place of the ledger of each limit; each follows its limit from now on.
    fn follow(&mut self, limits: &Limits, share_of: u64, now: Instant) -> SmallVec<[usize; 3]> {
        if !self.is_live(now) {
            self.ledgers.iter_mut().for_each(Ledger::expire);
        }
        let instances = share_of.max(self.instances);
        let places = limits.iter().map(|limit| {
            let slot = Slot::of(limit);
            let place = self.ledgers.iter().position(|it| it.slot == slot);
            let place = place.unwrap_or_else(|| {
                self.ledgers.push(Ledger::new(limit, now));
                self.ledgers.len() - 1
            });
            self.ledgers[place].follow(limit, instances, now);
            place
        });
        places.collect()
    }

    fn is_live(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| now < at)
    }

    /// Whether the store did not answer for this key.
    pub(crate) const fn is_failing(&self) -> bool {
        self.retry_at.is_some()
    }

    // ===== requests =====

    /// Whether a request may pass; changes no count. `alone` says how it is decided without the
    /// store what is not leased.
    pub(crate) fn weigh(
        &mut self,
        limits: &Limits,
        cost: Cost,
        alone: Option<Alone>,
        instances: u64,
        now: Instant,
    ) -> Verdict {
        let places = self.follow(limits, instances, now);
        let instances = instances.max(self.instances);
        let mut lacks = false;
        let mut refused: Option<crate::refused::Verdict> = None;
        for (place, limit) in places.into_iter().zip(limits.iter()) {
            let ledger = &mut self.ledgers[place];
            let need = cost.reserve(limit, &self.sizes);
            let weight = match (ledger.weigh(need, now), alone) {
                (Weight::Lacks, Some(Alone::Open)) => Weight::Enough,
                (Weight::Lacks, Some(Alone::Share)) => ledger.weigh_share(need, instances, now),
                (weight, _) => weight,
            };
            match weight {
                Weight::Enough => {}
                Weight::Lacks => lacks = true,
                Weight::Refused(verdict) => {
                    refused = Some(refused.map_or(verdict, |other| other.and(verdict)));
                }
            }
        }
        match refused {
            Some(verdict) => Verdict::Refused(verdict),
            None if lacks => Verdict::Lacks,
            None => Verdict::Passes,
        }
    }

    /// The first limit of which not enough is leased, to name one.
    pub(crate) fn lacking(&self, limits: &Limits, cost: Cost, now: Instant) -> Option<Limit> {
        let lacks = |limit: &&Limit| {
            let need = cost.reserve(limit, &self.sizes);
            let ledger = self.ledgers.iter().find(|it| it.slot == Slot::of(limit));
            ledger.is_none_or(|it| matches!(it.weigh(need, now), Weight::Lacks))
        };
        limits.iter().find(lacks).copied()
    }

    /// Takes what a request is charged; it may pass.
    pub(crate) fn take(
        &mut self,
        limits: &Limits,
        cost: Cost,
        instances: u64,
        now: Instant,
    ) -> Taken {
        let instances = instances.max(self.instances);
        let ones = limits.iter().filter_map(|limit| {
            let need = cost.reserve(limit, &self.sizes);
            let slot = Slot::of(limit);
            let ledger = self.ledgers.iter_mut().find(|it| it.slot == slot)?;
            Some(ledger.take(need, self.batch, instances, now))
        });
        ones.collect()
    }

    /// Corrects what a request has taken by what has happened.
    pub(crate) fn settle(&mut self, taken: &Taken, actual: &Actual, now: Instant) {
        self.sizes.learn(actual);
        let is_live = self.is_live(now);
        for one in taken {
            let used = actual.of(one.slot.measure, one.reserved);
            if let Some(ledger) = self.ledgers.iter_mut().find(|it| it.slot == one.slot) {
                ledger.settle(one, used, self.batch, is_live, now);
            }
        }
    }

    /// Has the store forget what was used of the limits for which `forgets` says so.
    pub(crate) fn clear(&mut self, mut forgets: impl FnMut(&Limit) -> bool) {
        for ledger in &mut self.ledgers {
            ledger.clear(&mut forgets);
        }
    }

    // ===== who waits =====

    /// Waits for what a request needs; gives the seat. If the key lacks something, the store is
    /// asked: again for one that has a seat, if what it asked for has been answered. If not, what
    /// there is is not given back meanwhile.
    pub(crate) fn sit(
        &mut self,
        seat: Option<u64>,
        lacks: bool,
        limits: &Limits,
        cost: Cost,
        waker: &Waker,
    ) -> u64 {
        let next = self.sent + 1;
        let place = self.waiting.iter().position(|it| Some(it.seat) == seat);
        let place = place.unwrap_or_else(|| {
            self.last_seat += 1;
            let needs = limits.iter().map(|limit| {
                let need = cost.reserve(limit, &self.sizes);
                (Slot::of(limit), need)
            });
            self.waiting.push(Waiting {
                seat: self.last_seat,
                from: 0,
                needs: needs.collect(),
                waker: waker.clone(),
            });
            self.waiting.len() - 1
        });
        let waiting = &mut self.waiting[place];
        waiting.waker.clone_from(waker);
        if lacks && waiting.from <= self.answered {
            waiting.from = next;
        }
        waiting.seat
    }

    /// Waits no more.
    pub(crate) fn leave(&mut self, seat: u64) {
        self.waiting.retain(|it| it.seat != seat);
    }

    // ===== what is known =====

    pub(crate) fn left(
        &mut self,
        limits: &Limits,
        instances: u64,
        now: Instant,
    ) -> SmallVec<[Left; 3]> {
        let places = self.follow(limits, instances, now);
        let left = places.into_iter().zip(limits.iter()).map(|(place, limit)| {
            let (used, resets_at) = self.ledgers[place].left(now);
            Left::new(*limit, used, resets_at)
        });
        left.collect()
    }

    /// How much of a measure this instance has used, of its first limit.
    pub(crate) fn used(&mut self, measure: Measure, now: Instant) -> u64 {
        let mut ledgers = self.ledgers.iter_mut();
        let ledger = ledgers.find(|it| it.slot.measure == measure);
        ledger.map_or(0, |it| it.own(now))
    }
}

/// How it is decided without the store.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Alone {
    Share,
    Open,
}

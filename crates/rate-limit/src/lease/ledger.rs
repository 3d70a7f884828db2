//! One limit, as this instance knows it.

mod tell;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{pace::Pace, store::Slot};
use crate::{
    Limit, Window,
    meter::{Meter, Stamp},
    refused::{Verdict, Wait},
};

/// One limit, as this instance knows it.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) slot: Slot,
    limit: Limit,
    /// Granted, and not used.
    spare: u64,
    /// Places in flight that are taken.
    held: u64,
    /// How many requests have taken of it and are not settled.
    open: u64,
    /// Used, and not told to the store.
    pending: u64,
    /// What was told and is taken back, by the batch that told it.
    refunds: SmallVec<[(u64, u64); 2]>,
    /// Where the store has put what was told, from that batch on.
    places: SmallVec<[(u64, u64); 2]>,
    /// All that this instance has used in the window, against its share of the limit.
    own: Meter,
    /// The first batch that it counts, and the store: what was told before has left the period, or
    /// was reset.
    own_from: u64,
    /// Whether the store is to forget what was used.
    resets: bool,
    pace: Pace,
    known: Option<Heard>,
    denied: Option<Denied>,
}

/// What the store said last.
#[derive(Clone, Copy, Debug)]
struct Heard {
    /// What was used and held by all, what was granted included.
    total: u64,
    whole_at: Option<Instant>,
    ends: u64,
    reset_at: u64,
}

/// That the store had nothing more.
#[derive(Clone, Copy, Debug)]
struct Denied {
    until: Instant,
    /// For whom that lacks so much, at least and at most.
    least: u64,
    largest: u64,
    wait: Wait,
    /// Whether others hold what is missing, and might not use it.
    is_held: bool,
}

/// What a request has taken of one limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct One {
    pub(crate) slot: Slot,
    pub(crate) reserved: u64,
    is_leased: bool,
    batch: u64,
    stamp: Option<Stamp>,
}

/// Whether there is enough.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weight {
    Enough,
    /// The store has to be asked.
    Lacks,
    Refused(Verdict),
}

impl Ledger {
    pub(crate) fn new(limit: &Limit, now: Instant) -> Self {
        Self {
            slot: Slot::of(limit),
            limit: *limit,
            spare: 0,
            held: 0,
            open: 0,
            pending: 0,
            refunds: SmallVec::new(),
            places: SmallVec::new(),
            own: Meter::default(),
            own_from: 0,
            resets: false,
            pace: Pace::new(now),
            known: None,
            denied: None,
        }
    }

    fn is_at_once(&self) -> bool {
        self.slot.window == Window::AtOnce
    }

    /// Takes on an amount, of which an instance has so much for itself in an outage.
    pub(crate) fn follow(&mut self, limit: &Limit, instances: u64, now: Instant) {
        if self.limit.amount() != limit.amount() {
            self.denied = None;
        }
        self.limit = *limit;
        let share = Limit::new(limit.measure(), share(limit, instances), limit.window());
        self.own.follow(&share, now);
    }

    /// The lease is over: what was left of it is not to be used.
    pub(crate) fn expire(&mut self) {
        self.spare = 0;
    }

    // ===== requests =====

    /// Whether a request that needs so much may pass.
    pub(crate) fn weigh(&self, need: u64, now: Instant) -> Weight {
        if self.limit.amount() == 0 {
            return Weight::Refused(self.verdict(Wait::Never, Some(Wait::Never)));
        }
        if need <= self.spare {
            return Weight::Enough;
        }
        let lacking = need - self.spare;
        match self.denied {
            Some(denied)
                if now < denied.until && (denied.least..=denied.largest).contains(&lacking) =>
            {
                let is_all = !denied.is_held && self.remaining() == 0;
                Weight::Refused(self.verdict(denied.wait, is_all.then_some(denied.wait)))
            }
            _ => Weight::Lacks,
        }
    }

    /// Whether a request may pass by this instance's share alone. What the store has just refused may
    /// not, though it was less than is lacking now.
    pub(crate) fn weigh_share(&mut self, need: u64, instances: u64, now: Instant) -> Weight {
        if let Some(denied) = self.denied
            && now < denied.until
            && denied.least <= need.saturating_sub(self.spare)
        {
            return Weight::Refused(self.verdict(denied.wait, None));
        }
        let need = need.min(share(&self.limit, instances));
        let Some(wait) = self.own.wait(need, now) else {
            return Weight::Enough;
        };
        let any = self.own.wait(1, now);
        let left = share(&self.limit, instances).saturating_sub(self.own.used(now));
        Weight::Refused(Verdict {
            remaining: left,
            ..self.verdict(wait, any)
        })
    }

    const fn verdict(&self, wait: Wait, any: Option<Wait>) -> Verdict {
        Verdict {
            wait,
            any,
            limit: self.limit,
            remaining: self.remaining(),
        }
    }

    const fn remaining(&self) -> u64 {
        let total = match &self.known {
            Some(known) => known.total,
            None => 0,
        };
        self.limit
            .amount()
            .saturating_sub(total)
            .saturating_add(self.spare)
    }

    /// Takes what a request needs: of what is leased, or else no more than the share.
    pub(crate) fn take(&mut self, need: u64, batch: u64, instances: u64, now: Instant) -> One {
        let is_leased = need <= self.spare;
        let reserved = match is_leased {
            true => need,
            false => need.min(share(&self.limit, instances)),
        };
        if is_leased {
            self.spare -= reserved;
        }
        if self.is_at_once() {
            self.held = self.held.saturating_add(reserved);
        } else {
            self.pending = self.pending.saturating_add(reserved);
        }
        self.open += 1;
        self.pace.draw(reserved, now);
        One {
            slot: self.slot,
            reserved,
            is_leased,
            batch,
            stamp: self.own.charge(reserved, now),
        }
    }

    /// Corrects what a request has taken. `batch` is the one that is told next, and `is_live` says
    /// whether the lease still holds.
    pub(crate) fn settle(&mut self, one: &One, used: u64, batch: u64, is_live: bool, now: Instant) {
        self.open = self.open.saturating_sub(1);
        // What is not counted any more cannot be given back.
        let is_counted = one.batch >= self.own_from;
        if let Some(stamp) = one.stamp {
            let reserved = match is_counted {
                true => one.reserved,
                false => one.reserved.min(used),
            };
            self.own.correct(stamp, reserved, used, now);
        }
        if self.is_at_once() {
            self.held = self.held.saturating_sub(one.reserved);
            if one.is_leased && is_live {
                self.spare += one.reserved;
            }
        } else if used > one.reserved {
            let beyond = used - one.reserved;
            self.spare = self.spare.saturating_sub(beyond);
            self.pending = self.pending.saturating_add(beyond);
        } else if used < one.reserved && is_counted {
            let back = one.reserved - used;
            if one.batch == batch {
                self.pending = self.pending.saturating_sub(back);
                if one.is_leased && is_live {
                    self.spare += back;
                }
            } else {
                match self.refunds.iter_mut().find(|(of, _)| *of == one.batch) {
                    Some((_, amount)) => *amount += back,
                    None => self.refunds.push((one.batch, back)),
                }
            }
        }
    }

    /// Has the store forget what was used, if `forgets` says so of the limit.
    pub(crate) fn clear(&mut self, forgets: impl FnOnce(&Limit) -> bool) {
        self.resets |= !self.is_at_once() && forgets(&self.limit);
    }

    // ===== what is known =====

    /// How much is used by all, what is reserved included, and when nothing is.
    pub(crate) fn left(&mut self, now: Instant) -> (u64, Option<Instant>) {
        let own = self.own.used(now);
        let own_end = self.own.empty_at(now);
        match self.known {
            Some(known) if known.whole_at.is_none_or(|at| now < at) => {
                let used = known.total.saturating_sub(self.spare).max(own);
                (used, known.whole_at.max(own_end))
            }
            _ => (own, own_end),
        }
    }

    /// How much this instance has used.
    pub(crate) fn own(&mut self, now: Instant) -> u64 {
        self.own.used(now)
    }

    /// Whether it is as good as a new one.
    pub(crate) fn is_idle(&mut self, now: Instant) -> bool {
        self.is_settled() && self.open == 0 && self.own.used(now) == 0
    }

    /// Whether there is nothing that the store has to hear of.
    pub(crate) fn is_settled(&self) -> bool {
        self.spare + self.held + self.pending == 0 && self.refunds.is_empty() && !self.resets
    }
}

/// What one of so many instances has for itself.
fn share(limit: &Limit, instances: u64) -> u64 {
    limit.amount().div_ceil(instances.max(1))
}

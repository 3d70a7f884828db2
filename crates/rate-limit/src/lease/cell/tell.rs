//! What is told of one key, and heard.

use std::{sync::Arc, task::Waker, time::Duration};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{State, Told};
use crate::{
    LimitKey,
    lease::{
        leasing::{Leasing, PROMPT, RENEW},
        ledger::Ledger,
        store::{Slot, SyncLimit, SyncReply, SyncRequest},
    },
};

/// A request to the store, on its way.
#[derive(Debug)]
pub(crate) struct Sync {
    pub(crate) request: SyncRequest,
    sent_at: Instant,
    batch: u64,
}

/// More are not believed.
const MOST_INSTANCES: u64 = 1 << 20;

/// A lease is not used any more so long before the store takes it as expired: clocks round.
const MARGIN: Duration = PROMPT;

impl State {
    /// Whether the store is being asked.
    pub(crate) const fn is_asked(&self) -> bool {
        self.sent > self.answered
    }

    /// When the store has to hear of this key. Never while it is asked.
    pub(crate) fn due(&self, leasing: &Leasing, now: Instant) -> Option<Instant> {
        if self.is_asked() {
            return None;
        }
        let idle = self.idle(leasing);
        let mut due = self.told.is_some().then(|| self.last + PROMPT);
        if self.waiting.iter().any(|it| it.from > self.sent) {
            due = Some(now);
        }
        for ledger in &self.ledgers {
            let it = ledger.due(self.last, self.instances, leasing.lease, idle, now);
            due = match (due, it) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        due.map(|at| self.retry_at.map_or(at, |retry| at.max(retry)))
    }

    /// Whether the driver has to be called, because it would not look in time. If so, it is.
    pub(crate) fn calls(&mut self, leasing: &Leasing, now: Instant) -> bool {
        let due = self.due(leasing, now);
        let is_late = due.is_some_and(|due| self.wakes_at.is_none_or(|at| due < at));
        if is_late {
            self.wakes_at = due;
        }
        is_late
    }

    /// What is said to the store now.
    pub(crate) fn ask(
        &mut self,
        key: &LimitKey,
        leasing: &Leasing,
        number: u64,
        now: Instant,
    ) -> Sync {
        if !self.is_live(now) {
            self.ledgers.iter_mut().for_each(Ledger::expire);
        }
        let waited_for = self.waiting.iter();
        let waited_for = waited_for.flat_map(|it| it.needs.iter().map(|(slot, _)| *slot));
        let told = self.told.iter().flat_map(|told| &told.limits);
        let used: SmallVec<[Slot; 8]> = waited_for.chain(told.map(|(slot, ..)| *slot)).collect();
        // Limits that are no more; what was told of them has been answered.
        self.ledgers
            .retain(|it| !it.is_idle(now) || used.contains(&it.slot));
        let is_stale = self.expires.is_some() && !self.is_live(now);
        let idle = self.idle(leasing);
        let (waiting, instances) = (&self.waiting, self.instances);
        let mut old = self.told.take();
        let is_old = old.is_some();
        let limits: Vec<SyncLimit> = self
            .ledgers
            .iter_mut()
            .map(|ledger| {
                let slot = ledger.slot;
                let all = waiting.iter().flat_map(|it| &it.needs);
                let needs = all.filter_map(|(of, need)| (*of == slot).then_some(*need));
                let told = old.as_mut().map(|told| {
                    let mut limits = told.limits.iter_mut();
                    let it = limits.find(|(slot, ..)| *slot == ledger.slot);
                    it.map_or((0, Vec::new()), |(_, used, refunds)| {
                        (*used, std::mem::take(refunds))
                    })
                });
                ledger.ask(needs, told, instances, idle, is_stale, now)
            })
            .collect();
        let told = Told {
            number: old.as_ref().map_or(number, |told| told.number),
            batch: old.as_ref().map_or(self.batch, |told| told.batch),
            limits: limits
                .iter()
                .map(|it| (Slot::of(&it.limit), it.used, it.refunds.clone()))
                .collect(),
        };
        if !is_old {
            self.batch += 1;
        }
        self.sent += 1;
        self.last = now;
        let request = SyncRequest {
            key: Some(key.clone()),
            instance: Arc::clone(&leasing.instance),
            number,
            batch: told.number,
            born: self.born,
            lease: leasing.lease,
            limits,
        };
        let batch = told.batch;
        self.told = Some(told);
        Sync {
            request,
            sent_at: now,
            batch,
        }
    }

    /// Takes in what the store answered; gives those to wake.
    pub(crate) fn hear(
        &mut self,
        sync: &Sync,
        reply: Option<&SyncReply>,
        leasing: &Leasing,
        now: Instant,
    ) -> Vec<Waker> {
        self.answered = self.sent;
        let asked = &sync.request.limits;
        match reply.filter(|reply| reply.limits.len() == asked.len()) {
            Some(reply) => {
                if !self.is_live(now) {
                    self.ledgers.iter_mut().for_each(Ledger::expire);
                }
                self.told = None;
                self.retry_at = None;
                let is_anew = self.born != reply.born;
                self.born = reply.born;
                self.instances = reply.instances.clamp(1, MOST_INSTANCES);
                let valid = leasing.lease.saturating_sub(MARGIN);
                self.expires = Some(sync.sent_at + valid);
                for (asked, got) in asked.iter().zip(&reply.limits) {
                    let slot = Slot::of(&asked.limit);
                    let ledger = self.ledgers.iter_mut().find(|it| it.slot == slot);
                    if let Some(ledger) = ledger {
                        ledger.hear(asked, got, sync.batch, is_anew, now);
                    }
                }
            }
            None => self.retry_at = Some(now + RENEW),
        }
        let answered = self.answered;
        let waiting = self.waiting.iter().filter(|it| it.from <= answered);
        waiting.map(|it| it.waker.clone()).collect()
    }

    /// Has everything given back, and tells when the store has to hear of this key: at once if it
    /// holds anything, the first time; then as ever, while requests still run. Never if the store does
    /// not answer.
    pub(crate) fn close(&mut self, leasing: &Leasing, now: Instant) -> Option<Instant> {
        if self.is_asked() || self.is_failing() {
            return None;
        }
        let was_closed = std::mem::replace(&mut self.is_closed, true);
        let is_settled = self.told.is_none() && self.ledgers.iter().all(Ledger::is_settled);
        match was_closed || is_settled {
            true => self.due(leasing, now),
            false => Some(now),
        }
    }

    fn idle(&self, leasing: &Leasing) -> Duration {
        match self.is_closed {
            true => Duration::ZERO,
            false => leasing.idle,
        }
    }
}

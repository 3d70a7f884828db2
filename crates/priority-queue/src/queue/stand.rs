//! Where a newcomer would stand, and whether it may.

use tokio::time::Instant;
use ziggurat_core::Reason;

use super::{
    Newcomer, PATIENCE, Queue, State, TenantId, Until, Woken,
    level::{Key, Lane},
    levels::{At, Of},
};
use crate::Claim;

/// A newcomer's place, if it waits.
pub(super) struct Stand {
    pub(super) of: Of,
    pub(super) key: Key,
    pub(super) tenant: TenantId,
    pub(super) class: usize,
    pub(super) cost: usize,
    pub(super) until: Option<Until>,
    pub(super) turn_at: Option<Instant>,
}

impl<W> Queue<W> {
    pub(super) fn join(&mut self, claim: &Claim) -> TenantId {
        let joined = self.tenants.join(claim.tenant.as_ref());
        if joined.is_new {
            self.levels.forget(joined.id);
        }
        joined.id
    }

    /// Where a newcomer would stand.
    pub(super) fn stand(&mut self, newcomer: Newcomer<'_>, cost: usize) -> Stand {
        let Newcomer {
            claim,
            deadline,
            now,
        } = newcomer;
        let class = self.rules.class_of(claim.priority.0);
        let (level, level_weight) = match self.rules.classes.get(class) {
            Some(it) => (class as i64, it.weight.get()),
            None => (claim.priority.0, 1),
        };
        let tenant = self.join(claim);
        let of = Of {
            level: self.levels.nearest(level),
            level_weight,
            lane: match claim.again {
                true => Lane::Again,
                false => Lane::Of(tenant),
            },
            weight: self.tenants.of(tenant).weight,
        };
        let own = deadline.map(|at| Until {
            at,
            is_deadline: true,
        });
        let patience = self.patience(class).and_then(|time| now.checked_add(time));
        let patience = patience.map(|at| Until {
            at,
            is_deadline: false,
        });
        let until = own.into_iter().chain(patience).min_by_key(|until| until.at);
        let key = Key {
            deadline: until.map_or(now + PATIENCE, |until| until.at),
            number: self.arrivals,
        };
        let turn_at = self.predict(of, tenant, &key, cost, now);
        Stand {
            of,
            key,
            tenant,
            class,
            cost,
            until,
            turn_at,
        }
    }

    /// Whether a newcomer may wait. Those go for it who have to.
    pub(super) fn admissible(
        &mut self,
        newcomer: Newcomer<'_>,
        stand: &Stand,
        woken: &mut Woken<W>,
    ) -> Result<(), Reason> {
        let turn_at = stand.turn_at.unwrap_or(newcomer.now);
        if let Some(until) = stand.until.filter(|until| turn_at >= until.at) {
            return Err(match until.is_deadline {
                true => Reason::Deadline,
                false => Reason::Busy,
            });
        }
        let has_waiting = self.tenants.of(stand.tenant).waiting;
        if !newcomer.claim.again && has_waiting >= self.rules.max_waiting_per_tenant {
            return Err(Reason::QueueFull);
        }
        if self.make_room(newcomer, stand, woken) {
            Ok(())
        } else {
            Err(Reason::QueueFull)
        }
    }

    /// Pushes those out who stand behind a newcomer, as many as it needs to find room; nobody if that
    /// would not do.
    ///
    /// Behind it stands whoever is of a worse class. In its own, so does the last of the tenant whose
    /// line would be served last, if the newcomer's would be served sooner.
    pub(super) fn make_room(
        &mut self,
        newcomer: Newcomer<'_>,
        stand: &Stand,
        woken: &mut Woken<W>,
    ) -> bool {
        let units = self.units_of(stand.cost);
        let max_waiting = self.max_waiting();
        let max_waiting_bytes = self.rules.max_waiting_bytes;
        let over = |queue: &Self| {
            let bytes = queue.bytes().saturating_add(newcomer.claim.bytes);
            (
                queue.waiting() >= max_waiting,
                bytes.saturating_sub(max_waiting_bytes),
            )
        };
        if max_waiting == 0 || newcomer.claim.bytes > max_waiting_bytes {
            return false;
        }
        let (_, bytes) = over(self);
        if bytes > self.levels.may_go_after(stand.of.level) {
            return false;
        }
        while over(self) != (false, 0) {
            let Some(last) = self.levels.last() else {
                return false;
            };
            let is_behind = last.at.level > stand.of.level
                || last.at.level == stand.of.level
                    && match stand.of.lane {
                        Lane::Again => true,
                        Lane::Of(tenant) => {
                            let end = self.levels.end_with(stand.of, tenant, units);
                            tenant != last.tenant && end < last.end
                        }
                    };
            if !is_behind {
                return false;
            }
            self.shed(&last.at, newcomer.now, woken);
        }
        true
    }

    /// Pushes somebody out.
    pub(super) fn shed(&mut self, at: &At, now: Instant, woken: &mut Woken<W>) {
        let Some(entry) = self.levels.remove(at) else {
            return;
        };
        // Whoever would come to where it stood.
        let (tenant, class) = (
            self.waiters[entry.slot].tenant,
            self.waiters[entry.slot].class,
        );
        let turn_at = self.predict_for(at, tenant, class, entry.cost, now);
        let waiter = &mut self.waiters[entry.slot];
        let state = std::mem::replace(&mut waiter.state, State::Shed(turn_at));
        self.tenants.of(tenant).waiting -= 1;
        self.books[class].shed(waiter.bytes);
        if let State::Waiting(wake) = state {
            woken.push(wake);
        }
    }
}

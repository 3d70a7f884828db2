//! Who has its turn, when units are free.

use super::{Entry, Gathers, Lane, Queue, State, TenantId, Turn, Woken, levels::At};

impl<W> Queue<W> {
    pub(super) fn free(&self) -> usize {
        self.capacity.saturating_sub(self.in_use)
    }

    pub(super) fn take(&mut self, units: usize, tenant: Option<TenantId>) -> Turn {
        self.in_use += units;
        self.in_flight += 1;
        if let Some(id) = tenant {
            self.tenants.of(id).in_flight += 1;
        }
        Turn { units, tenant }
    }

    /// Hands out what is free.
    pub(super) fn admit(&mut self, woken: &mut Woken<W>) {
        loop {
            if self.gather(false, woken) {
                continue;
            }
            let free = self.free();
            if free == 0 {
                return;
            }
            let Some((at, entry)) = self.next() else {
                if self.gather(true, woken) {
                    continue;
                }
                return;
            };
            let units = self.units_of(entry.cost);
            if units <= free {
                self.levels.serve(&at, units);
                if let Some(gathers) = &mut self.gathers {
                    gathers.others += units;
                }
                self.grant(entry.slot, units, 0, woken);
            } else if self.gathers.is_none() {
                self.levels.serve(&at, units);
                self.gathers = Some(Gathers {
                    slot: entry.slot,
                    has: 0,
                    others: 0,
                });
            } else if !self.gather(true, woken) {
                return;
            }
        }
    }

    /// Gives whoever gathers its part of what is free, or `all` of it. Whether that was its turn.
    pub(super) fn gather(&mut self, all: bool, woken: &mut Woken<W>) -> bool {
        let free = self.free();
        let Some(gathers) = &mut self.gathers else {
            return false;
        };
        let slot = gathers.slot;
        let units = self.waiters[slot].cost.min(self.whole).max(1);
        let part = match all {
            true => free,
            false => (gathers.others + 1).saturating_sub(gathers.has).min(free),
        };
        let part = part.min(units.saturating_sub(gathers.has));
        gathers.has += part;
        self.in_use += part;
        if gathers.has < units {
            return false;
        }
        let has = gathers.has;
        self.gathers = None;
        self.grant(slot, has, has, woken);
        true
    }

    /// Who is next, of those whose tenant may have another one in flight.
    pub(super) fn next(&mut self) -> Option<(At, Entry)> {
        loop {
            let (at, entry) = self.levels.next()?;
            match at.lane {
                Lane::Of(id) if self.has_enough(id) => self.levels.park(at.level, id),
                _ => return Some((at, entry)),
            }
        }
    }

    /// Whether a tenant has as many in flight as it may; one that gathers is one of them.
    pub(super) fn has_enough(&mut self, id: TenantId) -> bool {
        let gathers = self.gathers.as_ref();
        let gathers = gathers.is_some_and(|it| self.waiters[it.slot].tenant == id);
        let has = self.tenants.of(id).in_flight + usize::from(gathers);
        let most = self.rules.max_in_flight_per_tenant;
        most.is_some_and(|most| has >= most)
    }

    /// Gives a waiter its turn, of which it `has` some units already.
    pub(super) fn grant(&mut self, slot: usize, units: usize, has: usize, woken: &mut Woken<W>) {
        let (id, bytes) = (self.waiters[slot].tenant, self.waiters[slot].bytes);
        let is_counted = self.rules.max_in_flight_per_tenant.is_some();
        self.in_use -= has;
        let turn = self.take(units, is_counted.then_some(id));
        self.tenants.of(id).waiting -= 1;
        let waiter = &mut self.waiters[slot];
        self.books[waiter.class].granted(bytes);
        let state = std::mem::replace(&mut waiter.state, State::Granted(turn));
        if let State::Waiting(wake) = state {
            woken.push(wake);
        }
    }
}

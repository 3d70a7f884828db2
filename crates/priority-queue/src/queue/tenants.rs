//! Who has something waiting or in flight.

use std::{collections::HashMap, sync::Arc};

use slab::Slab;

use crate::Tenant;

/// How many tenants are told apart at a time. Whoever comes beyond that shares a line with those who
/// are nobody in particular.
const MOST: usize = 1_024;

/// How many are looked at for one that may be forgotten.
const LOOKED_AT: usize = 64;

/// A tenant of this queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TenantId(usize);

/// Those who are nobody in particular.
const NOBODY: TenantId = TenantId(0);

#[derive(Debug)]
pub(super) struct Tenants {
    ids: HashMap<Arc<str>, TenantId>,
    all: Slab<State>,
    hand: usize,
}

#[derive(Debug)]
pub(super) struct State {
    name: Option<Arc<str>>,
    pub(super) weight: u32,
    pub(super) waiting: usize,
    pub(super) in_flight: usize,
}

impl State {
    const fn new(name: Option<Arc<str>>) -> Self {
        Self {
            name,
            weight: 1,
            waiting: 0,
            in_flight: 0,
        }
    }

    const fn is_idle(&self) -> bool {
        self.waiting == 0 && self.in_flight == 0
    }
}

/// A tenant, and the one that was forgotten for it, whose id it has.
pub(super) struct Joined {
    pub(super) id: TenantId,
    pub(super) is_new: bool,
}

impl Tenants {
    pub(super) fn new() -> Self {
        let mut all = Slab::new();
        all.insert(State::new(None));
        Self {
            ids: HashMap::new(),
            all,
            hand: 0,
        }
    }

    /// The id of a tenant, which stays its own while it has something waiting or in flight.
    pub(super) fn join(&mut self, tenant: Option<&Tenant>) -> Joined {
        let known = |id| Joined { id, is_new: false };
        let Some(tenant) = tenant else {
            return known(NOBODY);
        };
        if let Some(&id) = self.ids.get(&tenant.name) {
            self.of(id).weight = tenant.weight.get();
            return known(id);
        }
        if self.all.len() > MOST && !self.forget_one() {
            return known(NOBODY);
        }
        let name = Arc::clone(&tenant.name);
        let id = TenantId(self.all.insert(State::new(Some(Arc::clone(&name)))));
        self.ids.insert(name, id);
        self.of(id).weight = tenant.weight.get();
        Joined { id, is_new: true }
    }

    pub(super) fn of(&mut self, id: TenantId) -> &mut State {
        &mut self.all[id.0]
    }

    /// Forgets one who has nothing here, if there is one among the next.
    fn forget_one(&mut self) -> bool {
        for _ in 0..LOOKED_AT {
            self.hand = self.hand % MOST + 1;
            let Some(state) = self.all.get(self.hand).filter(|state| state.is_idle()) else {
                continue;
            };
            if let Some(name) = &state.name {
                self.ids.remove(name);
            }
            self.all.remove(self.hand);
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_names_are_a_thousand_tenants_and_nobody() {
        let mut tenants = Tenants::new();
        let busy = tenants.join(Some(&Tenant::new("busy"))).id;
        tenants.of(busy).waiting = 1;
        for name in 0..100_000 {
            tenants.join(Some(&Tenant::new(name.to_string())));
        }
        assert!(tenants.all.len() <= MOST + 1);
        assert_eq!(tenants.ids.len() + 1, tenants.all.len());
        assert_eq!(tenants.join(Some(&Tenant::new("busy"))).id, busy);
    }

    #[test]
    fn who_comes_when_all_are_busy_is_nobody_in_particular() {
        let mut tenants = Tenants::new();
        for name in 0..MOST {
            let id = tenants.join(Some(&Tenant::new(name.to_string()))).id;
            tenants.of(id).in_flight = 1;
        }
        let id = tenants.join(Some(&Tenant::new("late"))).id;
        assert_eq!(id, tenants.join(None).id);
        assert_eq!(tenants.of(id).weight, 1);
    }
}

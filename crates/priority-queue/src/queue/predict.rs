//! When somebody's turn will come.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Queue, TenantId,
    level::Key,
    levels::{At, Of},
};

impl<W> Queue<W> {
    /// When a newcomer would have its turn, if nobody overtook it.
    pub(super) fn predict(
        &mut self,
        of: Of,
        tenant: TenantId,
        key: &Key,
        cost: usize,
        now: Instant,
    ) -> Option<Instant> {
        let units = self.units_of(cost);
        let gathers = self.gathers.as_ref().map_or(0, |gathers| {
            let cost = self.waiters[gathers.slot].cost.min(self.whole);
            cost.saturating_sub(gathers.has)
        });
        let ahead = self.levels.ahead(of, key, self.whole, now);
        let rank = self.levels.rank_of(of.level);
        // Of a part that is what it is by chance, nothing follows; of the whole it does.
        let (capacity, in_use, elsewhere) = match &self.elsewhere {
            None => (self.capacity, self.in_use, 0),
            Some(it) => {
                let in_use = self.in_use.saturating_add(it.in_use);
                let ahead = it.ahead(self.levels.order(), of, rank, ahead, now);
                (self.whole, in_use, ahead)
            }
        };
        let too_many = in_use.saturating_sub(capacity);
        let ends = [units, gathers, too_many, elsewhere]
            .into_iter()
            .fold(ahead, usize::saturating_add);
        let ends = ends.saturating_sub(capacity.saturating_sub(in_use));
        let mut wait = self.pace.of_unit()? * ends as f64 / capacity as f64;
        if let Some(most) = self.rules.max_in_flight_per_tenant
            && self.tenants.of(tenant).in_flight >= most
        {
            let own = self.levels.own_ahead(of.level, tenant, key) + 1;
            wait = wait.max(self.pace.of_turn()? * own as f64 / most as f64);
        }
        now.checked_add(Duration::try_from_secs_f64(wait).ok()?)
    }

    pub(super) fn predict_for(
        &mut self,
        at: &At,
        tenant: TenantId,
        class: usize,
        cost: usize,
        now: Instant,
    ) -> Option<Instant> {
        let class = self.rules.classes.get(class);
        let of = Of {
            level: at.level,
            level_weight: class.map_or(1, |class| class.weight.get()),
            lane: at.lane,
            weight: self.tenants.of(tenant).weight,
        };
        self.predict(of, tenant, &at.key, cost, now)
    }
}

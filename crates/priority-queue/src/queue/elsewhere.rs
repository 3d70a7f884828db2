//! What is known of the queues that share a capacity with this one.

use tokio::time::Instant;

use super::{Demand, levels::Of};
use crate::Order;

/// The queues of other instances, by which waits here are predicted.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere {
    /// The units that run there.
    pub(crate) in_use: usize,
    /// What waits there.
    pub(crate) demands: Vec<Demand>,
    /// When that was so.
    pub(crate) at: Instant,
}

impl Elsewhere {
    /// How many units are served there before one that comes here now, of that rank, if so many of
    /// its own level are served before it here.
    pub(super) fn ahead(&self, order: Order, of: Of, rank: i64, own: usize, now: Instant) -> usize {
        let age = now.saturating_duration_since(self.at).as_millis();
        let age = i64::try_from(age).unwrap_or(i64::MAX);
        let ahead = |it: &Demand| match order {
            Order::Strict => it.later(age).up_to(rank),
            Order::Weighted if it.level == of.level => it.units,
            Order::Weighted => {
                let units = u64::from(it.weight).saturating_mul(own as u64);
                it.units.min(units / u64::from(of.level_weight.max(1)))
            }
        };
        let units = self.demands.iter().map(ahead).fold(0, u64::saturating_add);
        usize::try_from(units).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::level::Lane, *};

    #[test]
    fn as_much_as_can_be_is_no_more_than_what_waits_there() {
        let now = Instant::now();
        let demand = Demand {
            level: 1,
            weight: u32::MAX,
            head: 0,
            fresh: 0,
            first: 1,
            units: 70,
        };
        let elsewhere = Elsewhere {
            in_use: 0,
            demands: vec![demand],
            at: now,
        };
        let of = Of {
            level: 0,
            level_weight: 1,
            lane: Lane::Again,
            weight: 1,
        };
        let ahead = elsewhere.ahead(Order::Weighted, of, 0, usize::MAX, now);
        assert_eq!(ahead, 70);
    }
}

//! Who goes without first when there is little room for bodies.

use std::sync::Arc;

use ziggurat::{Caller, config::Plan};

/// Up to so many bytes a body is a small one.
const SMALL: u64 = 64 * 1024;

/// The priorities of all keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranks {
    /// From the best to the worst; none stands twice.
    priorities: Arc<[i64]>,
    /// That of who has none.
    default: i64,
}

impl Ranks {
    /// Those of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let default = plan.router.default_priority.unwrap_or_default();
        let keys = plan.callers.keys.iter();
        let keys = keys.map(|key| key.priority.unwrap_or(default));
        let master = plan.general.master_key.as_ref().map(|_| default);
        let mut priorities: Vec<i64> = keys.chain(master).collect();
        priorities.sort_unstable();
        priorities.dedup();
        Self {
            priorities: priorities.into(),
            default,
        }
    }

    /// Where a caller stands among them. What its request says of a priority is not known yet.
    pub(crate) fn rank(&self, caller: Option<&Caller>) -> Rank {
        let own = caller.and_then(|caller| caller.priority);
        let own = own.unwrap_or(self.default);
        let last = self.priorities.len().saturating_sub(1);
        let better = self.priorities.partition_point(|it| *it < own);
        Rank {
            better: better.min(last) as u64,
            last: last as u64,
        }
    }
}

/// Where a caller stands: how many priorities are better than its own, and how many are than the worst.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rank {
    better: u64,
    last: u64,
}

impl Rank {
    /// How much of so much room must be free beside a body: a part of the last quarter, which is for
    /// better priorities, and an eighth, which is for small bodies.
    pub(crate) fn leaves(self, bytes: u64, room: u64) -> u64 {
        let to_better = room / 4 / self.last.max(1) * self.better;
        match bytes > SMALL {
            true => to_better + room / 8,
            false => to_better,
        }
    }

    /// The longest body there can be in so much room.
    pub(crate) fn longest(self, room: u64) -> u64 {
        let most = |bytes| room.saturating_sub(self.leaves(bytes, room));
        most(SMALL).min(SMALL).max(most(SMALL + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn ranks(keys: &str) -> Ranks {
        let text = format!("ziggurat_settings: {{keys: [{keys}]}}");
        Ranks::of(&Plan::parse(&text, "config.yaml", |_| None).expect("is valid"))
    }

    fn rank(ranks: &Ranks, priority: i64) -> Rank {
        ranks.rank(Some(&Caller::new().with_priority(priority)))
    }

    #[test]
    fn each_priority_leaves_room_to_the_better_ones_and_the_best_none() {
        let ranks = ranks(
            "{name: a, key: sk-a-0123456789, priority: -1}, {name: b, key: sk-b-0123456789}, {name: c, key: sk-c-0123456789, priority: 9}",
        );
        let leaves = |priority| rank(&ranks, priority).leaves(1, 64 * MIB);
        assert_eq!([-1, 0, 9].map(leaves), [0, 8 * MIB, 16 * MIB]);
        assert_eq!(
            [-7, 4, 99].map(leaves),
            [0, 16 * MIB, 16 * MIB],
            "no key has it"
        );
        assert_eq!(ranks.rank(None).leaves(1, 64 * MIB), 8 * MIB);
    }

    #[test]
    fn long_bodies_leave_room_to_small_ones_whoever_sends_them() {
        for (keys, priority, leaves) in [
            ("{name: a, key: sk-a-0123456789, priority: 5}", 5, 8 * MIB),
            ("{name: a, key: sk-a-0123456789, priority: 5}", 7, 8 * MIB),
            (
                "{name: a, key: sk-a-0123456789, priority: 5}, {name: b, key: sk-b-0123456789}",
                5,
                24 * MIB,
            ),
        ] {
            let rank = rank(&ranks(keys), priority);
            assert_eq!(rank.leaves(SMALL + 1, 64 * MIB), leaves);
            assert_eq!(rank.leaves(SMALL, 64 * MIB), leaves - 8 * MIB);
            assert_eq!(rank.longest(64 * MIB), 64 * MIB - leaves);
        }
        assert_eq!(
            Rank::default().longest(100),
            100,
            "all bodies are small there"
        );
        assert_eq!(Rank::default().longest(SMALL + 9), SMALL);
    }
}

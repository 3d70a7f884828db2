//! What the balancer keeps for the members of one group.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, OnceLock, atomic::AtomicUsize},
};

use ziggurat_core::{Deployment, DeploymentId, Group};

use crate::{
    bits::Bits,
    cells::{Cell, Cells, Clock},
    shares,
    strategy::{PriceList, Quotas, Ring},
};

/// Members that follow one another both in the pool and in a block.
#[derive(Debug)]
struct Run {
    members: Range<usize>,
    block: Arc<Cells>,
    first: usize,
}

/// Members of the same `order`.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) members: Range<usize>,
    /// Their shares, added up.
    pub(crate) cumulative: Box<[u64]>,
    /// Whose turn it is.
    pub(crate) turn: AtomicUsize,
    /// What some strategies compute of the members, when they are first used.
    pub(crate) quotas: OnceLock<Quotas>,
    pub(crate) prices: OnceLock<PriceList>,
    pub(crate) ring: OnceLock<Ring>,
}

/// Members that are equal in all that filters look at.
#[derive(Debug)]
pub(crate) struct Class {
    /// Any one of them.
    pub(crate) representative: Arc<Deployment>,
    /// All of them, by index in the pool.
    pub(crate) members: Bits,
}

/// The members of a group, those of the lowest `order` first, with what the balancer knows of them.
#[derive(Debug)]
pub(crate) struct Pool {
    group: Arc<Group>,
    members: Box<[Arc<Deployment>]>,
    runs: Box<[Run]>,
    tiers: Box<[Tier]>,
    classes: Box<[Class]>,
}

impl Pool {
    /// A pool that takes over what is `known` of its members.
    pub(crate) fn new(
        group: &Arc<Group>,
        known: &HashMap<DeploymentId, Cell>,
        clock: Clock,
    ) -> Self {
        let mut members = group.members().to_vec();
        members.sort_by_key(|member| (member.order().is_none(), member.order()));
        let new = members.iter().filter(|m| !known.contains_key(m.id()));
        let block = Arc::new(Cells::new(new.count(), clock));
        let mut cells = 0..;
        let cell_of = |member: &Arc<Deployment>| {
            known.get(member.id()).cloned().unwrap_or_else(|| Cell {
                block: Arc::clone(&block),
                at: cells.next().unwrap_or_default(),
            })
        };
        Self {
            group: Arc::clone(group),
            runs: runs(members.iter().map(cell_of)),
            tiers: tiers(&members),
            classes: classes(&members),
            members: members.into(),
        }
    }

    pub(crate) fn group(&self) -> &Arc<Group> {
        &self.group
    }

    pub(crate) fn members(&self) -> &[Arc<Deployment>] {
        &self.members
    }

    pub(crate) fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// The members by what filters look at: a filter that looks at no more may be asked once for
    /// each class.
    pub(crate) fn classes(&self) -> &[Class] {
        &self.classes
    }

    pub(crate) fn cell(&self, index: usize) -> Cell {
        let (block, at) = self.place(index);
        Cell {
            block: Arc::clone(block),
            at,
        }
    }

    /// Every member's id and cell.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (DeploymentId, Cell)> {
        let members = self.members.iter().enumerate();
        members.map(|(index, member)| (member.id().clone(), self.cell(index)))
    }

    /// The block in which a member's cell is, and where.
    pub(crate) fn place(&self, index: usize) -> (&Arc<Cells>, usize) {
        let run = match &*self.runs {
            [run] => run,
            runs => &runs[runs.partition_point(|run| run.members.end <= index)],
        };
        (&run.block, run.first + (index - run.members.start))
    }

    /// The runs of some members: the first member of each, its block, and where in it they are.
    pub(crate) fn stretches(
        &self,
        members: Range<usize>,
    ) -> impl Iterator<Item = (usize, &Cells, Range<usize>)> {
        self.runs.iter().filter_map(move |run| {
            let from = run.members.start.max(members.start);
            let to = run.members.end.min(members.end);
            let place = |index: usize| run.first + (index - run.members.start);
            (from < to).then(|| (from, &*run.block, place(from)..place(to)))
        })
    }
}

fn runs(cells: impl Iterator<Item = Cell>) -> Box<[Run]> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, Cell { block, at }) in cells.enumerate() {
        match runs.last_mut() {
            Some(run) if Arc::ptr_eq(&run.block, &block) && run.first + run.members.len() == at => {
                run.members.end = index + 1;
            }
            _ => runs.push(Run {
                members: index..index + 1,
                block,
                first: at,
            }),
        }
    }
    runs.into()
}

fn classes(members: &[Arc<Deployment>]) -> Box<[Class]> {
    let mut classes: Vec<Class> = Vec::new();
    let mut by_traits = HashMap::new();
    for (index, member) in members.iter().enumerate() {
        let class = *by_traits.entry(member.traits()).or_insert_with(|| {
            classes.push(Class {
                representative: Arc::clone(member),
                members: Bits::default(),
            });
            classes.len() - 1
        });
        classes[class].members.insert(index);
    }
    classes.into()
}

fn tiers(members: &[Arc<Deployment>]) -> Box<[Tier]> {
    let mut from = 0;
    members
        .chunk_by(|a, b| a.order() == b.order())
        .map(|tier| {
            let members = from..from + tier.len();
            from = members.end;
            Tier {
                turn: AtomicUsize::new(fastrand::usize(..members.len())),
                members,
                cumulative: shares::cumulative(tier),
                quotas: OnceLock::new(),
                prices: OnceLock::new(),
                ring: OnceLock::new(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;
    use ziggurat_core::Snapshot;

    use super::*;

    fn group(members: impl IntoIterator<Item = Deployment>) -> Arc<Group> {
        let snapshot = Snapshot::new(members);
        Arc::clone(snapshot.resolve("g").expect("the group has members"))
    }

    fn ids(pool: &Pool, tier: &Tier) -> Vec<String> {
        let members = &pool.members()[tier.members.clone()];
        members.iter().map(|m| m.id().to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn tiers_go_from_the_lowest_order_to_the_members_without_one() {
        let member = |id: &str| Deployment::new(id, "g", "m");
        let group = group([
            member("none"),
            member("two").with_order(2),
            member("minus").with_order(-1),
            member("two too").with_order(2),
        ]);
        let pool = Pool::new(&group, &HashMap::new(), Clock::new(Instant::now()));
        let tiers: Vec<_> = pool.tiers().iter().map(|tier| ids(&pool, tier)).collect();
        assert_eq!(tiers, [vec!["minus"], vec!["two", "two too"], vec!["none"]]);
    }

    #[tokio::test(start_paused = true)]
    async fn members_that_filters_cannot_tell_apart_are_of_one_class() {
        let member = |id: &str| Deployment::new(id, "g", "m");
        let group = group([
            member("a").with_weight(2.0),
            member("b").with_region("eu"),
            member("c").with_rpm(3),
            member("d").with_tags(["x"]),
            member("e").with_region("eu"),
        ]);
        let pool = Pool::new(&group, &HashMap::new(), Clock::new(Instant::now()));
        let classes: Vec<Vec<usize>> = pool
            .classes()
            .iter()
            .map(|class| (0..5).filter(|i| class.members.contains(*i)).collect())
            .collect();
        assert_eq!(classes, [vec![0, 2], vec![1, 4], vec![3]]);
    }

    #[tokio::test(start_paused = true)]
    async fn members_that_were_known_keep_their_cells_and_new_ones_get_others() {
        let members = |ids: &[&str]| group(ids.iter().map(|id| Deployment::new(*id, "g", "m")));
        let clock = Clock::new(Instant::now());
        let old = Pool::new(&members(&["a", "b", "c", "d"]), &HashMap::new(), clock);
        for (index, count) in [1, 2, 3, 4].into_iter().enumerate() {
            (0..count).for_each(|_| old.cell(index).load().enter());
        }
        let known = old
            .members()
            .iter()
            .enumerate()
            .map(|(index, member)| (member.id().clone(), old.cell(index)))
            .collect();
        let new = Pool::new(&members(&["d", "x", "a", "c"]), &known, clock);
        let counts = |pool: &Pool| -> Vec<u32> {
            let all = pool.stretches(0..pool.members().len());
            all.flat_map(|(_, block, places)| &block.loads[places])
                .map(|load| load.see().in_flight())
                .collect()
        };
        assert_eq!(counts(&old), [1, 2, 3, 4]);
        assert_eq!(counts(&new), [4, 0, 1, 3]);
        old.cell(3).load().leave();
        assert_eq!(new.cell(0).load().see().in_flight(), 3);
        let part: Vec<_> = new.stretches(1..3).map(|(first, ..)| first).collect();
        assert_eq!(part, [1, 2]);
    }
}

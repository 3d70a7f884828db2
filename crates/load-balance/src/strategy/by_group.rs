use std::{collections::HashMap, fmt, sync::Arc};

use crate::{Candidates, Strategy, Track};

/// A strategy for each model group, and one for the others.
///
/// What they ask to be measured is measured of the members of their groups. A deployment that is in
/// several groups has one list of latencies, which is kept as its latest attempt says.
pub struct ByGroup<R> {
    default: Arc<dyn Strategy<R>>,
    groups: HashMap<Arc<str>, Arc<dyn Strategy<R>>>,
}

impl<R: 'static> ByGroup<R> {
    /// That strategy for every group.
    #[must_use]
    pub fn new(default: impl Strategy<R>) -> Self {
        Self {
            default: Arc::new(default),
            groups: HashMap::new(),
        }
    }

    /// Another for one of them.
    #[must_use]
    pub fn with(mut self, group: impl Into<Arc<str>>, strategy: impl Strategy<R>) -> Self {
        self.groups.insert(group.into(), Arc::new(strategy));
        self
    }
}

impl<R> ByGroup<R> {
    fn of(&self, group: &str) -> &Arc<dyn Strategy<R>> {
        let strategy = if self.groups.is_empty() {
            None
        } else {
            self.groups.get(group)
        };
        strategy.unwrap_or(&self.default)
    }
}

impl<R: 'static> Strategy<R> for ByGroup<R> {
    fn pick(&self, request: &R, candidates: &Candidates<'_>) -> Option<usize> {
        self.of(candidates.group()).pick(request, candidates)
    }

    fn track(&self, group: &str) -> Track {
        self.of(group).track(group)
    }
}

impl<R> Clone for ByGroup<R> {
    fn clone(&self) -> Self {
        Self {
            default: Arc::clone(&self.default),
            groups: self.groups.clone(),
        }
    }
}

impl<R> fmt::Debug for ByGroup<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByGroup")
            .field("groups", &self.groups.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bits::Bits, strategy::testing::Members};

    #[test]
    fn a_group_has_its_own_strategy_and_the_others_the_default() {
        let closed = Bits::default();
        let members = Members::new(3);
        let at = |index| move |_: &(), _: &Candidates<'_>| Some(index);
        let by_group = |group: &str| ByGroup::new(at(1)).with(group, at(2));
        let pick = |strategy: ByGroup<()>| strategy.pick(&(), &members.candidates(&closed));
        assert_eq!(pick(by_group("g")), Some(2));
        assert_eq!(pick(by_group("other")), Some(1));
    }

    #[test]
    fn only_what_the_strategy_of_a_group_asks_for_is_measured_there() {
        let p2c = crate::P2c::new();
        let strategy = ByGroup::<()>::new(crate::SimpleShuffle).with("g", p2c);
        assert_eq!(strategy.track("g"), Strategy::<()>::track(&p2c, "g"));
        assert_eq!(strategy.track("h"), Track::default());
    }
}

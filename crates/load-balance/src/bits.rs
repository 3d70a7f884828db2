//! A set of members of a group.

use smallvec::SmallVec;

/// A set of small numbers, without allocation up to 1,024. Empty, it costs nothing to make.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits(SmallVec<[u64; 16]>);

impl Bits {
    pub(crate) fn insert(&mut self, index: usize) {
        if self.0.len() <= index / 64 {
            self.0.resize(index / 64 + 1, 0);
        }
        self.0[index / 64] |= 1 << (index % 64);
    }

    pub(crate) fn remove(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }

    /// Puts in all that another holds.
    pub(crate) fn insert_all(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// Whether another holds all of it.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.0.iter().enumerate().all(|(at, word)| {
            let held = other.0.get(at).copied().unwrap_or_default();
            word & !held == 0
        })
    }

    /// Whether nothing was ever inserted.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        self.0
            .get(index / 64)
            .is_some_and(|word| word >> (index % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_tree_set_holds(steps in prop::collection::vec((0..2_000_usize, any::<bool>()), 0..80)) {
            let mut bits = Bits::default();
            let mut model = BTreeSet::new();
            for (index, insert) in steps {
                if insert {
                    bits.insert(index);
                    model.insert(index);
                } else {
                    bits.remove(index);
                    model.remove(&index);
                }
            }
            for index in 0..2_100 {
                prop_assert_eq!(bits.contains(index), model.contains(&index));
            }
        }
    }
}

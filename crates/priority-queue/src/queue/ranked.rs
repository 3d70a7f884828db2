//! A sorted map that knows how many of its keys come before another.

use std::cmp::Ordering;

use crate::splitmix;

/// A treap: a search tree by key that is a heap by a random number, and so balanced on average
/// (Seidel and Aragon, "Randomized search trees", 1996). Each node counts the nodes beneath it,
/// which gives the rank of a key, what `BTreeMap` cannot tell, in O(log n) as everything else.
#[derive(Debug)]
pub(super) struct Ranked<K, V> {
    root: Tree<K, V>,
    inserted: u64,
}

type Tree<K, V> = Option<Box<Node<K, V>>>;

#[derive(Debug)]
struct Node<K, V> {
    key: K,
    value: V,
    height: u64,
    size: usize,
    left: Tree<K, V>,
    right: Tree<K, V>,
}

impl<K: Ord, V> Ranked<K, V> {
    pub(super) const fn new() -> Self {
        Self {
            root: None,
            inserted: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        size(&self.root)
    }

    /// Enters a key that is not in the map yet.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.inserted = self.inserted.wrapping_add(1);
        let (left, right) = split(self.root.take(), &key);
        let node = Box::new(Node {
            key,
            value,
            height: splitmix::nth(self.inserted),
            size: 1,
            left: None,
            right: None,
        });
        self.root = merge(merge(left, Some(node)), right);
    }

    pub(super) fn first(&self) -> Option<(&K, &V)> {
        let mut at = self.root.as_ref()?;
        while let Some(left) = &at.left {
            at = left;
        }
        Some((&at.key, &at.value))
    }

    pub(super) fn last(&self) -> Option<(&K, &V)> {
        let mut at = self.root.as_ref()?;
        while let Some(right) = &at.right {
            at = right;
        }
        Some((&at.key, &at.value))
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        remove(&mut self.root, key)
    }

    /// How many keys are less than this one.
    pub(super) fn rank(&self, key: &K) -> usize {
        let mut rank = 0;
        let mut at = &self.root;
        while let Some(node) = at {
            if node.key < *key {
                rank += size(&node.left) + 1;
                at = &node.right;
            } else {
                at = &node.left;
            }
        }
        rank
    }
}

fn size<K, V>(tree: &Tree<K, V>) -> usize {
    tree.as_ref().map_or(0, |node| node.size)
}

impl<K, V> Node<K, V> {
    fn recount(mut self: Box<Self>) -> Tree<K, V> {
        self.size = size(&self.left) + size(&self.right) + 1;
        Some(self)
    }
}

/// Splits into the keys before `key` and the others.
fn split<K: Ord, V>(tree: Tree<K, V>, key: &K) -> (Tree<K, V>, Tree<K, V>) {
    let Some(mut node) = tree else {
        return (None, None);
    };
    if node.key < *key {
        let (left, right) = split(node.right.take(), key);
        node.right = left;
        (node.recount(), right)
    } else {
        let (left, right) = split(node.left.take(), key);
        node.left = right;
        (left, node.recount())
    }
}

/// Joins two trees; every key of the first is less than every key of the second.
fn merge<K, V>(left: Tree<K, V>, right: Tree<K, V>) -> Tree<K, V> {
    match (left, right) {
        (None, tree) | (tree, None) => tree,
        (Some(mut left), Some(right)) if left.height > right.height => {
            left.right = merge(left.right.take(), Some(right));
            left.recount()
        }
        (left, Some(mut right)) => {
            right.left = merge(left, right.left.take());
            right.recount()
        }
    }
}

fn remove<K: Ord, V>(tree: &mut Tree<K, V>, key: &K) -> Option<V> {
    let node = tree.as_mut()?;
    let removed = match key.cmp(&node.key) {
        Ordering::Less => remove(&mut node.left, key),
        Ordering::Greater => remove(&mut node.right, key),
        Ordering::Equal => {
            let node = *tree.take()?;
            *tree = merge(node.left, node.right);
            return Some(node.value);
        }
    }?;
    node.size -= 1;
    Some(removed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_sorted_map_that_knows_ranks(steps in prop::collection::vec((0..3_u8, 0..64_u32), 0..300)) {
            let mut ranked = Ranked::new();
            let mut model = BTreeMap::new();
            for (step, key) in steps {
                match step {
                    0 | 1 if !model.contains_key(&key) => {
                        ranked.insert(key, key * 2);
                        model.insert(key, key * 2);
                    }
                    2 => prop_assert_eq!(ranked.remove(&key), model.remove(&key)),
                    _ => {}
                }
                prop_assert_eq!(ranked.len(), model.len());
                prop_assert_eq!(ranked.rank(&key), model.range(..key).count());
                prop_assert_eq!(ranked.first(), model.first_key_value());
                prop_assert_eq!(ranked.last(), model.last_key_value());
            }
        }
    }

    #[test]
    fn a_hundred_thousand_keys_in_order_make_a_shallow_tree() {
        fn depth<K, V>(tree: &Tree<K, V>) -> usize {
            tree.as_ref()
                .map_or(0, |node| 1 + depth(&node.left).max(depth(&node.right)))
        }
        let mut ranked = Ranked::new();
        for key in 0..100_000 {
            ranked.insert(key, ());
        }
        assert!(
            depth(&ranked.root) < 60,
            "17 is the least, {} it is",
            depth(&ranked.root)
        );
        assert_eq!(ranked.rank(&77_777), 77_777);
    }
}

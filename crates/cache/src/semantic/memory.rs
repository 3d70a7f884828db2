//! The store of one process.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Near, SemanticStore, Threshold, Vector};
use crate::{CacheKey, Entry};

/// How many answers a partition has at most: a search looks at each of them.
const IN_PARTITION: usize = 1_000;
/// What an answer takes beside itself and its vector.
const OVERHEAD: usize = 256;

/// Keeps answers in this process, in a bounded number of bytes and of answers; of a partition the
/// last 1,000.
///
/// When it is full, the oldest goes first. A search compares with each answer of the partition, and
/// holds no lock meanwhile. Clones share what is kept.
#[derive(Clone)]
pub struct MemorySemanticStore(Arc<Mutex<Partitions>>);

struct Partitions {
    by_key: HashMap<CacheKey, Arc<Vec<Item>>>,
    /// The partition of each answer, the oldest first.
    order: BTreeMap<u64, CacheKey>,
    last: u64,
    bytes: usize,
    max_bytes: usize,
    max_entries: usize,
}

#[derive(Clone)]
struct Item {
    id: u64,
    vector: Vector,
    entry: Arc<Entry>,
    since: Instant,
    until: Instant,
}

impl Item {
    fn size(&self) -> usize {
        self.entry.size() + size_of_val(self.vector.numbers()) + OVERHEAD
    }
}

impl MemorySemanticStore {
    /// A store of that many bytes and answers.
    #[must_use]
    pub fn new(bytes: usize, entries: usize) -> Self {
        Self(Arc::new(Mutex::new(Partitions {
            by_key: HashMap::new(),
            order: BTreeMap::new(),
            last: 0,
            bytes: 0,
            max_bytes: bytes,
            max_entries: entries,
        })))
    }

    /// How many bytes are kept, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// How many answers are kept, those whose time is up included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().order.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut kept = self.0.lock();
        kept.by_key.clear();
        kept.order.clear();
        kept.bytes = 0;
    }
}

impl Partitions {
    fn put(&mut self, partition: CacheKey, item: Item) {
        let room = self.max_bytes.checked_sub(item.size());
        let (Some(room), true) = (room, self.max_entries > 0) else {
            return;
        };
        self.leave(&partition, |items| {
            let now = item.since;
            let mut gone: Vec<_> = items.iter().filter(|it| it.until <= now).collect();
            let most = IN_PARTITION - 1 + gone.len();
            let rest = items.iter().filter(|it| it.until > now);
            gone.extend(rest.take(items.len().saturating_sub(most)));
            gone.into_iter().map(|it| it.id).collect()
        });
        while self.bytes > room || self.order.len() >= self.max_entries {
            let Some((id, partition)) = self.order.pop_first() else {
                break;
            };
            self.leave(&partition, |_| vec![id]);
        }
        self.bytes += item.size();
        self.order.insert(item.id, partition);
        Arc::make_mut(self.by_key.entry(partition).or_default()).push(item);
    }

    /// Leaves out some of a partition.
    fn leave(&mut self, partition: &CacheKey, which: impl FnOnce(&[Item]) -> Vec<u64>) {
        let Some(items) = self.by_key.get_mut(partition) else {
            return;
        };
        let gone = which(items);
        if gone.is_empty() {
            return;
        }
        let (order, bytes) = (&mut self.order, &mut self.bytes);
        Arc::make_mut(items).retain(|item| {
            let stays = !gone.contains(&item.id);
            if !stays {
                order.remove(&item.id);
                *bytes -= item.size();
            }
            stays
        });
        if items.is_empty() {
            self.by_key.remove(partition);
        }
    }
}

impl SemanticStore for MemorySemanticStore {
    type Nearest = Ready<Option<Near>>;

    fn nearest(
        &self,
        partition: &CacheKey,
        vector: &Vector,
        threshold: Threshold,
        max_age: Option<Duration>,
    ) -> Self::Nearest {
        let Some(items) = self.0.lock().by_key.get(partition).cloned() else {
            return ready(None);
        };
        let now = Instant::now();
        let is_fresh = |item: &&Item| {
            let age = now.saturating_duration_since(item.since);
            now < item.until && max_age.is_none_or(|max| age <= max)
        };
        let near = items.iter().filter(is_fresh).filter_map(|item| {
            let similarity = item.vector.similarity(vector)?;
            threshold.is_met(similarity).then_some((similarity, item))
        });
        let nearest = near.max_by(|(a, _), (b, _)| a.total_cmp(b));
        ready(nearest.map(|(similarity, item)| Near {
            entry: Arc::clone(&item.entry),
            age: now.saturating_duration_since(item.since),
            similarity,
        }))
    }

    fn put(&self, partition: CacheKey, vector: Vector, entry: Arc<Entry>, ttl: Duration) {
        let since = Instant::now();
        let Some(until) = since.checked_add(ttl).filter(|_| !ttl.is_zero()) else {
            return;
        };
        let mut kept = self.0.lock();
        kept.last += 1;
        let item = Item {
            id: kept.last,
            vector,
            entry,
            since,
            until,
        };
        kept.put(partition, item);
    }
}

impl fmt::Debug for MemorySemanticStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySemanticStore")
            .field("entries", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(n: u8) -> CacheKey {
        CacheKey::from_bytes([n; 32])
    }

    fn vector(numbers: [f32; 2]) -> Vector {
        Vector::new(numbers.to_vec()).expect("is one")
    }

    fn found(store: &MemorySemanticStore, partition: u8, at: [f32; 2]) -> Option<String> {
        let threshold = Threshold::new(0.9).expect("is one");
        let near = store
            .nearest(&key(partition), &vector(at), threshold, None)
            .into_inner()?;
        let bytes = near.entry.bytes().expect("is whole").to_vec();
        Some(String::from_utf8(bytes).expect("is a text"))
    }

    fn put(store: &MemorySemanticStore, partition: u8, at: [f32; 2], answer: &str) {
        let entry = Arc::new(Entry::whole(answer.to_owned()));
        store.put(key(partition), vector(at), entry, Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn the_nearest_is_found_if_it_is_near_enough_and_in_its_partition_and_time() {
        let store = MemorySemanticStore::new(1 << 20, 100);
        put(&store, 1, [1.0, 0.0], "east");
        put(&store, 1, [1.0, 0.3], "east by north");
        assert_eq!(found(&store, 1, [5.0, 0.1]).as_deref(), Some("east"));
        assert_eq!(
            found(&store, 1, [5.0, 1.4]).as_deref(),
            Some("east by north")
        );
        assert_eq!(found(&store, 1, [-1.0, 0.0]), None);
        assert_eq!(found(&store, 2, [1.0, 0.0]), None);
        tokio::time::advance(Duration::from_secs(9)).await;
        let threshold = Threshold::new(0.5).expect("is one");
        let young = |age| {
            let age = Some(Duration::from_secs(age));
            let nearest = store.nearest(&key(1), &vector([1.0, 0.0]), threshold, age);
            nearest.into_inner().is_some()
        };
        assert!(young(9) && !young(8));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(found(&store, 1, [1.0, 0.0]), None);
        put(&store, 1, [0.0, 1.0], "north");
        assert_eq!(store.len(), 1, "those whose time is up make room");
    }

    #[tokio::test]
    async fn a_partition_has_a_thousand_answers_at_most_and_the_oldest_goes_first() {
        let store = MemorySemanticStore::new(1 << 30, 10_000);
        put(&store, 2, [0.0, 1.0], "other");
        put(&store, 1, [0.0, 1.0], "first");
        for _ in 0..1_000 {
            put(&store, 1, [1.0, 0.0], "x");
        }
        assert_eq!((store.len(), found(&store, 1, [0.0, 1.0])), (1_001, None));
        assert_eq!(found(&store, 2, [0.0, 1.0]).as_deref(), Some("other"));
        store.clear();
        assert_eq!((store.is_empty(), store.bytes()), (true, 0));
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_it_may_and_keeps_the_last(
            puts in prop::collection::vec((0_u8..4, 0_usize..3_000), 1..40),
            max_bytes in 2_000_usize..20_000, max_entries in 1_usize..10,
        ) {
            let store = MemorySemanticStore::new(max_bytes, max_entries);
            for (partition, length) in puts {
                let text = "x".repeat(length);
                let fits = length + 2 * OVERHEAD + 8 <= max_bytes;
                put(&store, partition, [1.0, 0.0], &text);
                prop_assert!(store.bytes() <= max_bytes && store.len() <= max_entries);
                if fits {
                    prop_assert!(found(&store, partition, [1.0, 0.0]).is_some());
                }
                let kept = store.0.lock();
                let items: Vec<_> = kept.by_key.values().flat_map(|items| items.iter()).collect();
                prop_assert_eq!(items.len(), kept.order.len());
                prop_assert_eq!(items.iter().map(|item| item.size()).sum::<usize>(), kept.bytes);
            }
        }
    }
}

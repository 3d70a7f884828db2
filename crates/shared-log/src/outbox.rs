//! What is still to be told.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::Hash,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use foldhash::quality::RandomState;
use parking_lot::Mutex;

/// News of one instance that it has not told yet: the last of each key, bounded.
///
/// While nobody [shares](crate::share) it takes nothing, and asking costs the load of a flag.
pub struct Outbox<K, T> {
    is_open: AtomicBool,
    capacity: usize,
    inner: Mutex<Inner<K, T>>,
}

struct Inner<K, T> {
    /// In the order in which it came.
    news: BTreeMap<u64, (K, T)>,
    places: HashMap<K, u64, RandomState>,
    next: u64,
}

impl<K: Hash + Eq + Clone, T: Clone> Outbox<K, T> {
    /// An outbox for news of at most `capacity` keys. When it is full, what comes is not told.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            is_open: AtomicBool::new(false),
            capacity,
            inner: Mutex::new(Inner {
                news: BTreeMap::new(),
                places: HashMap::default(),
                next: 0,
            }),
        }
    }

    /// Whether somebody will tell what is put in.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// Puts in what is to be told, in the place of what was to be told of the same key.
    pub fn put(&self, key: K, news: T) {
        if !self.is_open() {
            return;
        }
        let inner = &mut *self.inner.lock();
        match inner.places.get(&key) {
            Some(place) => {
                inner.news.remove(place);
            }
            None if inner.news.len() >= self.capacity => return,
            None => {}
        }
        let place = inner.next;
        inner.next += 1;
        inner.places.insert(key.clone(), place);
        inner.news.insert(place, (key, news));
    }

    /// Whether something of a key is to be told.
    #[must_use]
    pub fn contains(&self, key: &K) -> bool {
        self.is_open() && self.inner.lock().places.contains_key(key)
    }

    /// How many news there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.lock().news.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leaves everything untold.
    pub fn clear(&self) {
        let inner = &mut *self.inner.lock();
        inner.news.clear();
        inner.places.clear();
    }

    /// The oldest news, with their places.
    pub(crate) fn oldest(&self, most: usize) -> Vec<(u64, T)> {
        let inner = self.inner.lock();
        let oldest = inner.news.iter().take(most);
        oldest
            .map(|(place, (_, news))| (*place, news.clone()))
            .collect()
    }

    /// Takes out what has been told. What came in its place meanwhile stays.
    pub(crate) fn remove(&self, places: impl IntoIterator<Item = u64>) {
        let inner = &mut *self.inner.lock();
        for place in places {
            if let Some((key, _)) = inner.news.remove(&place) {
                inner.places.remove(&key);
            }
        }
    }

    pub(crate) fn open(&self) {
        self.is_open.store(true, Relaxed);
    }

    pub(crate) fn close(&self) {
        self.is_open.store(false, Relaxed);
        self.clear();
    }
}

impl<K, T> fmt::Debug for Outbox<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("is_open", &self.is_open.load(Relaxed))
            .field("news", &self.inner.lock().news.len())
            .field("capacity", &self.capacity)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(capacity: usize) -> Outbox<&'static str, u32> {
        let outbox = Outbox::new(capacity);
        outbox.open();
        outbox
    }

    fn news(outbox: &Outbox<&'static str, u32>) -> Vec<u32> {
        let all = outbox.oldest(usize::MAX);
        all.into_iter().map(|(_, news)| news).collect()
    }

    #[test]
    fn of_each_key_the_last_is_told_in_the_order_of_their_coming() {
        let outbox = open(9);
        for (key, news) in [("a", 1), ("b", 2), ("a", 3), ("c", 4)] {
            outbox.put(key, news);
        }
        assert_eq!(news(&outbox), [2, 3, 4]);
        assert_eq!(outbox.oldest(1).len(), 1);
    }

    #[test]
    fn when_it_is_full_what_is_new_is_not_told() {
        let outbox = open(2);
        for (key, news) in [("a", 1), ("b", 2), ("c", 3), ("a", 4)] {
            outbox.put(key, news);
        }
        assert_eq!(news(&outbox), [2, 4]);
    }

    #[test]
    fn what_came_while_it_was_told_is_still_to_be_told() {
        let outbox = open(9);
        outbox.put("a", 1);
        outbox.put("b", 2);
        let told = outbox.oldest(9);
        outbox.put("a", 3);
        outbox.remove(told.into_iter().map(|(place, _)| place));
        assert_eq!(news(&outbox), [3]);
        assert!(outbox.contains(&"a") && !outbox.contains(&"b"));
    }

    #[test]
    fn while_nobody_tells_it_takes_nothing() {
        let outbox = Outbox::new(9);
        outbox.put("a", 1);
        assert!(outbox.is_empty());
        outbox.open();
        outbox.put("a", 1);
        outbox.close();
        assert!(outbox.is_empty() && !outbox.contains(&"a"));
    }
}

//! The vectors of partitions, as far as this instance knows them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;
use ziggurat_cache::{CacheKey, Entry, Threshold, Vector};

use super::news::News;

/// How many answers of a partition are known, as many as a server keeps.
pub(super) const IN_PARTITION: usize = 1_000;
/// What a vector takes beside its numbers.
const OVERHEAD: usize = 128;

/// Partitions, in a bounded number and of a bounded size. When there is no room, the one that was
/// asked for the longest time ago is forgotten.
#[derive(Debug)]
pub(super) struct Mirrors {
    by_key: HashMap<CacheKey, Mirror>,
    /// Counts the times that one was asked for.
    asked: u64,
    bytes: usize,
    max_bytes: usize,
    max_partitions: usize,
}

#[derive(Debug)]
struct Mirror {
    epoch: u64,
    /// The last number that is known.
    cursor: u64,
    items: Arc<Vec<Item>>,
    asked: u64,
}

/// A question that was answered.
#[derive(Clone, Debug)]
pub(super) struct Item {
    number: u64,
    /// The name of its answer.
    name: u64,
    vector: Vector,
    /// How old it was when it became known.
    age: Duration,
    seen: Instant,
    until: Instant,
    /// The answer, if it was asked for before.
    entry: Option<Arc<Entry>>,
}

/// The nearest question.
#[derive(Debug)]
pub(super) struct Nearest {
    number: u64,
    pub(super) name: u64,
    pub(super) age: Duration,
    pub(super) similarity: f32,
    pub(super) entry: Option<Arc<Entry>>,
}

/// The questions of a partition at a moment.
#[derive(Debug)]
pub(super) struct Questions(Arc<Vec<Item>>);

impl Item {
    fn size(&self) -> usize {
        let entry = self.entry.as_ref().map_or(0, |entry| entry.size());
        size_of_val(self.vector.numbers()) + entry + OVERHEAD
    }

    fn age(&self, now: Instant) -> Duration {
        self.age + now.saturating_duration_since(self.seen)
    }
}

impl Mirror {
    fn size(&self) -> usize {
        self.items.iter().map(Item::size).sum::<usize>() + OVERHEAD
    }
}

impl Mirrors {
    pub(super) fn new(max_bytes: usize, max_partitions: usize) -> Self {
        Self {
            by_key: HashMap::new(),
            asked: 0,
            bytes: 0,
            max_bytes,
            max_partitions,
        }
    }

    /// How far a partition is known: its epoch, and the last number.
    pub(super) fn place(&mut self, partition: &CacheKey) -> (u64, u64) {
        self.asked += 1;
        match self.by_key.get_mut(partition) {
            Some(mirror) => {
                mirror.asked = self.asked;
                (mirror.epoch, mirror.cursor)
            }
            None => (0, 0),
        }
    }

    /// Takes in what is new. Says whether there is more.
    pub(super) fn learn(&mut self, partition: CacheKey, news: Option<News>, now: Instant) -> bool {
        let before = self.take(&partition);
        let Some(news) = news else {
            return false;
        };
        // What went back has lost its last writes.
        let mirror = before.filter(|it| it.epoch == news.epoch && it.cursor <= news.last);
        let mut mirror = mirror.unwrap_or_else(|| Mirror {
            epoch: news.epoch,
            cursor: 0,
            items: Arc::default(),
            asked: self.asked,
        });
        // Told to somebody who knew more than is known now, it leaves some out: it is asked again.
        let is_whole = news.from <= mirror.cursor.saturating_add(1) || news.from == news.first;
        if is_whole {
            let items = Arc::make_mut(&mut mirror.items);
            items.retain(|it| it.number >= news.first && now < it.until);
            let to = news.to();
            let new = news.items.into_iter().filter(|it| it.0 > mirror.cursor);
            items.extend(new.filter_map(|(number, told)| {
                Some(Item {
                    number,
                    name: told.name,
                    vector: told.vector,
                    age: told.age,
                    seen: now,
                    until: now.checked_add(told.left)?,
                    entry: None,
                })
            }));
            items.drain(..items.len().saturating_sub(IN_PARTITION));
            mirror.cursor = mirror.cursor.max(to);
        }
        let has_more = mirror.cursor < news.last;
        self.give(partition, mirror);
        has_more
    }

    /// What is known of a partition.
    pub(super) fn questions(&self, partition: &CacheKey) -> Option<Questions> {
        let mirror = self.by_key.get(partition)?;
        Some(Questions(Arc::clone(&mirror.items)))
    }

    /// Keeps an answer, or forgets its question if there is none any more.
    pub(super) fn answered(
        &mut self,
        partition: &CacheKey,
        nearest: &Nearest,
        entry: Option<&Arc<Entry>>,
    ) {
        let Some(mut mirror) = self.take(partition) else {
            return;
        };
        let place = mirror
            .items
            .binary_search_by_key(&nearest.number, |it| it.number);
        let place = place
            .ok()
            .filter(|at| mirror.items[*at].name == nearest.name);
        if let Some(place) = place {
            let items = Arc::make_mut(&mut mirror.items);
            match entry {
                Some(entry) => items[place].entry = Some(Arc::clone(entry)),
                None => drop(items.remove(place)),
            }
        }
        self.give(*partition, mirror);
    }

    fn take(&mut self, partition: &CacheKey) -> Option<Mirror> {
        let mirror = self.by_key.remove(partition)?;
        self.bytes -= mirror.size();
        Some(mirror)
    }

    fn give(&mut self, partition: CacheKey, mirror: Mirror) {
        self.bytes += mirror.size();
        self.by_key.insert(partition, mirror);
        while self.bytes > self.max_bytes || self.by_key.len() > self.max_partitions {
            let oldest = self.by_key.iter().min_by_key(|(_, it)| it.asked);
            let Some(oldest) = oldest.map(|(key, _)| *key) else {
                break;
            };
            self.take(&oldest);
        }
    }
}

impl Questions {
    /// The nearest question that is near enough and whose answer is not too old.
    pub(super) fn nearest(
        &self,
        vector: &Vector,
        threshold: Threshold,
        max_age: Option<Duration>,
        now: Instant,
    ) -> Option<Nearest> {
        let is_fresh =
            |item: &&Item| now < item.until && max_age.is_none_or(|max| item.age(now) <= max);
        let near = self.0.iter().filter(is_fresh).filter_map(|item| {
            let similarity = item.vector.similarity(vector)?;
            threshold.is_met(similarity).then_some((similarity, item))
        });
        let (similarity, item) = near.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
        Some(Nearest {
            number: item.number,
            name: item.name,
            age: item.age(now),
            similarity,
            entry: item.entry.clone(),
        })
    }
}

#[cfg(test)]
mod tests;

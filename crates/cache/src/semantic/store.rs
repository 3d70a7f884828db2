//! Where answers are kept by what was asked.

use std::{future::Future, sync::Arc, time::Duration};

use super::{Threshold, Vector};
use crate::{CacheKey, Entry};

/// Keeps answers by the vectors of their questions, each in a partition.
///
/// What is in one partition is never found from another: the partition stands for the tenant, the
/// group, and all of the request but the question.
///
/// [`MemorySemanticStore`](super::MemorySemanticStore) answers at once. A store that is elsewhere
/// may keep a copy here to search in, and answers `None` when it is slow, gone or full: to be
/// without a cache is no failure.
pub trait SemanticStore: Clone + Send + Sync + 'static {
    /// The search. It may be dropped at any time.
    type Nearest: Future<Output = Option<Near>> + Send;

    /// Looks for the answer to the nearest question of a partition that is near enough, and whose
    /// answer is no older than that, if an age is given.
    fn nearest(
        &self,
        partition: &CacheKey,
        vector: &Vector,
        threshold: Threshold,
        max_age: Option<Duration>,
    ) -> Self::Nearest;

    /// Keeps an answer for so long. Never waits: a store that is elsewhere does it later, or not at
    /// all.
    fn put(&self, partition: CacheKey, vector: Vector, entry: Arc<Entry>, ttl: Duration);
}

/// An answer that was found.
#[derive(Clone, Debug)]
pub struct Near {
    /// What was kept.
    pub entry: Arc<Entry>,
    /// How long ago.
    pub age: Duration,
    /// How alike the questions are: the cosine of their vectors.
    pub similarity: f32,
}

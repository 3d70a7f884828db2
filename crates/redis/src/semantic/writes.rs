//! What no search waits for.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use ziggurat_cache::{CacheKey, Entry, Vector};

use super::{Far, Shared, mirror::IN_PARTITION, news::bytes, scripts::PUT};

/// How many jobs wait, and how many bytes the answers have that wait to be kept.
pub(super) const WAITING: usize = 1_024;
const WAITING_BYTES: usize = 32 << 20;
/// How many are done at a time.
const WORKING: usize = 8;
/// How many bytes a partition has.
const PARTITION: u64 = 16 << 20;
/// How long a script may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many scripts bring a partition up to date, at most: more than it takes.
const SCRIPTS: usize = 128;

/// Something that is done later.
pub(super) enum Job {
    /// An answer is kept.
    Put {
        partition: CacheKey,
        vector: Vector,
        entry: Arc<Entry>,
        ttl: Duration,
        _room: Room,
    },
    /// What a partition has more is learnt. The vector is one like those in it.
    Learn { partition: CacheKey, vector: Vector },
}

/// Bytes that wait, until it is dropped.
pub(super) struct Room(Arc<Shared>, usize);

impl Room {
    /// Room for so many bytes, if there is some.
    pub(super) fn new(shared: &Arc<Shared>, bytes: usize) -> Option<Self> {
        let before = shared.waiting.fetch_add(bytes, Relaxed);
        let room = Self(Arc::clone(shared), bytes);
        (before + bytes <= WAITING_BYTES).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(self.1, Relaxed);
    }
}

/// The far end of the queue of answers that are to be kept: what writes them, and what learns what a
/// search has no time for.
#[must_use = "nothing is kept but by `run`"]
pub struct SemanticWrites {
    far: Far,
    waiting: mpsc::Receiver<Job>,
}

impl SemanticWrites {
    pub(super) const fn new(far: Far, waiting: mpsc::Receiver<Job>) -> Self {
        Self { far, waiting }
    }

    /// Writes answers, a few at a time. To be spawned once. What cannot be written is forgotten.
    ///
    /// It ends when the store and its clones are gone and the last answer is written. Dropped, it
    /// drops what waits.
    pub async fn run(self) {
        let Self { far, waiting } = self;
        let far = &far;
        let jobs = stream::unfold(waiting, |mut waiting| async move {
            let job = waiting.recv().await?;
            Some((job, waiting))
        });
        jobs.for_each_concurrent(WORKING, |job| far.work(job)).await;
    }
}

impl Far {
    async fn work(&self, job: Job) {
        match job {
            Job::Put {
                partition,
                vector,
                entry,
                ttl,
                _room,
            } => {
                let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
                let (vector, entry) = (bytes(&vector), entry.to_bytes());
                let args = [
                    fastrand::u64(1..).into(),
                    (&*vector).into(),
                    (&*entry).into(),
                    ttl.into(),
                    (IN_PARTITION as u64).into(),
                    PARTITION.into(),
                ];
                let keys = self.keys(&partition);
                let _ = self.client.run_within(PATIENCE, &PUT, &keys, &args).await;
            }
            Job::Learn { partition, vector } => {
                for _ in 0..SCRIPTS {
                    let learnt = self.learn(&partition, &vector, PATIENCE).await;
                    if !matches!(learnt, Ok(true)) {
                        break;
                    }
                }
            }
        }
    }
}

impl fmt::Debug for SemanticWrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SemanticWrites")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

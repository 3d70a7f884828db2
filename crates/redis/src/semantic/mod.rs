//! Answers to questions that mean the same, shared by several instances.

mod mirror;
mod news;
mod scripts;
mod writes;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};
use ziggurat_cache::{CacheKey, Entry, Near, SemanticStore, Threshold, Vector};

pub use self::writes::SemanticWrites;
use self::{
    mirror::{Mirrors, Nearest},
    news::News,
    scripts::{ANSWER, NEWS},
    writes::{Job, Room, WAITING},
};
use crate::{RedisClient, StoreError, read};

/// How many bytes of vectors one script tells of.
const TOLD: usize = 256 << 10;
/// What is kept here: bytes, and partitions.
const MIRRORED: usize = 64 << 20;
const PARTITIONS: usize = 1_024;
/// What an answer may have beside its bytes.
const OVERHEAD: usize = 64 << 10;
/// The longest time an answer is kept.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 3_600);

/// Keeps answers by the vectors of their questions in Redis, for all instances with the same
/// namespace. It needs no module of Redis.
///
/// Of a partition the last 1,000 answers and 16 MiB are kept, on one server of a cluster. A search is
/// made here, in a copy of the vectors: one round trip learns what is new, and a second brings the
/// answer that was found, if it was not brought before. Each is waited for no longer than the
/// deadline; what is not learnt in time, and all that is beyond some 256 KB at a time, is not found
/// yet. Without Redis, what the copy holds is found: 64 MiB of up to 1,024 partitions.
///
/// A partition, which stands for the tenant, is part of the key; nothing is found from another.
///
/// ```no_run
/// use ziggurat_redis::{Address, RedisClient, RedisConfig, RedisSemantic};
///
/// # async fn start() {
/// let config = RedisConfig::single(Address::new("redis", 6379));
/// let (client, driver) = RedisClient::new(config);
/// tokio::spawn(driver.run());
/// let (store, writes) = RedisSemantic::new(client);
/// tokio::spawn(writes.run());
/// # let _ = store;
/// # }
/// ```
#[derive(Clone)]
pub struct RedisSemantic {
    far: Far,
    jobs: mpsc::Sender<Job>,
    max_bytes: usize,
}

/// What searches and the driver have in common.
#[derive(Clone)]
pub(crate) struct Far {
    client: RedisClient,
    deadline: Duration,
    shared: Arc<Shared>,
}

struct Shared {
    mirrors: Mutex<Mirrors>,
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

impl RedisSemantic {
    /// A store, which keeps answers of up to 1 MiB, and the driver that the application spawns:
    /// without it nothing is kept.
    pub fn new(client: RedisClient) -> (Self, SemanticWrites) {
        let (jobs, waiting) = mpsc::channel(WAITING);
        let far = Far {
            deadline: client.deadline(),
            client,
            shared: Arc::new(Shared {
                mirrors: Mutex::new(Mirrors::new(MIRRORED, PARTITIONS)),
                waiting: AtomicUsize::new(0),
                dropped: AtomicU64::new(0),
            }),
        };
        let writes = SemanticWrites::new(far.clone(), waiting);
        let store = Self {
            far,
            jobs,
            max_bytes: 1 << 20,
        };
        (store, writes)
    }

    /// How many bytes an answer may have that is kept.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long each of the two round trips of a search is waited for, instead of the
    /// [deadline](RedisClient::deadline) of the client.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.far.deadline = deadline;
        self
    }

    /// How many answers were not kept because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.far.shared.dropped.load(Relaxed)
    }

    async fn search(
        self,
        partition: CacheKey,
        vector: Vector,
        threshold: Threshold,
        max_age: Option<Duration>,
    ) -> Option<Near> {
        let far = &self.far;
        // Without an answer, what is known already has to do.
        let learnt = far.learn(&partition, &vector, far.deadline).await;
        if learnt == Ok(true) && self.jobs.capacity() > WAITING / 2 {
            let vector = vector.clone();
            let _ = self.jobs.try_send(Job::Learn { partition, vector });
        }
        let questions = far.shared.mirrors.lock().questions(&partition)?;
        let found = questions.nearest(&vector, threshold, max_age, Instant::now())?;
        let entry = match &found.entry {
            Some(entry) => Arc::clone(entry),
            None => {
                let longest = self.max_bytes + OVERHEAD;
                let entry = far.answer(&partition, &found, longest).await.ok()?;
                let mut mirrors = far.shared.mirrors.lock();
                mirrors.answered(&partition, &found, entry.as_ref());
                entry?
            }
        };
        Some(Near {
            entry,
            age: found.age,
            similarity: found.similarity,
        })
    }
}

impl Far {
    /// The keys of a partition.
    fn keys(&self, partition: &CacheKey) -> [String; 2] {
        let partition = partition.to_string();
        ["semantic", "semantic-answers"].map(|kind| self.client.key(kind, &partition))
    }

    /// Learns what has come to a partition. Says whether there is more.
    async fn learn(
        &self,
        partition: &CacheKey,
        like: &Vector,
        deadline: Duration,
    ) -> Result<bool, StoreError> {
        let (epoch, cursor) = self.shared.mirrors.lock().place(partition);
        let most = TOLD / (size_of_val(like.numbers()) + 64);
        let [vectors, _] = self.keys(partition);
        let args = [
            epoch.into(),
            cursor.into(),
            (most.clamp(1, 512) as u64).into(),
        ];
        let keys = [vectors];
        let answer = self.client.run_within(deadline, &NEWS, &keys, &args).await;
        let news = News::read(answer?)?;
        let mut mirrors = self.shared.mirrors.lock();
        Ok(mirrors.learn(*partition, news, Instant::now()))
    }

    /// The answer to a question that was found; `None` if there is none any more.
    async fn answer(
        &self,
        partition: &CacheKey,
        nearest: &Nearest,
        longest: usize,
    ) -> Result<Option<Arc<Entry>>, StoreError> {
        let [_, answers] = self.keys(partition);
        let args = [nearest.name.into(), (longest as u64).into()];
        let keys = [answers];
        let answer = self.client.run_within(self.deadline, &ANSWER, &keys, &args);
        let bytes: Option<Vec<u8>> = read(answer.await?)?;
        Ok(bytes.and_then(Entry::from_bytes).map(Arc::new))
    }
}

impl SemanticStore for RedisSemantic {
    type Nearest = RedisNearest;

    fn nearest(
        &self,
        partition: &CacheKey,
        vector: &Vector,
        threshold: Threshold,
        max_age: Option<Duration>,
    ) -> RedisNearest {
        let search = self.clone();
        // A box costs nothing beside a round trip.
        let search = search.search(*partition, vector.clone(), threshold, max_age);
        RedisNearest(Box::pin(search))
    }

    fn put(&self, partition: CacheKey, vector: Vector, entry: Arc<Entry>, ttl: Duration) {
        let ttl = ttl.min(LONGEST);
        if ttl.as_millis() == 0 || entry.size() > self.max_bytes {
            return;
        }
        let size = entry.size() + size_of_val(vector.numbers());
        let sent = Room::new(&self.far.shared, size).is_some_and(|room| {
            let put = Job::Put {
                partition,
                vector,
                entry,
                ttl,
                _room: room,
            };
            self.jobs.try_send(put).is_ok()
        });
        if !sent {
            self.far.shared.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// The search of [`RedisSemantic`].
pub struct RedisNearest(BoxFuture<'static, Option<Near>>);

impl Future for RedisNearest {
    type Output = Option<Near>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for RedisNearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisNearest").finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisSemantic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSemantic")
            .field("client", &self.far.client)
            .field("max_bytes", &self.max_bytes)
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

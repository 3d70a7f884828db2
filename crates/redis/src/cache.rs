//! Answers that several instances share.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream};
use tokio::sync::mpsc;
use ziggurat_cache::{CacheKey, CacheStore, Entry, Found};

use crate::{RedisClient, Script, StoreError, read};

/// How many answers wait to be kept, and how many bytes they have.
const WAITING: usize = 1_024;
const WAITING_BYTES: usize = 32 << 20;
/// How many are written at a time.
const WRITING: usize = 8;
/// How long a write may take. No request waits for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// What an answer may have beside its bytes.
const OVERHEAD: usize = 64 << 10;
/// The longest time an answer is kept.
const LONGEST: Duration = Duration::from_secs(400 * 24 * 3600);

static GET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local size = redis.call('STRLEN', KEYS[1])
         if size == 0 or size > tonumber(ARGV[1]) then return false end
         return {redis.call('PTTL', KEYS[1]), redis.call('GET', KEYS[1])}",
    )
});

static PUT: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])"));

/// Keeps answers in Redis, for all instances with the same namespace.
///
/// An answer that does not come within the deadline is none, and what cannot be kept is not: to be
/// without a cache is no failure. How old an answer is, the server says; the clocks of instances need
/// not agree. In front of it belongs a [`MemoryStore`](ziggurat_cache::MemoryStore), by
/// [`Tiered`](ziggurat_cache::Tiered).
///
/// Answers are long, and a short call waits on its connection until a long answer has passed. Where
/// limits share the server, give the cache a [client](RedisClient) of its own.
///
/// ```no_run
/// use std::time::Duration;
/// use ziggurat_cache::{CacheLayer, MemoryStore, Tiered};
/// use ziggurat_redis::{Address, RedisCache, RedisClient, RedisConfig};
///
/// # async fn start() {
/// let config = RedisConfig::single(Address::new("redis", 6379));
/// let (client, driver) = RedisClient::new(config);
/// tokio::spawn(driver.run());
/// let (far, puts) = RedisCache::new(client);
/// tokio::spawn(puts.run());
///
/// let store = Tiered::new(MemoryStore::new(64 << 20), far, Duration::from_secs(60));
/// let layer = CacheLayer::new(store);
/// # let _ = layer;
/// # }
/// ```
#[derive(Clone)]
pub struct RedisCache {
    client: RedisClient,
    queue: mpsc::Sender<Put>,
    shared: Arc<Shared>,
    deadline: Duration,
    max_bytes: usize,
}

#[derive(Default)]
struct Shared {
    waiting: AtomicUsize,
    dropped: AtomicU64,
}

/// An answer that waits to be kept.
struct Put {
    key: String,
    entry: Arc<Entry>,
    ttl: Duration,
    _room: Room,
}

/// Bytes that wait, until it is dropped.
struct Room(Arc<Shared>, usize);

impl RedisCache {
    /// A store, which keeps answers of up to 1 MiB, and the driver that the application spawns: without
    /// it nothing is kept.
    pub fn new(client: RedisClient) -> (Self, CacheWrites) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let writes = CacheWrites {
            client: client.clone(),
            waiting,
        };
        let store = Self {
            deadline: client.deadline(),
            client,
            queue,
            shared: Arc::default(),
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

    /// How long an answer is waited for, instead of the [deadline](RedisClient::deadline) of the client.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many answers were not kept because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }

    fn key(&self, key: &CacheKey) -> String {
        self.client.key("cache", &key.to_string())
    }

    fn room(&self, bytes: usize) -> Option<Room> {
        let before = self.shared.waiting.fetch_add(bytes, Relaxed);
        let room = Room(Arc::clone(&self.shared), bytes);
        (before + bytes <= WAITING_BYTES).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(self.1, Relaxed);
    }
}

impl CacheStore for RedisCache {
    type Get = RedisGet;

    fn get(&self, key: &CacheKey) -> RedisGet {
        let (client, deadline) = (self.client.clone(), self.deadline);
        let key = [self.key(key)];
        let most = [((self.max_bytes + OVERHEAD) as u64).into()];
        // A box costs nothing beside a round trip.
        RedisGet(Box::pin(async move {
            let answer = client.run_within(deadline, &GET, &key, &most);
            found(answer.await)
        }))
    }

    fn put(&self, key: CacheKey, entry: Arc<Entry>, ttl: Duration) {
        let size = entry.size();
        let ttl = ttl.min(LONGEST);
        if ttl.as_millis() == 0 || size > self.max_bytes {
            return;
        }
        let sent = self.room(size).is_some_and(|room| {
            let put = Put {
                key: self.key(&key),
                entry,
                ttl,
                _room: room,
            };
            self.queue.try_send(put).is_ok()
        });
        if !sent {
            self.shared.dropped.fetch_add(1, Relaxed);
        }
    }
}

/// What is kept: for how many milliseconds it is kept in all, and the answer. So its age is what is
/// gone of them.
fn found(answer: Result<redis::Value, StoreError>) -> Option<Found> {
    let (left, bytes): (u64, Vec<u8>) = read(answer.ok()?).ok()?;
    let (ttl, entry) = bytes.split_at_checked(8)?;
    let ttl = u64::from_le_bytes(ttl.try_into().ok()?);
    Some(Found {
        entry: Arc::new(Entry::from_bytes(entry.to_vec())?),
        age: Duration::from_millis(ttl.checked_sub(left)?),
    })
}

/// The search of [`RedisCache`].
pub struct RedisGet(BoxFuture<'static, Option<Found>>);

impl Future for RedisGet {
    type Output = Option<Found>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

/// The far end of the queue of answers that are to be kept: what writes them.
#[must_use = "nothing is kept but by `run`"]
pub struct CacheWrites {
    client: RedisClient,
    waiting: mpsc::Receiver<Put>,
}

impl CacheWrites {
    /// Writes answers, a few at a time. To be spawned once. What cannot be written is forgotten.
    ///
    /// It ends when the store and its clones are gone and the last answer is written. Dropped, it drops
    /// what waits.
    pub async fn run(self) {
        let Self { client, waiting } = self;
        let client = &client;
        let puts = stream::unfold(waiting, |mut waiting| async move {
            let put = waiting.recv().await?;
            Some((put, waiting))
        });
        puts.for_each_concurrent(WRITING, |put| async move {
            let ttl = u64::try_from(put.ttl.as_millis()).unwrap_or(u64::MAX);
            let mut value = ttl.to_le_bytes().to_vec();
            value.extend(put.entry.to_bytes());
            let args = [value.as_slice().into(), ttl.into()];
            let _ = client.run_within(PATIENCE, &PUT, &[&put.key], &args).await;
        })
        .await;
    }
}

impl fmt::Debug for RedisCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCache")
            .field("client", &self.client)
            .field("max_bytes", &self.max_bytes)
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisGet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisGet").finish_non_exhaustive()
    }
}

impl fmt::Debug for CacheWrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheWrites")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Address, RedisConfig};

    fn cache() -> (RedisCache, CacheWrites) {
        let config = RedisConfig::single(Address::new("127.0.0.1", 1));
        RedisCache::new(RedisClient::new(config).0)
    }

    const TTL: Duration = Duration::from_secs(1);

    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let key = CacheKey::from_bytes([1; 32]);
        let (cache, writes) = cache();
        for _ in 0..WAITING + 5 {
            cache.put(key, Arc::new(Entry::whole("x")), TTL);
        }
        assert_eq!((cache.dropped(), writes.waiting.len()), (5, WAITING));
        drop(writes);
        assert_eq!(cache.shared.waiting.load(Relaxed), 0);

        let (cache, writes) = self::cache();
        let long = Arc::new(Entry::whole(vec![0; 1 << 19]));
        for _ in 0..WAITING {
            cache.put(key, Arc::clone(&long), TTL);
        }
        assert!(writes.waiting.len() < 64, "{writes:?}");
        assert_eq!(cache.dropped() as usize + writes.waiting.len(), WAITING);
    }

    #[test]
    fn what_is_too_long_or_for_no_time_is_not_kept() {
        let key = CacheKey::from_bytes([1; 32]);
        let (cache, writes) = cache();
        let cache = cache.with_max_bytes(1_000);
        cache.put(key, Arc::new(Entry::whole(vec![0; 1_001])), TTL);
        cache.put(key, Arc::new(Entry::whole("x")), Duration::from_micros(999));
        assert_eq!((cache.dropped(), writes.waiting.len()), (0, 0));
        cache.put(key, Arc::new(Entry::whole("x")), Duration::MAX);
        assert_eq!(writes.waiting.len(), 1);
    }

    #[test]
    fn what_somebody_else_wrote_is_no_answer() {
        let of = |left: i64, bytes: &[u8]| {
            let bytes = redis::Value::BulkString(bytes.to_vec());
            found(Ok(redis::Value::Array(vec![
                redis::Value::Int(left),
                bytes,
            ])))
        };
        let kept = [&1_000_u64.to_le_bytes()[..], &Entry::whole("x").to_bytes()].concat();
        let good = of(900, &kept).expect("is one");
        assert_eq!(good.age, Duration::from_millis(100));
        assert!(of(-1, &kept).is_none(), "kept for ever");
        assert!(of(1_001, &kept).is_none());
        for end in 0..10 {
            assert!(of(900, &kept[..end]).is_none());
        }
        assert!(found(Ok(redis::Value::Nil)).is_none());
        assert!(found(Err(StoreError::Late)).is_none());
    }
}

//! Limits that several instances share.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use ziggurat_rate_limit::lease::{
    LeaseStore, MOST, Slot, SyncFailed, SyncReply, SyncRequest, SyncedLimit,
};

use crate::{Arg, RedisClient, Script, StoreError, read};

/// How long an answer is waited for. No request waits for it so long.
const PATIENCE: Duration = Duration::from_millis(250);

static SYNC: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("leases.lua")));

/// Keeps the limits of all instances with the same namespace, for a
/// [`LeasedLimiter`](ziggurat_rate_limit::LeasedLimiter).
///
/// It does what [`MemoryLeases`](ziggurat_rate_limit::MemoryLeases) does, by one script and in one
/// round trip for each key, with the clock of the server. All that is known of a key is one value,
/// which goes when nothing of it counts any more. Scripts of the server need `cmsgpack`, which those
/// of Redis and Valkey have.
///
/// ```no_run
/// use ziggurat_rate_limit::{Leasing, RateLimitLayer};
/// use ziggurat_redis::{Address, RedisClient, RedisConfig, RedisLeases};
///
/// # async fn start() {
/// let config = RedisConfig::single(Address::new("redis", 6379));
/// let (client, driver) = RedisClient::new(config);
/// tokio::spawn(driver.run());
///
/// let (limiter, leases) = Leasing::new().build();
/// tokio::spawn(leases.run(RedisLeases::new(client)));
/// let layer = RateLimitLayer::new(limiter);
/// # let _ = layer;
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedisLeases {
    client: RedisClient,
}

impl RedisLeases {
    /// The limits on those servers.
    #[must_use]
    pub const fn new(client: RedisClient) -> Self {
        Self { client }
    }

    /// The same at a time that is given, in milliseconds since the beginning of 1970, instead of the
    /// server's: for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn sync_at(&self, request: &SyncRequest, now: u64) -> RedisSync {
        let key = [match &request.key {
            Some(key) => self.client.key("limit", &key.to_string()),
            None => self.client.key("instances", "all"),
        }];
        let args = Args::new(request, now);
        let (client, limits) = (self.client.clone(), request.limits.len());
        // A box costs nothing beside a round trip.
        RedisSync(Box::pin(async move {
            let answer = client.run_within(PATIENCE, &SYNC, &key, &args.all()).await;
            reply(answer, limits).ok_or_else(SyncFailed::default)
        }))
    }
}

impl LeaseStore for RedisLeases {
    type Sync = RedisSync;

    fn sync(&self, request: &SyncRequest) -> RedisSync {
        self.sync_at(request, 0)
    }
}

/// The arguments of the script: numbers, and texts for some of them.
struct Args {
    numbers: Vec<u64>,
    texts: Vec<(usize, String)>,
}

impl Args {
    fn new(request: &SyncRequest, now: u64) -> Self {
        let lease = u64::try_from(request.lease.as_nanos().div_ceil(1_000_000));
        let mut args = Self {
            numbers: vec![now],
            texts: Vec::new(),
        };
        args.text(request.instance.to_string());
        let lease = lease.unwrap_or(MOST).clamp(1, MOST);
        args.numbers
            .extend([request.number, request.batch, request.born, lease]);
        for it in &request.limits {
            args.text(Slot::of(&it.limit).to_string());
            args.numbers.extend([
                it.limit.amount().min(MOST),
                it.hold,
                it.used,
                it.own,
                it.ends,
                it.least,
                it.largest,
                it.needed,
                it.stock,
                it.reset_at,
                u64::from(it.resets),
                it.refunds.len() as u64,
            ]);
            for (place, amount) in &it.refunds {
                args.numbers.extend([*place, *amount]);
            }
        }
        args
    }

    fn text(&mut self, text: String) {
        self.texts.push((self.numbers.len(), text));
        self.numbers.push(0);
    }

    fn all(&self) -> Vec<Arg<'_>> {
        let mut args: Vec<Arg<'_>> = self.numbers.iter().map(|it| Arg::Uint(*it)).collect();
        for (at, text) in &self.texts {
            args[*at] = text.as_str().into();
        }
        args
    }
}

/// What the script says of each limit.
const EACH: usize = 8;

fn reply(answer: Result<redis::Value, StoreError>, limits: usize) -> Option<SyncReply> {
    let numbers: Vec<i64> = read(answer.ok()?).ok()?;
    let (head, rest) = numbers.split_at_checked(2)?;
    if rest.len() != limits * EACH {
        return None;
    }
    let number = |it: i64| u64::try_from(it).ok();
    let time = |it: i64| number(it).map(Duration::from_millis);
    let limits = rest.chunks_exact(EACH).map(|it| {
        Some(SyncedLimit {
            granted: number(it[0])?,
            used: number(it[1])?,
            leased: number(it[2])?,
            place: number(it[3])?,
            room_in: time(it[4]),
            whole_in: time(it[5]),
            ends: number(it[6])?,
            reset_at: number(it[7])?,
        })
    });
    Some(SyncReply {
        born: number(head[0])?,
        instances: number(head[1])?,
        limits: limits.collect::<Option<_>>()?,
    })
}

/// The answer of [`RedisLeases`].
pub struct RedisSync(BoxFuture<'static, Result<SyncReply, SyncFailed>>);

impl Future for RedisSync {
    type Output = Result<SyncReply, SyncFailed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for RedisSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSync").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    #[test]
    fn an_answer_that_is_none_is_not_believed() {
        let of = |numbers: &[i64], limits| {
            let numbers = numbers.iter().map(|it| Value::Int(*it)).collect();
            reply(Ok(Value::Array(numbers)), limits)
        };
        let good = [5, 2, 1, 2, 3, 4, -1, 0, 7, 0];
        let it = of(&good, 1).expect("is one");
        assert_eq!((it.born, it.instances, it.limits[0].granted), (5, 2, 1));
        assert_eq!(
            (it.limits[0].room_in, it.limits[0].whole_in),
            (None, Some(Duration::ZERO))
        );
        assert!(of(&good, 2).is_none() && of(&good[..9], 1).is_none() && of(&[], 0).is_none());
        assert!(of(&[5, 2, -1, 2, 3, 4, -1, 0, 7, 0], 1).is_none());
        assert!(reply(Ok(Value::Nil), 0).is_none());
        assert!(reply(Err(StoreError::Late), 0).is_none());
    }
}

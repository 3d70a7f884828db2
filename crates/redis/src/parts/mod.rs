//! Which instance has how much of a capacity.

mod codec;

use std::{
    fmt,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use redis::{FromRedisValue, Value};
use ziggurat_priority_queue::parts::{Answer, MOST, Other, PartStore, Told};

use self::codec::{decode, encode};
use crate::{RedisClient, Script, StoreError, read};

/// How many instances share a gate.
const INSTANCES: u64 = 256;
/// The longest lease, in milliseconds.
const LONGEST: u64 = 60_000;
/// How long an exchange may take. No request waits for it so long.
const PATIENCE: Duration = Duration::from_millis(250);

static EXCHANGE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("parts.lua")));

/// Sets parts of capacities aside for instances with the same namespace, in Redis.
///
/// One hash for each gate holds what each of up to 256 instances has and has told, some hundred bytes
/// each; an exchange is one script on it, and brings all of it. The clock of the server says when an
/// instance has died. A lease lasts a minute at most. Run it by
/// [`Parts::share`](ziggurat_priority_queue::Parts::share).
#[derive(Clone)]
pub struct RedisParts(RedisClient);

impl RedisParts {
    /// A store.
    #[must_use]
    pub const fn new(client: RedisClient) -> Self {
        Self(client)
    }
}

impl PartStore for RedisParts {
    type Exchange = RedisPartExchange;

    fn exchange(
        &self,
        instance: &str,
        gate: Option<&str>,
        told: Told,
        lease: Duration,
    ) -> RedisPartExchange {
        let client = self.0.clone();
        let key = match gate {
            Some(gate) => client.key("queue", gate),
            None => client.key("queues", "instances"),
        };
        let instance = instance.to_owned();
        // A box costs nothing beside a round trip.
        RedisPartExchange(Box::pin(async move {
            let report = encode(&told.report);
            let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
            let args = [
                (&*instance).into(),
                lease.min(LONGEST).into(),
                told.whole.min(MOST).into(),
                told.wants.min(MOST).into(),
                told.report.in_use.min(MOST).into(),
                (&*report).into(),
                INSTANCES.into(),
                LONGEST.into(),
            ];
            answer(client.run_within(PATIENCE, &EXCHANGE, &[key], &args).await)
        }))
    }
}

/// Reads what the script says. What somebody else wrote there tells nothing, but what it says is set
/// aside is not to be had.
fn answer(answer: Result<Value, StoreError>) -> Option<Answer> {
    let values: Vec<Value> = read(answer.ok()?).ok()?;
    let (head, rest) = values.split_first_chunk::<2>()?;
    let [held, now] = head.each_ref().map(number);
    let others = rest.chunks_exact(4).map(|it| {
        Some(Other {
            instance: String::from_redis_value_ref(&it[0]).ok()?.into(),
            age: Duration::from_millis(number(&it[1])?),
            held: number(&it[2])?.min(MOST),
            report: Vec::from_redis_value_ref(&it[3])
                .ok()
                .and_then(|it: Vec<u8>| decode(&it))
                .unwrap_or_default(),
        })
    });
    Some(Answer {
        held: held?,
        now: now?,
        others: others.flatten().collect(),
    })
}

fn number(value: &Value) -> Option<u64> {
    u64::from_redis_value_ref(value).ok()
}

/// The exchange of [`RedisParts`].
pub struct RedisPartExchange(BoxFuture<'static, Option<Answer>>);

impl Future for RedisPartExchange {
    type Output = Option<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for RedisPartExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPartExchange").finish_non_exhaustive()
    }
}

impl fmt::Debug for RedisParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisParts").field(&self.0).finish()
    }
}

//! What instances tell each other.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use ziggurat_shared_log::{Cursor, Exchanged, Offer, SharedLog, Told};

use crate::{Arg, RedisClient, Script, Value, read};

/// How long an exchange may take. No request waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a log is kept to which nobody appends.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The log is a stream, of entries with their time; beside it are its name and its salt. It has lost
/// what it knew if either is gone: the server was restarted, or made room.
static EXCHANGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local log, about = KEYS[1], KEYS[2]
         local known, place, most, most_kept, kept_for = unpack(ARGV, 1, 5)
         local time = redis.call('TIME')
         local now = time[1] * 1000000 + time[2]
         local name, salt, told = unpack(redis.call('HMGET', about, 'name', 'salt', 'told'))
         if not (name and salt) or told and redis.call('EXISTS', log) == 0 then
             name, salt, told = ARGV[6], salt or ARGV[7], false
             redis.call('DEL', log, about)
             redis.call('HSET', about, 'name', name, 'salt', salt)
             redis.call('PEXPIRE', about, kept_for)
         end
         local is_new = known ~= name
         if is_new then place = '0-0' end
         most = tonumber(most)
         local found = redis.call('XRANGE', log, '(' .. place, '+', 'COUNT', most + 1)
         local has_more = #found > most
         if has_more then found[#found] = nil end
         local entries = {}
         for _, it in ipairs(found) do
             place = it[1]
             local at = tonumber(it[2][2])
             if at then entries[#entries + 1] = {math.max(0, now - at), it[2][4] or ''} end
         end
         if not has_more and #ARGV > 7 then
             local at = string.format('%.0f', now)
             for i = 8, #ARGV do
                 place = redis.call('XADD', log, 'MAXLEN', '~', most_kept, '*', 'at', at, 'entry', ARGV[i])
             end
             if not told then redis.call('HSET', about, 'told', '1') end
             redis.call('PEXPIRE', log, kept_for)
             redis.call('PEXPIRE', about, kept_for)
         end
         return {name, salt, place, has_more and 1 or 0, is_new and 1 or 0, entries}",
    )
});

/// A [log](SharedLog) in Redis, for all instances with the same namespace.
///
/// An exchange is one script, of one round trip, and gives up after a second. How old an entry is, the
/// server says; the clocks of instances need not agree. The log is bounded, about, and goes when
/// nobody has appended to it for thirty days.
///
/// Each log is on one server of a cluster.
///
/// ```no_run
/// use ziggurat_cooldown::{CooldownLayer, CooldownPolicy};
/// use ziggurat_core::{Deployment, Deployments};
/// use ziggurat_redis::{Address, RedisClient, RedisConfig, RedisLog};
///
/// # async fn start() {
/// let config = RedisConfig::single(Address::new("redis", 6379));
/// let (client, driver) = RedisClient::new(config);
/// tokio::spawn(driver.run());
///
/// let deployments = Deployments::from_iter([Deployment::new("eu", "gpt", "gpt-4o")]);
/// let cooldown = CooldownLayer::new(CooldownPolicy::new()).deployments(deployments);
/// tokio::spawn(cooldown.share(RedisLog::cooldowns(client)));
/// # }
/// ```
#[derive(Clone)]
pub struct RedisLog {
    client: RedisClient,
    keys: Arc<[String; 2]>,
    capacity: usize,
}

impl RedisLog {
    /// The log of that name, which keeps about so many entries.
    #[must_use]
    pub fn new(client: RedisClient, name: &str, capacity: usize) -> Self {
        Self {
            keys: Arc::new([client.key("log", name), client.key("about-log", name)]),
            client,
            capacity: capacity.max(1),
        }
    }

    /// The log of rests, of 4,096 entries.
    #[must_use]
    pub fn cooldowns(client: RedisClient) -> Self {
        Self::new(client, "cooldowns", 4_096)
    }

    /// The log of verdicts of health checks, of 16,384 entries.
    #[must_use]
    pub fn health(client: RedisClient) -> Self {
        Self::new(client, "health", 16_384)
    }

    /// The log of pins, of 100,000 entries.
    #[must_use]
    pub fn pins(client: RedisClient) -> Self {
        Self::new(client, "pins", 100_000)
    }
}

impl SharedLog for RedisLog {
    type Exchange = RedisExchange;

    fn exchange(&self, offer: Offer) -> RedisExchange {
        let Self {
            client,
            keys,
            capacity,
        } = self.clone();
        // A box costs nothing beside a round trip.
        RedisExchange(Box::pin(async move {
            let known = offer.since.log();
            let place = known.and_then(|log| offer.since.place_in(log));
            let known = known.map(|log| log.to_string()).unwrap_or_default();
            let mut args: Vec<Arg<'_>> = vec![
                (&*known).into(),
                place.unwrap_or_default().into(),
                (offer.most as u64).into(),
                (capacity as u64).into(),
                (KEPT.as_millis() as u64).into(),
                fastrand::u64(..).into(),
                offer.salt.into(),
            ];
            args.extend(offer.entries.iter().map(|entry| Arg::from(&**entry)));
            let answer = client.run_within(PATIENCE, &EXCHANGE, &*keys, &args).await;
            exchanged(answer.ok()?)
        }))
    }
}

impl fmt::Debug for RedisLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLog")
            .field("client", &self.client)
            .field("key", &self.keys[0])
            .field("capacity", &self.capacity)
            .finish()
    }
}

fn exchanged(answer: Value) -> Option<Exchanged> {
    type Entries = Vec<(u64, Vec<u8>)>;
    let (log, salt, place, has_more, is_new, entries): (u64, u64, String, bool, bool, Entries) =
        read(answer).ok()?;
    let mut exchanged = Exchanged::new(Cursor::new(log, place), salt);
    exchanged.has_more = has_more;
    exchanged.is_new = is_new;
    // What is no text was written by somebody else.
    let told = entries.into_iter().filter_map(|(age, entry)| {
        let entry = String::from_utf8(entry).ok()?;
        Some(Told::new(entry, Duration::from_micros(age)))
    });
    exchanged.entries = told.collect();
    Some(exchanged)
}

/// The exchange of [`RedisLog`].
pub struct RedisExchange(BoxFuture<'static, Option<Exchanged>>);

impl Future for RedisExchange {
    type Output = Option<Exchanged>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for RedisExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisExchange").finish_non_exhaustive()
    }
}

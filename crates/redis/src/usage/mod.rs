//! The usage of several instances.

mod scripts;

use std::{
    fmt,
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use ziggurat_usage::{Minute, Row, Subject, UsageStore};

use self::scripts::{FETCH, PUSH};
use crate::{Arg, RedisClient, StoreError, read};

/// How long a minute is kept after it was written last.
const KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How many minutes are read at most: those that are kept.
const MINUTES: u64 = 24 * 60;
/// How many rows of a minute are kept.
const IN_MINUTE: u64 = 10_000;
/// How many instances are known.
const INSTANCES: u64 = 1_000;
/// How many rows one script writes, and about how many, of how many minutes, it reads: a server does
/// nothing else meanwhile.
const WRITTEN: usize = 256;
const READ: u64 = 2_000;
const READ_MINUTES: usize = 60;
/// How many rows are read in all.
const MOST: usize = 100_000;
/// The longest row, which has a name in it.
const LONGEST: usize = 16 << 10;
/// How long a script may take. No request waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Keeps the usage of instances in Redis, for all with the same namespace, for 24 hours.
///
/// A minute is a hash with a row for each instance, deployment and group; all are on one server of a
/// cluster. Of a minute 10,000 rows are kept and of a fetch the newest 100,000 told; a row is some
/// hundred bytes. Nothing of it is on the path of a request: run a
/// [`UsageSync`](ziggurat_usage::UsageSync) over it.
///
/// ```no_run
/// use std::time::Duration;
/// use ziggurat_redis::{Address, RedisClient, RedisConfig, RedisUsage};
/// use ziggurat_usage::{UsageBook, UsageSync};
///
/// # async fn start(book: UsageBook) {
/// let config = RedisConfig::single(Address::new("redis", 6379));
/// let (client, driver) = RedisClient::new(config);
/// tokio::spawn(driver.run());
/// // Another name after each start.
/// let name = format!("gateway-{}", fastrand::u64(..));
/// let sync = UsageSync::new(book, RedisUsage::new(client), name);
/// tokio::spawn(sync.run(Duration::from_secs(5)));
/// # }
/// ```
#[derive(Clone)]
pub struct RedisUsage {
    client: RedisClient,
    /// The key of the instances that are known, which those of the minutes begin with.
    known: Arc<str>,
    is_full: Arc<AtomicBool>,
}

impl RedisUsage {
    /// A store.
    #[must_use]
    pub fn new(client: RedisClient) -> Self {
        Self {
            known: client.key("usage", "minutes").into(),
            client,
            is_full: Arc::default(),
        }
    }

    fn key(&self, minute: Minute) -> String {
        format!("{}:{}", self.known, minute.number())
    }

    /// Writes a few rows. Says whether the instance was known, and how many found no room.
    async fn write(
        &self,
        instance: &str,
        rows: &[(Minute, Vec<u8>, Vec<u8>)],
        is_last: bool,
    ) -> Result<(bool, u64), StoreError> {
        let mut keys = vec![self.known.to_string()];
        let mut args: Vec<Arg<'_>> = vec![
            instance.into(),
            KEPT.as_secs().into(),
            IN_MINUTE.into(),
            INSTANCES.into(),
            u32::from(is_last).into(),
        ];
        let mut last = None;
        for (minute, field, row) in rows {
            if last != Some(*minute) {
                keys.push(self.key(*minute));
                last = Some(*minute);
            }
            let key = keys.len() as u64;
            args.extend([key.into(), Arg::Bytes(field), Arg::Bytes(row)]);
        }
        let answer = self.client.run_within(PATIENCE, &PUSH, &keys, &args);
        let (is_known, left): (u8, u64) = read(answer.await?)?;
        Ok((is_known != 0, left))
    }

    /// Tells that there is no room, or room again.
    fn note(&self, left: u64) {
        let is_full = left > 0;
        if self.is_full.swap(is_full, Relaxed) != is_full {
            if is_full {
                tracing::warn!(
                    rows = left,
                    "there are more rows of usage in a minute than are kept"
                );
            } else {
                tracing::info!("all rows of usage are kept again");
            }
        }
    }
}

impl UsageStore for RedisUsage {
    type Error = StoreError;

    async fn push(&self, instance: &str, rows: Vec<Row>) -> Result<bool, StoreError> {
        let written = rows.iter().map(|row| {
            let field = [&prefix(instance)[..], &name(row.subject())].concat();
            (row.minute(), field, row.to_bytes())
        });
        let mut rows: Vec<_> = written.filter(|(.., row)| row.len() <= LONGEST).collect();
        rows.sort_unstable_by_key(|(minute, ..)| *minute);
        let (whole, rest) = rows.split_at((rows.len().saturating_sub(1)) / WRITTEN * WRITTEN);
        let mut left = 0;
        for rows in whole.chunks(WRITTEN) {
            left += self.write(instance, rows, false).await?.1;
        }
        // Who is written as known has written everything.
        let (is_known, more) = self.write(instance, rest, true).await?;
        self.note(left + more);
        Ok(is_known)
    }

    async fn fetch(
        &self,
        minutes: RangeInclusive<Minute>,
        but: Option<&str>,
    ) -> Result<Vec<Row>, StoreError> {
        let (first, last) = (minutes.start().number(), minutes.end().number());
        let first = first.max(last.saturating_sub(MINUTES - 1));
        let but = but.map(prefix).unwrap_or_default();
        let args = [READ.into(), (LONGEST as u64).into(), Arg::Bytes(&but)];
        let mut keys = (first..=last).rev().map(|it| self.key(Minute::new(it)));
        let mut asked: Vec<_> = keys.by_ref().take(READ_MINUTES).collect();
        let mut rows = Vec::new();
        while !asked.is_empty() && rows.len() < MOST {
            let answer = self.client.run_within(PATIENCE, &FETCH, &asked, &args);
            let (done, told): (usize, Vec<Vec<u8>>) = read(answer.await?)?;
            if done == 0 {
                return Err(StoreError::Garbled);
            }
            // What somebody else wrote is no row.
            let told = told.iter().filter_map(|it| Row::from_bytes(it).ok());
            let room = MOST - rows.len();
            rows.extend(told.filter(|it| minutes.contains(&it.minute())).take(room));
            asked.drain(..done.min(asked.len()));
            let room = READ_MINUTES - asked.len();
            asked.extend(keys.by_ref().take(room));
        }
        Ok(rows)
    }
}

/// What the fields of an instance begin with, and those of no other do.
fn prefix(instance: &str) -> Vec<u8> {
    format!("{}:{instance}", instance.len()).into_bytes()
}

fn name(subject: &Subject) -> Vec<u8> {
    let (kind, name) = match subject {
        Subject::Deployment(id) => ('d', id.as_str()),
        Subject::Group(name) => ('g', &**name),
        // A kind that comes later gets a letter of its own with it.
        _ => ('?', ""),
    };
    format!("{kind}{name}").into_bytes()
}

impl fmt::Debug for RedisUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisUsage")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

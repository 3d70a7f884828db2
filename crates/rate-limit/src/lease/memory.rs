//! The store in memory: what every store does, said as plainly as possible.

use std::{
    collections::BTreeMap,
    fmt,
    future::{Ready, ready},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    count::{Count, NEVER, counts_until, period},
    store::{LeaseStore, MOST, Slot, SyncFailed, SyncLimit, SyncReply, SyncRequest, SyncedLimit},
};
use crate::{LimitKey, Window};

/// What instances are told to keep together, in the memory of one process. It is the model of every
/// [`LeaseStore`], and serves tests.
///
/// For each limit it knows what is *used*, and for each instance what that *holds*: what was granted
/// and has not been reported as used. Nothing is granted unless what is used, what all hold and what
/// is granted stay within the limit together.
///
/// - What an instance reports as used counts from when it is reported: in a sliding window until the
///   end of its slice, a sixtieth of the period, has left the window; in a bucket until it has
///   drained; in a fixed period until that ends. A calendar's periods are by the clock of the store.
/// - What an instance holds counts until it says otherwise. When its lease expires without a word,
///   places in flight are free again; of all else what it held counts as if it had been used when
///   the lease expired, and if the instance comes back, as it says. After an hour, it is charged.
/// - What is used is forgotten when an instance asks for it, after what it tells; what is held stays.
/// - Who waits is granted what there is room for, at least what the smallest needs, or nothing. For
///   requests to come, at most what is left divided by twice the number of instances is granted
///   (guided self-scheduling: Polychronopoulos and Kuck 1987), so large limits are handed out in
///   chunks, and the last of them one by one.
///
/// Clones share what they know.
#[derive(Clone)]
pub struct MemoryLeases {
    keys: Arc<Mutex<Keys>>,
    start: (SystemTime, Instant),
}

type Keys = BTreeMap<String, Known>;

/// What is known of one key.
#[derive(Debug)]
struct Known {
    born: u64,
    /// After that, nothing is known any more.
    until: u64,
    counts: BTreeMap<String, Count>,
    instances: BTreeMap<Arc<str>, Instance>,
}

/// What one instance has said last.
#[derive(Debug, Default)]
struct Instance {
    number: u64,
    batch: u64,
    expires: u64,
    /// What it holds, by limit, and where its last use was put.
    leases: BTreeMap<String, (Window, u64, u64)>,
}

/// What an instance held is remembered for so long after it was heard of, at most and at least.
const MOST_KEPT: u64 = 3_600_000;
const LEAST_KEPT: u64 = 10_000;

impl Instance {
    /// Until when it is remembered.
    fn kept(&self) -> u64 {
        let kept = self.leases.values().map(|(window, ..)| match window {
            Window::AtOnce => 0,
            window => match period(*window) {
                0 => MOST_KEPT,
                per => per.min(MOST_KEPT),
            },
        });
        self.expires + kept.max().unwrap_or(0).max(LEAST_KEPT)
    }

    /// What it holds of a limit that counts now.
    fn holds(&self, slot: &str, now: u64) -> u64 {
        let lease = self.leases.get(slot);
        lease.map_or(0, |(window, amount, _)| {
            let counts = now < self.expires || now < counts_until(*window, self.expires);
            if counts { *amount } else { 0 }
        })
    }
}

impl MemoryLeases {
    /// A store in which nothing is used.
    #[must_use]
    pub fn new() -> Self {
        Self {
            keys: Arc::default(),
            start: (SystemTime::now(), Instant::now()),
        }
    }

    /// Forgets everything, as a store does that is started anew.
    pub fn forget(&self) {
        self.keys.lock().clear();
    }

    /// The clock of the store, in milliseconds since the beginning of 1970. It follows the time of
    /// tokio from when the store was made.
    #[must_use]
    pub fn now(&self) -> u64 {
        super::store::wall(self.start.0 + self.start.1.elapsed())
    }

    /// Does what is asked, at a time of the store's clock.
    #[must_use]
    pub fn sync_at(&self, request: &SyncRequest, now: u64) -> SyncReply {
        let key = request
            .key
            .as_ref()
            .map_or_else(String::new, LimitKey::to_string);
        let mut keys = self.keys.lock();
        // What is not known any more goes, so that it holds no more than there is to know.
        keys.retain(|_, known| known.until > now);
        let known = keys.entry(key).or_insert_with(|| Known {
            born: now,
            until: 0,
            counts: BTreeMap::new(),
            instances: BTreeMap::new(),
        });
        known.sync(request, now)
    }
}

impl Known {
    fn sync(&mut self, request: &SyncRequest, now: u64) -> SyncReply {
        self.bury(now);
        let is_known = self.instances.contains_key(&request.instance);
        let instance = self
            .instances
            .entry(Arc::clone(&request.instance))
            .or_default();
        let is_new = !is_known || request.number > instance.number;
        let told = Told {
            is_new,
            is_fresh: is_new && (!is_known || request.batch > instance.batch),
            is_lost: !is_known && request.born != self.born,
        };
        if is_new {
            instance.number = request.number;
            instance.batch = instance.batch.max(request.batch);
            instance.expires = now + millis_of(request.lease);
            let asked = |name: &String| request.limits.iter().any(|it| name_of(it) == *name);
            instance.leases.retain(|name, _| asked(name));
        }
        let alive = self
            .instances
            .values()
            .filter(|it| it.expires > now)
            .count() as u64;
        let limits = request
            .limits
            .iter()
            .map(|limit| self.limit(&request.instance, limit, told, alive, now))
            .collect();
        self.counts.retain(|_, count| count.remembered(now) > now);
        self.until = self.remembered(now);
        SyncReply {
            born: self.born,
            instances: alive,
            limits,
        }
    }

    /// Drops who has not been heard of for long. What still counts of what they held is charged.
    fn bury(&mut self, now: u64) {
        let counts = &mut self.counts;
        self.instances.retain(|_, instance| {
            let is_kept = instance.kept() > now;
            if !is_kept {
                for (name, (window, ..)) in &instance.leases {
                    let amount = instance.holds(name, now);
                    if amount > 0 {
                        let count = counts.entry(name.clone());
                        let count = count.or_insert_with(|| Count::new(*window, now));
                        count.advance(now);
                        count.charge(amount, now);
                    }
                }
            }
            is_kept
        });
    }

    fn limit(
        &mut self,
        instance: &Arc<str>,
        asked: &SyncLimit,
        told: Told,
        alive: u64,
        now: u64,
    ) -> SyncedLimit {
        let name = name_of(asked);
        let window = asked.limit.window();
        let count = self.counts.entry(name.clone());
        let count = count.or_insert_with(|| Count::new(window, now));
        count.amount = asked.limit.amount().min(MOST);
        count.advance(now);
        let others = self.instances.iter().filter(|(it, _)| *it != instance);
        let others: u64 = others.map(|(_, it)| it.holds(&name, now)).sum();
        let own = self.instances.get_mut(instance).expect("it was entered");
        let (_, lease, place) = own.leases.entry(name).or_insert((window, 0, 0));
        if told.is_lost {
            count.remember(asked.ends, now);
        }
        if told.is_fresh {
            if !told.is_lost && asked.reset_at == count.reset_at {
                for (place, amount) in &asked.refunds {
                    count.refund(*place, (*amount).min(MOST), now);
                }
            }
            let used = if told.is_lost { asked.own } else { asked.used };
            if used > 0 {
                *place = count.charge(used.min(MOST), now);
            }
        }
        if told.is_new && asked.resets && asked.reset_at == count.reset_at {
            count.reset(now);
        }
        let mut granted = 0;
        if told.is_new {
            *lease = asked.hold.min(MOST);
            let room = count.room(others + *lease);
            if room >= asked.least {
                granted = asked.needed.min(room);
                granted += asked.stock.min((room - granted) / (2 * alive.max(1)));
            }
            *lease += granted;
        }
        let leased = others + *lease;
        SyncedLimit {
            granted,
            used: count.used(),
            leased,
            place: *place,
            room_in: count
                .wait(asked.largest, leased, now)
                .map(Duration::from_millis),
            whole_in: count.whole(leased, now).map(Duration::from_millis),
            ends: count.ends(),
            reset_at: count.reset_at,
        }
    }

    /// Until when anything has to be remembered.
    fn remembered(&self, now: u64) -> u64 {
        let instances = self.instances.values().flat_map(|it| {
            let leases = it.leases.values().filter(|(_, amount, _)| *amount > 0);
            let leases = leases.map(|(window, ..)| counts_until(*window, it.expires));
            leases.chain([it.kept()])
        });
        let counts = self.counts.values().map(|count| count.remembered(now));
        instances.chain(counts).max().unwrap_or(now).min(NEVER)
    }
}

/// What of a request is to be done.
#[derive(Clone, Copy)]
struct Told {
    /// It is no older than what was done before.
    is_new: bool,
    /// What it tells to be used has not been told before.
    is_fresh: bool,
    /// The instance has been here, and nothing is known of that.
    is_lost: bool,
}

fn name_of(limit: &SyncLimit) -> String {
    Slot::of(&limit.limit).to_string()
}

fn millis_of(time: Duration) -> u64 {
    super::store::millis(time)
}

impl LeaseStore for MemoryLeases {
    type Sync = Ready<Result<SyncReply, SyncFailed>>;

    fn sync(&self, request: &SyncRequest) -> Self::Sync {
        ready(Ok(self.sync_at(request, self.now())))
    }
}

impl Default for MemoryLeases {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryLeases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLeases")
            .field("keys", &self.keys.lock().len())
            .finish_non_exhaustive()
    }
}

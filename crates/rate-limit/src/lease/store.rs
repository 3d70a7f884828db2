//! What instances and their store say to each other.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{Limit, LimitKey, Measure, Period, Window};

/// The largest amount that a store counts: 2⁵³ − 1, what a store that counts in floating point has
/// exact. A limit of more is one of that much.
pub const MOST: u64 = (1 << 53) - 1;

/// Where several instances keep their counts together.
///
/// It has one operation, which is done as a whole or not at all; what it does is said at
/// [`MemoryLeases`](crate::MemoryLeases), the model of all stores.
pub trait LeaseStore {
    /// The answer. It is not waited for by any request for longer than
    /// [`Leasing::deadline`](crate::Leasing::deadline), and is dropped if it takes very long.
    type Sync: Future<Output = Result<SyncReply, SyncFailed>>;

    /// Tells the store what an instance has used of the limits on a key, and asks for more.
    fn sync(&self, request: &SyncRequest) -> Self::Sync;
}

/// The store did not answer. Whether it did what it was asked is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncFailed;

impl fmt::Display for SyncFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store of the limits did not answer")
    }
}

impl std::error::Error for SyncFailed {}

/// What an instance has used of the limits on one key, what it holds, and what it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncRequest {
    /// The key; without one it is said only that the instance is there.
    pub key: Option<LimitKey>,
    /// Who asks. No other process has the same name, and no later one.
    pub instance: Arc<str>,
    /// Larger than the number of any request of this instance before, so that one that comes late
    /// does nothing.
    pub number: u64,
    /// The number of the request that first told [`SyncLimit::used`] and [`SyncLimit::refunds`]. It
    /// is told again, unchanged, until there is an answer, and counts once.
    pub batch: u64,
    /// Since when the store has known the key, by its last answer; zero if there was none. If that
    /// is not so any more, the store has lost what it knew.
    pub born: u64,
    /// For how long what is granted may be used.
    pub lease: Duration,
    /// The limits.
    pub limits: Vec<SyncLimit>,
}

/// What an instance has used of one limit, what it holds, and what it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncLimit {
    /// The limit.
    pub limit: Limit,
    /// What the instance holds without having told that it was used; of requests in flight, all.
    /// It counts whether there is room for it or not.
    pub hold: u64,
    /// What it used, of what it held or more. It counts whether there is room for it or not.
    pub used: u64,
    /// All that it used itself in the current window: counts instead of `used` for a store that has
    /// lost what it knew.
    pub own: u64,
    /// What was told as used and was not: how much, and where it was put.
    pub refunds: Vec<(u64, u64)>,
    /// When the current period ends, by the store's last word; zero if it said nothing.
    pub ends: u64,
    /// When all that was used was forgotten last, by the store's last word; zero if it said nothing.
    /// If that is not so any more, refunds are of what is forgotten.
    pub reset_at: u64,
    /// Whether all that was used is to be forgotten, by whomever, unless it was since `reset_at`.
    pub resets: bool,
    /// What the smallest request that waits lacks. If there is no room for that, nothing is granted.
    pub least: u64,
    /// What the largest request that waits lacks.
    pub largest: u64,
    /// What all who wait lack.
    pub needed: u64,
    /// What is wanted beyond that for requests to come. At most a part of what is left, the smaller
    /// the more instances there are, is granted for it.
    pub stock: u64,
}

impl SyncLimit {
    /// Nothing is told of the limit, and nothing is asked for.
    #[must_use]
    pub const fn new(limit: Limit) -> Self {
        Self {
            limit,
            hold: 0,
            used: 0,
            own: 0,
            refunds: Vec::new(),
            ends: 0,
            reset_at: 0,
            resets: false,
            least: 0,
            largest: 0,
            needed: 0,
            stock: 0,
        }
    }
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq)]
pub struct SyncReply {
    /// Since when the store knows the key, in milliseconds of its clock.
    pub born: u64,
    /// How many instances have asked for the key of late.
    pub instances: u64,
    /// For each limit that was asked for, in that order.
    pub limits: Vec<SyncedLimit>,
}

/// What the store answers for one limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncedLimit {
    /// What the instance may use in addition to what it holds.
    pub granted: u64,
    /// What all have used.
    pub used: u64,
    /// What all hold.
    pub leased: u64,
    /// Where the use was put: what a refund of it has to say.
    pub place: u64,
    /// In how long there is room for the largest request that waits, if nobody else comes and what
    /// others hold is used; none if that is not known, or never.
    pub room_in: Option<Duration>,
    /// In how long all of it is left again, if nothing more is used; none if that is not known, or
    /// never.
    pub whole_in: Option<Duration>,
    /// When the current period ends, in milliseconds of the store's clock; zero without one.
    pub ends: u64,
    /// When all that was used was forgotten last because it was asked for, in milliseconds of the
    /// store's clock; zero if that is too long ago to be of interest.
    pub reset_at: u64,
}

/// What is counted together by all instances: a measure in a window, whatever the amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slot {
    pub(crate) measure: Measure,
    pub(crate) window: Window,
}

impl Slot {
    /// Where a limit is counted.
    #[must_use]
    pub const fn of(limit: &Limit) -> Self {
        Self {
            measure: limit.measure(),
            window: limit.window(),
        }
    }
}

/// The measure and the window, as stores name them: such as `requests:s60000` for a sliding window
/// of a minute. `g` is a bucket that drains, `r` a rolling period, `d`, `w`, `m` and `f` a day, a
/// week, a month and for ever, `a` is at a time.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.measure)?;
        match self.window {
            Window::Sliding(per) => write!(f, "s{}", millis(per)),
            Window::Smooth(per) => write!(f, "g{}", millis(per)),
            Window::Fixed(Period::Rolling(per)) => write!(f, "r{}", millis(per)),
            Window::Fixed(Period::Day) => f.write_str("d"),
            Window::Fixed(Period::Week) => f.write_str("w"),
            Window::Fixed(Period::Month) => f.write_str("m"),
            Window::Fixed(Period::Forever) => f.write_str("f"),
            Window::AtOnce => f.write_str("a"),
        }
    }
}

/// Milliseconds, rounded up, and one at least: stores count time in them.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000))
        .unwrap_or(MOST)
        .clamp(1, MOST)
}

/// Milliseconds since the beginning of 1970, rounded down.
pub(crate) fn wall(now: SystemTime) -> u64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rate;

    #[test]
    fn limits_that_differ_in_their_amount_only_are_counted_together() {
        let name = |limit: Limit| Slot::of(&limit).to_string();
        let four = Rate::per_minute(4).of(Measure::Requests);
        let five = Rate::per_minute(5).of(Measure::Requests);
        assert_eq!(
            (name(four), name(five)),
            ("requests:s60000".into(), "requests:s60000".into())
        );
        let smooth = Rate::per_minute(4).smooth().of(Measure::Tokens);
        assert_eq!(name(smooth), "tokens:g60000");
        let month = Limit::new(Measure::Money, 4, Window::Fixed(Period::Month));
        assert_eq!(name(month), "money:m");
    }
}

//! How a store counts one limit, in milliseconds of its own clock.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use super::store::{MOST, millis, wall};
use crate::{Period, Window};

/// How many slices a sliding window has.
const SLICES: u64 = 60;

/// The end of what has none.
pub(super) const NEVER: u64 = MOST;

/// What is used of a limit.
#[derive(Clone, Debug)]
pub(super) struct Count {
    window: Window,
    pub(super) amount: u64,
    used: Used,
    /// When it was reset last, or zero.
    pub(super) reset_at: u64,
}

#[derive(Clone, Debug)]
enum Used {
    /// By the number of the slice.
    Sliding(BTreeMap<u64, u64>),
    /// The level of the bucket, and when that was right.
    Smooth(f64, u64),
    /// In the period that ends then; none is running if that is zero.
    Fixed(u64, u64),
    Nothing,
}

impl Count {
    pub(super) fn new(window: Window, now: u64) -> Self {
        let used = match window {
            Window::Sliding(_) => Used::Sliding(BTreeMap::new()),
            Window::Smooth(_) => Used::Smooth(0.0, now),
            Window::Fixed(_) => Used::Fixed(0, 0),
            Window::AtOnce => Used::Nothing,
        };
        Self {
            window,
            amount: 0,
            used,
            reset_at: 0,
        }
    }

    fn per(&self) -> u64 {
        period(self.window)
    }

    fn width(&self) -> u64 {
        (self.per() / SLICES).max(1)
    }

    /// When what is charged in a slice has left the window.
    fn left(&self, slice: u64) -> u64 {
        (slice + 1) * self.width() + self.per()
    }

    /// Leaves behind what does not count any more.
    pub(super) fn advance(&mut self, now: u64) {
        let (per, width) = (self.per(), self.width());
        match &mut self.used {
            Used::Sliding(slices) => {
                // A clock that was set back: what it put into the future counts from now.
                let current = now / width;
                let ahead: u64 = slices.split_off(&(current + 1)).values().sum();
                if ahead > 0 {
                    *slices.entry(current).or_default() += ahead;
                }
                slices.retain(|slice, _| (slice + 1) * width + per > now);
            }
            Used::Smooth(level, at) => {
                if now > *at {
                    let drained = (now - *at) as f64 * self.amount as f64 / per as f64;
                    *level = (*level - drained).max(0.0);
                }
                *at = now;
            }
            Used::Fixed(used, ends) => {
                if *ends != 0 && *ends <= now {
                    (*used, *ends) = (0, 0);
                }
            }
            Used::Nothing => {}
        }
    }

    /// Takes on a period that an instance remembers, if none is running.
    pub(super) fn remember(&mut self, end: u64, now: u64) {
        let per = self.per();
        if let (Window::Fixed(Period::Rolling(_)), Used::Fixed(_, ends)) =
            (self.window, &mut self.used)
            && *ends == 0
            && end > now
            && end <= now + per
        {
            *ends = end;
        }
    }

    /// Forgets what is used; a period begins with the next use.
    pub(super) fn reset(&mut self, now: u64) {
        if self.window != Window::AtOnce {
            self.used = Self::new(self.window, now).used;
            self.reset_at = now.max(self.reset_at + 1);
        }
    }

    /// What is used, rounded up.
    pub(super) fn used(&self) -> u64 {
        match &self.used {
            Used::Sliding(slices) => slices.values().sum(),
            Used::Smooth(level, _) => level.ceil() as u64,
            Used::Fixed(used, _) => *used,
            Used::Nothing => 0,
        }
    }

    /// Adds what was used, and tells where.
    pub(super) fn charge(&mut self, amount: u64, now: u64) -> u64 {
        let (per, width, limit) = (self.per(), self.width(), self.amount);
        let window = self.window;
        match &mut self.used {
            Used::Sliding(slices) => {
                let slice = slices.entry(now / width).or_default();
                *slice = (*slice + amount).min(MOST);
                now / width
            }
            Used::Smooth(level, _) => {
                *level = (*level + amount as f64).min(2.0 * limit as f64);
                now + (*level * per as f64 / limit.max(1) as f64).floor() as u64
            }
            Used::Fixed(used, ends) => {
                if *ends == 0 {
                    *ends = end(window, now);
                }
                *used = (*used + amount).min(MOST);
                *ends
            }
            Used::Nothing => 0,
        }
    }

    /// Takes back what was charged there, if it still counts.
    pub(super) fn refund(&mut self, place: u64, amount: u64, now: u64) {
        let (per, width, limit) = (self.per(), self.width(), self.amount);
        match &mut self.used {
            Used::Sliding(slices) => {
                let place = place.min(now / width);
                if let Some(slice) = slices.get_mut(&place) {
                    *slice = slice.saturating_sub(amount);
                    if *slice == 0 {
                        slices.remove(&place);
                    }
                }
            }
            Used::Smooth(level, _) => {
                // What came before drains before, and this before what came after it.
                let left = place.saturating_sub(now) as f64 * limit as f64 / per as f64;
                *level = (*level - left.min(amount as f64)).max(0.0);
            }
            Used::Fixed(used, ends) => {
                if *ends == place {
                    *used = used.saturating_sub(amount);
                }
            }
            Used::Nothing => {}
        }
    }

    /// Floating point is not exact: a bucket takes a millionth of a token too much.
    fn tolerance(&self) -> f64 {
        1e-6 + self.amount as f64 * 1e-15
    }

    /// How much fits, where so much is leased.
    pub(super) fn room(&self, leased: u64) -> u64 {
        match &self.used {
            Used::Smooth(level, _) => {
                let room = self.amount as f64 - level - leased as f64;
                (room + self.tolerance()).floor().max(0.0) as u64
            }
            _ => self.amount.saturating_sub(self.used() + leased),
        }
    }

    /// In how long `need` fits, where so much is leased and will be used.
    pub(super) fn wait(&self, need: u64, leased: u64, now: u64) -> Option<u64> {
        if self.amount == 0 || need > self.amount || self.window == Window::AtOnce {
            return None;
        }
        let mut excess = (self.used() + leased + need).saturating_sub(self.amount);
        match &self.used {
            Used::Smooth(level, _) => {
                let excess = level + leased as f64 + need as f64 - self.amount as f64;
                let fits = excess <= self.tolerance();
                Some(if fits { 0 } else { self.drains_in(excess) })
            }
            _ if excess == 0 => Some(0),
            Used::Sliding(slices) => {
                for (slice, amount) in slices {
                    excess = excess.saturating_sub(*amount);
                    if excess == 0 {
                        return Some(self.left(*slice) - now);
                    }
                }
                Some(self.left(now / self.width()) - now)
            }
            Used::Fixed(..) => self.period_left(now),
            Used::Nothing => None,
        }
    }

    /// In how long nothing is used, where so much is leased and will be used.
    pub(super) fn whole(&self, leased: u64, now: u64) -> Option<u64> {
        match &self.used {
            Used::Nothing => None,
            _ if self.used() + leased == 0 => Some(0),
            Used::Sliding(slices) => {
                let newest = slices.keys().next_back().copied().filter(|_| leased == 0);
                let newest = newest.unwrap_or(now / self.width());
                Some(self.left(newest).saturating_sub(now))
            }
            Used::Smooth(..) if self.amount == 0 => None,
            Used::Smooth(level, _) => Some(self.drains_in(level + leased as f64)),
            Used::Fixed(..) => self.period_left(now),
        }
    }

    fn drains_in(&self, amount: f64) -> u64 {
        let time = (amount * self.per() as f64 / self.amount as f64).ceil();
        (time as u64).min(MOST)
    }

    fn period_left(&self, now: u64) -> Option<u64> {
        let end = match self.ends() {
            0 => end(self.window, now),
            end => end,
        };
        (end != NEVER).then_some(end.saturating_sub(now))
    }

    /// When the current period ends, if there is one.
    pub(super) fn ends(&self) -> u64 {
        match self.used {
            Used::Fixed(_, ends) => ends,
            _ => 0,
        }
    }

    /// Until when it has to be remembered.
    pub(super) fn remembered(&self, now: u64) -> u64 {
        /// No instance syncs in between, for which the store would have lost its memory.
        const GRACE: u64 = 60_000;
        let used = match &self.used {
            Used::Fixed(used, ends) if *used > 0 && *ends != NEVER => *ends + GRACE,
            Used::Fixed(used, _) if *used > 0 => NEVER,
            _ => now + self.whole(0, now).unwrap_or(0),
        };
        match self.reset_at {
            0 => used,
            // So long somebody may think that it used some of it.
            at => used.max(counts_until(self.window, at)),
        }
    }
}

/// The length of the period of a window, if it has one.
pub(super) fn period(window: Window) -> u64 {
    match window {
        Window::Sliding(per) | Window::Smooth(per) | Window::Fixed(Period::Rolling(per)) => {
            millis(per)
        }
        _ => 0,
    }
}

/// When the period ends in which `now` is.
fn end(window: Window, now: u64) -> u64 {
    match window {
        Window::Fixed(Period::Rolling(per)) => now + millis(per),
        Window::Fixed(calendar) => calendar
            .end(UNIX_EPOCH + Duration::from_millis(now))
            .map_or(NEVER, wall),
        _ => NEVER,
    }
}

/// Until when a lease that expired then counts, as if it had been used in the moment it expired.
pub(super) fn counts_until(window: Window, expired: u64) -> u64 {
    match window {
        Window::AtOnce => expired,
        Window::Fixed(Period::Day | Period::Week | Period::Month | Period::Forever) => {
            end(window, expired)
        }
        _ => expired + period(window),
    }
}

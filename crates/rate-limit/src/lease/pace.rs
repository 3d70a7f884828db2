//! How fast a limit is used.

use tokio::time::Instant;

use super::leasing::RENEW;

/// How fast it is used.
#[derive(Debug)]
pub(super) struct Pace {
    /// In this interval.
    drawn: u64,
    since: Instant,
    /// In the last one.
    before: u64,
    pub(super) last: Instant,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            drawn: 0,
            since: now,
            before: 0,
            last: now,
        }
    }

    pub(super) fn draw(&mut self, amount: u64, now: Instant) {
        self.drawn = self.drawn.saturating_add(amount);
        self.last = now;
    }

    /// Begins another interval if this one has lasted long enough.
    pub(super) fn roll(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= RENEW {
            let drawn = u128::from(self.drawn) * RENEW.as_nanos() / elapsed.as_nanos().max(1);
            self.before = u64::try_from(drawn).unwrap_or(u64::MAX);
            self.drawn = 0;
            self.since = now;
        }
    }

    /// How much may be used until the store is asked again.
    pub(super) fn wish(&self) -> u64 {
        self.before.max(self.drawn)
    }
}

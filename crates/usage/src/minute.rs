//! The minutes of the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A minute of the clock, in UTC. All instances count the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minute(u64);

impl Minute {
    /// The minute that a moment is in. What is before 1970 is in the first.
    #[must_use]
    pub fn of(at: SystemTime) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since.as_secs() / 60)
    }

    /// The minute of that number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number, counted from the beginning of 1970.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// When it begins.
    #[must_use]
    pub fn start(self) -> SystemTime {
        let since = Duration::from_secs(self.0.saturating_mul(60));
        UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
    }

    /// So many minutes before.
    #[must_use]
    pub const fn minus(self, minutes: u64) -> Self {
        Self(self.0.saturating_sub(minutes))
    }
}

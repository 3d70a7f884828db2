//! A queue at one moment.

use std::time::Duration;

use ziggurat_core::Reason;

/// A queue at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// How many units may be in flight.
    pub capacity: usize,
    /// How many are, or are kept for a request that needs more than are free.
    pub in_use: usize,
    /// How many requests are in flight.
    pub in_flight: usize,
    /// How many wait.
    pub waiting: usize,
    /// How large they are.
    pub waiting_bytes: usize,
    /// How many have waited, and got their turn.
    pub waits: u64,
    /// How long those have waited, all together.
    pub waited: Duration,
    /// How long a request holds its turn, on average of late; `None` before the first has ended.
    pub mean_held: Option<Duration>,
}

/// What became of the requests of a class that did not go at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// How many wait.
    pub waiting: usize,
    /// How large they are.
    pub waiting_bytes: usize,
    /// How many have waited, and got their turn.
    pub waits: u64,
    /// How long those have waited, all together.
    pub waited: Duration,
    /// How many were refused since too many wait.
    pub refused_full: u64,
    /// How many were refused since their turn would have come after their deadline.
    pub refused_deadline: u64,
    /// How many were refused since their turn would have come after the longest time to wait.
    pub refused_busy: u64,
    /// How many were pushed out by those who stood before them.
    pub shed: u64,
    /// How many waited until their time was over.
    pub expired: u64,
    /// How many hung up while they waited.
    pub left: u64,
}

impl ClassStats {
    /// Those of two gates together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            waiting: self.waiting + other.waiting,
            waiting_bytes: self.waiting_bytes + other.waiting_bytes,
            waits: self.waits + other.waits,
            waited: self.waited + other.waited,
            refused_full: self.refused_full + other.refused_full,
            refused_deadline: self.refused_deadline + other.refused_deadline,
            refused_busy: self.refused_busy + other.refused_busy,
            shed: self.shed + other.shed,
            expired: self.expired + other.expired,
            left: self.left + other.left,
        }
    }
}

impl Stats {
    /// Those of two gates together. Of the times for which turns are held, the longer.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            capacity: self.capacity.saturating_add(other.capacity),
            in_use: self.in_use + other.in_use,
            in_flight: self.in_flight + other.in_flight,
            waiting: self.waiting + other.waiting,
            waiting_bytes: self.waiting_bytes + other.waiting_bytes,
            waits: self.waits + other.waits,
            waited: self.waited + other.waited,
            mean_held: self.mean_held.max(other.mean_held),
        }
    }
}

/// The account of a class.
#[derive(Debug, Default)]
pub(super) struct Book(pub(super) ClassStats);

impl Book {
    pub(super) const fn waits(&mut self, bytes: usize) {
        self.0.waiting += 1;
        self.0.waiting_bytes += bytes;
    }

    /// It waits no longer, and is counted when it looks.
    pub(super) const fn granted(&mut self, bytes: usize) {
        self.0.waiting -= 1;
        self.0.waiting_bytes -= bytes;
    }

    pub(super) fn went(&mut self, waited: Duration) {
        self.0.waits += 1;
        self.0.waited += waited;
    }

    pub(super) const fn refuse(&mut self, reason: Reason) {
        match reason {
            Reason::QueueFull => self.0.refused_full += 1,
            Reason::Deadline => self.0.refused_deadline += 1,
            _ => self.0.refused_busy += 1,
        }
    }

    pub(super) const fn shed(&mut self, bytes: usize) {
        self.granted(bytes);
        self.0.shed += 1;
    }

    pub(super) const fn left(&mut self, bytes: usize, is_over: bool) {
        self.granted(bytes);
        if is_over {
            self.0.expired += 1;
        } else {
            self.0.left += 1;
        }
    }
}

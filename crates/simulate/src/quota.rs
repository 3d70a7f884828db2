//! A provider's own limit on requests or tokens a minute.

/// A bucket that refills evenly and holds a minute's worth. Times are seconds since the beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    per_minute: f64,
    left: f64,
    at: f64,
}

impl Quota {
    pub(crate) fn new(per_minute: u64) -> Self {
        let per_minute = per_minute as f64;
        Self {
            per_minute,
            left: per_minute,
            at: 0.0,
        }
    }

    /// What is left now.
    pub(crate) fn left(&mut self, now: f64) -> f64 {
        let refill = (now - self.at) * self.per_minute / 60.0;
        self.left = (self.left + refill).min(self.per_minute);
        self.at = now;
        self.left
    }

    /// How many seconds until there is enough; zero if there is. More than a minute's worth waits
    /// for a whole one.
    pub(crate) fn wait(&mut self, amount: f64, now: f64) -> f64 {
        let missing = amount.min(self.per_minute) - self.left(now);
        missing.max(0.0) * 60.0 / self.per_minute
    }

    /// The limit itself.
    pub(crate) fn per_minute(&self) -> f64 {
        self.per_minute
    }

    /// How many seconds until all of it is left.
    pub(crate) fn whole_in(&mut self, now: f64) -> f64 {
        self.wait(self.per_minute, now)
    }

    pub(crate) fn take(&mut self, amount: f64) {
        self.left = (self.left - amount).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_a_minutes_worth_and_refills_evenly() {
        let mut quota = Quota::new(60);
        for _ in 0..60 {
            assert_eq!(quota.wait(1.0, 0.0), 0.0);
            quota.take(1.0);
        }
        assert_eq!(quota.wait(1.0, 0.0), 1.0);
        assert_eq!(quota.wait(1.0, 1.0), 0.0);
        assert_eq!(quota.left(1e6), 60.0, "it never holds more");
    }

    #[test]
    fn a_request_that_is_larger_than_the_limit_passes_when_all_of_it_is_left() {
        let mut quota = Quota::new(100);
        assert_eq!(quota.wait(500.0, 0.0), 0.0);
        quota.take(500.0);
        assert_eq!(quota.wait(500.0, 0.0), 60.0);
    }
}

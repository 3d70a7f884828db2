//! How much of one limit is used, by the algorithm its rate asks for.

use tokio::time::Instant;

use crate::{
    Rate,
    gcra::{Drained, Gcra},
    refused::Wait,
    sliding::{Place, Sliding},
};

/// How much of one limit is used.
#[derive(Clone, Debug, Default)]
pub(crate) enum Meter {
    #[default]
    Unused,
    Sliding(Sliding),
    Smooth(Gcra),
}

/// A charge that may be taken back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stamp {
    Sliding(Place),
    Smooth(Drained),
}

impl Meter {
    /// Takes on a rate; what has been used stays.
    pub(crate) fn follow(&mut self, rate: Rate, now: Instant) {
        match self {
            Self::Sliding(window) if !rate.is_smooth() => window.set(rate),
            Self::Smooth(bucket) if rate.is_smooth() => bucket.set(rate, now),
            other => {
                let used = other.used(now);
                *other = if rate.is_smooth() {
                    Self::Smooth(Gcra::new(rate, now))
                } else {
                    Self::Sliding(Sliding::new(rate, now))
                };
                if used > 0 {
                    other.charge(used, now);
                }
            }
        }
    }

    pub(crate) fn used(&mut self, now: Instant) -> u64 {
        match self {
            Self::Unused => 0,
            Self::Sliding(window) => window.used(now),
            Self::Smooth(bucket) => bucket.used(now),
        }
    }

    /// What has to be waited for until `amount` fits.
    pub(crate) fn wait(&mut self, amount: u64, now: Instant) -> Option<Wait> {
        match self {
            Self::Unused => None,
            Self::Sliding(window) => window.wait(amount, now),
            Self::Smooth(bucket) => bucket.wait(amount, now),
        }
    }

    /// Adds `amount`, whether it fits or not.
    pub(crate) fn charge(&mut self, amount: u64, now: Instant) -> Option<Stamp> {
        match self {
            Self::Unused => None,
            Self::Sliding(window) => Some(Stamp::Sliding(window.charge(amount, now))),
            Self::Smooth(bucket) => Some(Stamp::Smooth(bucket.charge(amount, now))),
        }
    }

    /// Takes back `amount` of a charge.
    ///
    /// What was charged before the rate asked for the other algorithm stays.
    pub(crate) fn refund(&mut self, stamp: Stamp, amount: u64, now: Instant) {
        match (self, stamp) {
            (Self::Sliding(window), Stamp::Sliding(place)) => window.refund(place, amount, now),
            (Self::Smooth(bucket), Stamp::Smooth(drained)) => bucket.refund(drained, amount, now),
            _ => {}
        }
    }

    /// Makes `reserved`, charged with that stamp, be `actual`: what was too much is taken back from
    /// where it was charged, what was too little is charged now.
    pub(crate) fn correct(&mut self, stamp: Stamp, reserved: u64, actual: u64, now: Instant) {
        if actual > reserved {
            self.charge(actual - reserved, now);
        } else if actual < reserved {
            self.refund(stamp, reserved - actual, now);
        }
    }

    /// When nothing is used any more.
    pub(crate) fn empty_at(&mut self, now: Instant) -> Instant {
        match self {
            Self::Unused => now,
            Self::Sliding(window) => window.empty_at(now),
            Self::Smooth(bucket) => bucket.empty_at(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_turns_smooth_or_back_loses_no_count() {
        let now = Instant::now();
        let mut meter = Meter::default();
        meter.follow(Rate::per_minute(5), now);
        meter.charge(3, now);
        meter.follow(Rate::per_minute(5).smooth(), now);
        assert_eq!(meter.used(now), 3);
        meter.follow(Rate::per_minute(5), now);
        assert_eq!(meter.used(now), 3);
        assert!(meter.wait(2, now).is_none() && meter.wait(3, now).is_some());
    }
}

//! How much of one limit is used, by the algorithm its rate asks for.

use tokio::time::Instant;

use crate::{
    Limit, Window,
    fixed::{Fixed, Number},
    gcra::{Drained, Gcra},
    places::Places,
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
    Fixed(Fixed),
    Places(Places),
}

/// A charge that may be taken back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stamp {
    Sliding(Place),
    Smooth(Drained),
    Fixed(Number),
    Place,
}

impl Meter {
    /// Takes on a limit; what has been used stays.
    pub(crate) fn follow(&mut self, limit: &Limit, now: Instant) {
        let amount = limit.amount();
        match (&mut *self, limit.window()) {
            (Self::Sliding(it), Window::Sliding(per)) => it.set(amount, per),
            (Self::Smooth(it), Window::Smooth(per)) => it.set(amount, per, now),
            (Self::Fixed(it), Window::Fixed(period)) => it.set(amount, period, now),
            (Self::Places(it), Window::AtOnce) => it.set(amount),
            (other, window) => {
                let used = other.used(now);
                *other = match window {
                    Window::Sliding(per) => Self::Sliding(Sliding::new(amount, per, now)),
                    Window::Smooth(per) => Self::Smooth(Gcra::new(amount, per, now)),
                    Window::Fixed(period) => Self::Fixed(Fixed::new(amount, period)),
                    Window::AtOnce => Self::Places(Places::new(amount)),
                };
                if used > 0 && window != Window::AtOnce {
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
            Self::Fixed(period) => period.used(now),
            Self::Places(places) => places.used(),
        }
    }

    /// What has to be waited for until `amount` fits.
    pub(crate) fn wait(&mut self, amount: u64, now: Instant) -> Option<Wait> {
        match self {
            Self::Unused => None,
            Self::Sliding(window) => window.wait(amount, now),
            Self::Smooth(bucket) => bucket.wait(amount, now),
            Self::Fixed(period) => period.wait(amount, now),
            Self::Places(places) => places.wait(amount),
        }
    }

    /// Adds `amount`, whether it fits or not.
    pub(crate) fn charge(&mut self, amount: u64, now: Instant) -> Option<Stamp> {
        match self {
            Self::Unused => None,
            Self::Sliding(window) => Some(Stamp::Sliding(window.charge(amount, now))),
            Self::Smooth(bucket) => Some(Stamp::Smooth(bucket.charge(amount, now))),
            Self::Fixed(period) => Some(Stamp::Fixed(period.charge(amount, now))),
            Self::Places(places) => {
                places.take(amount);
                Some(Stamp::Place)
            }
        }
    }

    /// Takes back `amount` of a charge.
    ///
    /// What was charged before the rate asked for the other algorithm stays.
    pub(crate) fn refund(&mut self, stamp: Stamp, amount: u64, now: Instant) {
        match (self, stamp) {
            (Self::Sliding(window), Stamp::Sliding(place)) => window.refund(place, amount, now),
            (Self::Smooth(bucket), Stamp::Smooth(drained)) => bucket.refund(drained, amount, now),
            (Self::Fixed(period), Stamp::Fixed(number)) => period.refund(number, amount, now),
            (Self::Places(places), Stamp::Place) => places.give_back(amount),
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

    /// Forgets all but that much. Of a period, charges that were made keep their number.
    pub(crate) fn restart(&mut self, used: u64, now: Instant) {
        match self {
            Self::Fixed(period) => period.restart(used, now),
            Self::Places(_) => {}
            other => {
                other.clear();
                if used > 0 {
                    other.charge(used, now);
                }
            }
        }
    }

    /// When nothing is used any more.
    pub(crate) fn empty_at(&mut self, now: Instant) -> Option<Instant> {
        Some(match self {
            Self::Unused => now,
            Self::Sliding(window) => window.empty_at(now),
            Self::Smooth(bucket) => bucket.empty_at(now),
            Self::Fixed(period) => return period.empty_at(now),
            Self::Places(_) => return None,
        })
    }

    /// Forgets what was used; what is in flight stays.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::Sliding(window) => window.clear(),
            Self::Smooth(bucket) => bucket.clear(),
            Self::Fixed(period) => period.clear(),
            Self::Unused | Self::Places(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Measure, Rate};

    #[test]
    fn a_rate_that_turns_smooth_or_back_loses_no_count() {
        let now = Instant::now();
        let mut meter = Meter::default();
        let rough = Rate::per_minute(5).of(Measure::Tokens);
        let smooth = Rate::per_minute(5).smooth().of(Measure::Tokens);
        meter.follow(&rough, now);
        meter.charge(3, now);
        meter.follow(&smooth, now);
        assert_eq!(meter.used(now), 3);
        meter.follow(&rough, now);
        assert_eq!(meter.used(now), 3);
        assert!(meter.wait(2, now).is_none() && meter.wait(3, now).is_some());
    }
}

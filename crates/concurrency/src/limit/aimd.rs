//! Learns from refusals: additive increase, multiplicative decrease.

use std::time::Duration;

use tokio::time::Instant;

use super::{Tried, whole};
use crate::bounds::Bounds;

/// What is left of the number that was too many. Vector and Netflix take the same; TCP's half would
/// refuse many for one sign, and nothing here is lost by too small a cut but another refusal.
const DECREASE: f64 = 0.9;

/// How fast the limit rises, in places per cubed second. CUBIC has 0.4 for round trips of a tenth of
/// a second; here that would meet the limit of a provider every second. By this one that has eight
/// places says no about once in ten seconds, and what was cut from a thousand is back in 47.
const GROWTH: f64 = 0.001;

/// For how long before it an answer shows that all places were used.
const VOUCHED: Duration = Duration::from_secs(10);

/// A limit that is cut to nine tenths of what was in flight when that was too much, and rises along
/// the curve of CUBIC (RFC 9438, section 4.2) for as long as it is used up: the time without such use
/// does not count (section 5.8).
///
/// Attempts that began before a cut do not cut again, as TCP cuts once for a window (RFC 6582).
///
/// Whoever refuses one of the first few places refuses for another reason than how many they are: a
/// quota is used up, or nobody is there. That takes back a cut that no answer has followed, and those
/// who began before it cut nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aimd {
    limit: f64,
    is_new: bool,
    cut: Option<Cut>,
    /// When one of the first few places was refused.
    refused_few: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Cut {
    at: Instant,
    /// What it was before this and the cuts right before it.
    before: f64,
    /// What it was cut to.
    to: f64,
    /// What was too much when this and the cuts right before it began.
    knee: f64,
    /// Whether there was an answer since.
    is_over: bool,
    /// For how long all places have been in use since.
    used: Duration,
    /// Until when that has been counted.
    counted: Instant,
}

impl Aimd {
    pub(super) const fn new(limit: f64) -> Self {
        Self {
            limit,
            is_new: true,
            cut: None,
            refused_few: None,
        }
    }

    pub(super) fn within(self, bounds: &Bounds) -> Self {
        Self {
            limit: bounds.clamp(self.limit),
            ..self
        }
    }

    pub(super) fn get(&self) -> u32 {
        whole(self.limit)
    }

    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    pub(super) fn overloaded(
        &mut self,
        tried: Tried,
        in_flight: u32,
        now: Instant,
        bounds: &Bounds,
    ) {
        if in_flight <= bounds.min {
            if let Some(cut) = self.cut.take_if(|cut| !cut.is_over) {
                self.limit = bounds.clamp(cut.before);
            }
            self.refused_few = Some(now);
            return;
        }
        let is_old = self.cut.is_some_and(|cut| tried.began < cut.at)
            || self.refused_few.is_some_and(|at| tried.began <= at);
        if is_old {
            return;
        }
        let too_many = f64::from(in_flight);
        let to = bounds.clamp(too_many * DECREASE);
        if to >= self.limit {
            return;
        }
        // One cut after another is one fall, from the height of the first.
        let (before, knee) = match self.cut {
            Some(cut) if !cut.is_over => (cut.before, cut.knee.max(too_many)),
            _ => (self.limit, too_many),
        };
        self.limit = to;
        self.is_new = false;
        self.cut = Some(Cut {
            at: now,
            before,
            to,
            knee,
            is_over: false,
            used: Duration::ZERO,
            counted: now,
        });
    }

    pub(super) fn answered(&mut self, tried: Tried, took: Duration, bounds: &Bounds) {
        let is_used_up = tried.place >= self.get();
        let target = match &mut self.cut {
            Some(cut) if tried.began < cut.at => return,
            Some(cut) => {
                cut.is_over = true;
                if !is_used_up {
                    return;
                }
                let now = tried.began + took;
                cut.used += now.saturating_duration_since(cut.counted).min(VOUCHED);
                cut.counted = cut.counted.max(now);
                cut.target()
            }
            None if is_used_up => f64::INFINITY,
            None => return,
        };
        // At most twice as much in the time that an answer takes, as in TCP's slow start.
        let risen = bounds.clamp(target.clamp(self.limit, self.limit + 1.0));
        self.is_new &= risen == self.limit;
        self.limit = risen;
    }
}

impl Cut {
    /// What CUBIC's curve says now.
    fn target(&self) -> f64 {
        let to_knee = ((self.knee - self.to).max(0.0) / GROWTH).cbrt();
        GROWTH * (self.used.as_secs_f64() - to_knee).powi(3) + self.knee
    }
}

//! How many attempts may be in flight.

mod aimd;
mod gradient;
#[cfg(test)]
mod simulation;

use std::time::Duration;

use tokio::time::Instant;
use ziggurat_core::ConcurrencyMode;

use self::{aimd::Aimd, gradient::Gradient};
use crate::bounds::Bounds;

/// Which answers take alike long to their first content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    InOnePiece,
}

/// An attempt, as far as a limit learns from it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    /// How many were in flight when it began, with itself.
    pub(crate) place: u32,
    pub(crate) began: Instant,
}

/// The limit of one deployment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    bounds: Bounds,
    aimd: Aimd,
    gradient: Gradient,
}

impl Limit {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let initial = f64::from(match bounds.mode {
            // A second limit is not to hold back the first.
            ConcurrencyMode::Gradient => bounds.max,
            _ => bounds.initial,
        });
        Self {
            bounds,
            aimd: Aimd::new(initial),
            gradient: Gradient::new(f64::from(bounds.initial)),
        }
    }

    /// The same with other bounds. Of a limit that is found in another way nothing is kept.
    pub(crate) fn within(self, bounds: Bounds) -> Self {
        if bounds == self.bounds {
            return self;
        }
        if bounds.mode != self.bounds.mode || self.is_new() {
            return Self::new(bounds);
        }
        Self {
            bounds,
            aimd: self.aimd.within(&bounds),
            gradient: self.gradient.within(&bounds),
        }
    }

    pub(crate) fn keep_to(&mut self, bounds: Bounds) {
        if bounds != self.bounds {
            *self = self.within(bounds);
        }
    }

    /// The limit; `None` for none.
    pub(crate) fn get(&self) -> Option<u32> {
        match self.bounds.mode {
            ConcurrencyMode::Off => None,
            ConcurrencyMode::Fixed => Some(self.bounds.max),
            ConcurrencyMode::Gradient => Some(self.aimd.get().min(self.gradient.get())),
            _ => Some(self.aimd.get()),
        }
    }

    /// Whether it learns at all.
    pub(crate) fn learns(&self) -> bool {
        !matches!(
            self.bounds.mode,
            ConcurrencyMode::Off | ConcurrencyMode::Fixed
        )
    }

    /// Whether it has learned nothing yet.
    pub(crate) fn is_new(&self) -> bool {
        self.aimd.is_new() && self.gradient.is_new()
    }

    /// An answer has begun, so long after the attempt.
    pub(crate) fn answered(&mut self, tried: Tried, took: Duration, kind: Kind) {
        if !self.learns() {
            return;
        }
        self.aimd.answered(tried, took, &self.bounds);
        if self.bounds.mode == ConcurrencyMode::Gradient {
            self.gradient.answered(tried, took, kind, &self.bounds);
        }
    }

    /// The attempt says that so many in flight are too many.
    pub(crate) fn overloaded(&mut self, tried: Tried, in_flight: u32, now: Instant) {
        if self.learns() {
            self.aimd.overloaded(tried, in_flight, now, &self.bounds);
        }
    }
}

/// The places of a limit that is no whole number.
fn whole(limit: f64) -> u32 {
    // Both learned limits are within their bounds, which are of this type.
    limit as u32
}

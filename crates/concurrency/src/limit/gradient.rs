//! Learns from the time to the first content.

use std::time::Duration;

use super::{Kind, Tried, whole};
use crate::bounds::Bounds;

/// How many times as late as when hardly anything is in flight first contents may be, as in
/// Gradient2.
const TOLERANCE: f64 = 1.5;

/// The part of the way to what follows from an answer, as in Gradient2.
const SMOOTHING: f64 = 0.2;

/// The weight of an answer in the mean of the last ones.
const LATELY: f64 = 1.0 / 8.0;

/// The weight of an answer in the mean of those that came when hardly anything was in flight.
const UNLOADED: f64 = 1.0 / 16.0;

/// Shorter times are no longer than this: what comes from a cache or a mock.
const SHORTEST: f64 = 1e-3;

/// The limit of Netflix's Gradient2: the limit times the ratio of the time without load to the time
/// lately, plus the square root of the limit for what may wait.
///
/// Gradient2 takes a long mean for the time without load, which rises with a load that lasts, and the
/// limit with it. Here it is learned, as the base time of TCP Vegas, from attempts that had at most
/// `min` places in flight with them. Where the limit has fallen to that, the time lately is the time
/// without load: so it rises again at a provider that is slower now than it was.
///
/// Means are geometric: first contents are late by factors, and a single one that is a hundred times
/// as late weighs little.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gradient {
    limit: f64,
    streams: Option<Times>,
    in_one_piece: Option<Times>,
}

/// Logarithms of seconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    unloaded: f64,
    lately: f64,
}

impl Gradient {
    pub(super) const fn new(limit: f64) -> Self {
        Self {
            limit,
            streams: None,
            in_one_piece: None,
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
        self.streams.is_none() && self.in_one_piece.is_none()
    }

    pub(super) fn answered(&mut self, tried: Tried, took: Duration, kind: Kind, bounds: &Bounds) {
        let is_used_up = tried.place >= self.get();
        let is_half_used = tried.place >= self.get().div_ceil(2);
        let ratio = self.learn(tried, took, kind, bounds);
        // Where few are in flight it is not they that make it slow.
        if !is_half_used || ratio >= 1.0 && !is_used_up {
            return;
        }
        let waiting = match is_used_up {
            true => self.limit.sqrt(),
            false => 0.0,
        };
        let follows = self.limit * ratio + waiting;
        self.limit = bounds.clamp(self.limit + SMOOTHING * (follows - self.limit));
    }

    /// The part of the limit that is left by the times: from a half to the whole.
    fn learn(&mut self, tried: Tried, took: Duration, kind: Kind, bounds: &Bounds) -> f64 {
        let is_lowest = self.get() <= bounds.min;
        let time = took.as_secs_f64().max(SHORTEST).ln();
        let times = match kind {
            Kind::Stream => &mut self.streams,
            Kind::InOnePiece => &mut self.in_one_piece,
        };
        let times = times.get_or_insert(Times {
            unloaded: time,
            lately: time,
        });
        times.lately += LATELY * (time - times.lately);
        if is_lowest && times.lately > times.unloaded {
            times.unloaded = times.lately;
        } else if tried.place <= bounds.min {
            times.unloaded += UNLOADED * (time - times.unloaded);
        }
        let ratio = (times.unloaded - times.lately).exp();
        (TOLERANCE * ratio).clamp(0.5, 1.0)
    }
}

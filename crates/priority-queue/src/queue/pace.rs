//! How fast turns end.

use std::time::Duration;

/// How much the newest turn weighs at least: the mean follows what has changed within some hundred
/// turns, and chance moves it by less than a tenth.
const GAIN: f64 = 1.0 / 64.0;

/// How long turns are held, on average of late.
///
/// The first turns count alike; after that the newest weighs a sixty-fourth. By Little's law (1961) a
/// capacity of `n` units, each of which is held for a mean time, frees one every `mean / n`. A turn of
/// many units counts for as many.
#[derive(Debug, Default)]
pub(super) struct Pace {
    turns: u64,
    held: f64,
    units: f64,
    held_by_units: f64,
}

impl Pace {
    pub(super) fn note(&mut self, held: Duration, units: usize) {
        self.turns += 1;
        let gain = (1.0 / self.turns as f64).max(GAIN);
        let (held, units) = (held.as_secs_f64(), units as f64);
        self.held += (held - self.held) * gain;
        self.units += (units - self.units) * gain;
        self.held_by_units += (held * units - self.held_by_units) * gain;
    }

    /// How long a turn is held; `None` before the first has ended.
    pub(super) fn of_turn(&self) -> Option<f64> {
        (self.turns > 0).then_some(self.held)
    }

    /// How long a unit is held.
    pub(super) fn of_unit(&self) -> Option<f64> {
        (self.turns > 0).then(|| self.held_by_units / self.units)
    }
}

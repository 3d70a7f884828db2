//! A moving average that rises at once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Track;

/// Seconds, and the millisecond of the last sample (modulo 2³²), in one word.
///
/// A sample over the average becomes the average; one below moves it the further the longer the
/// last one is ago. Without samples it falls towards zero, so that a deployment that was slow is
/// asked again. Source: the peak EWMA of Finagle and linkerd, which weigh a sample by the time since
/// the last one.
#[derive(Debug, Default)]
pub(crate) struct Peak(AtomicU64);

impl Peak {
    pub(crate) fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    pub(crate) fn observe(&self, track: &Track, seconds: f32, now: u64) {
        let Some(decay) = track.decay() else { return };
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
            let (average, weight) = (seconds_of(word), weight(word, decay, now));
            let next = if seconds > average {
                seconds
            } else {
                average.mul_add(weight, seconds * (1.0 - weight))
            };
            Some(pack(next, now))
        });
    }

    /// The average as it has fallen since the last sample, in seconds.
    pub(crate) fn get(&self, decay: f32, now: u64) -> f32 {
        let word = self.0.load(Relaxed);
        seconds_of(word) * weight(word, decay, now)
    }
}

fn pack(seconds: f32, now: u64) -> u64 {
    u64::from(seconds.to_bits()) << 32 | now & u64::from(u32::MAX)
}

fn seconds_of(word: u64) -> f32 {
    f32::from_bits((word >> 32) as u32)
}

/// What the average still counts for.
fn weight(word: u64, decay: f32, now: u64) -> f32 {
    let elapsed = (now as u32).wrapping_sub(word as u32);
    if elapsed > u32::MAX / 2 {
        // Another thread was a little later.
        return 1.0;
    }
    (-(elapsed as f32 / 1_000.0) / decay).exp()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const TRACK: fn() -> Track =
        || Track::default().peak_ewma(Duration::from_secs(10), Duration::ZERO);

    #[test]
    fn it_rises_at_once_and_falls_with_time() {
        let peak = Peak::default();
        peak.observe(&TRACK(), 2.0, 0);
        assert_eq!(peak.get(10.0, 0), 2.0);
        assert!((peak.get(10.0, 10_000) - 2.0 / std::f32::consts::E).abs() < 1e-5);
        peak.observe(&TRACK(), 1.0, 10_000);
        let expected = 1.0 + 1.0 / std::f32::consts::E;
        assert!((peak.get(10.0, 10_000) - expected).abs() < 1e-5);
        peak.observe(&TRACK(), 5.0, 10_001);
        assert_eq!(peak.get(10.0, 10_001), 5.0);
    }

    #[test]
    fn nobody_asked_for_it_and_nothing_is_kept() {
        let peak = Peak::default();
        peak.observe(&Track::default(), 2.0, 0);
        assert_eq!(peak.get(10.0, 0), 0.0);
    }

    proptest! {
        #[test]
        fn it_is_what_the_formula_says_in_f64(
            samples in prop::collection::vec((0..60_000_u64, 0.0..100.0_f32), 1..50),
        ) {
            let peak = Peak::default();
            let (mut now, mut model) = (u64::from(u32::MAX) - 100_000, 0.0_f64);
            for (later, seconds) in samples {
                let weight = if model == 0.0 { 0.0 } else { (-(later as f64) / 10_000.0).exp() };
                now += later;
                peak.observe(&TRACK(), seconds, now);
                let seconds = f64::from(seconds);
                model = if seconds > model {
                    seconds
                } else {
                    model.mul_add(weight, seconds * (1.0 - weight))
                };
                prop_assert!((f64::from(peak.get(10.0, now)) - model).abs() <= 1e-3 * model.max(1.0));
            }
        }
    }
}

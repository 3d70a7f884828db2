//! How long the latest answers took.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use crate::{Awaits, Track};

/// After how many seconds without a sample a list is old news.
pub(crate) const STALE: u64 = 60;

const KINDS: [Awaits; 3] = [Awaits::FirstToken, Awaits::Tokens, Awaits::Answer];

/// The latest latencies of a deployment, a list for each unit, and the summary of each in a word.
///
/// The lists are touched at settlement; who chooses reads one word.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    /// Seconds, how many samples they are of, and the second at which they are too old.
    summaries: [AtomicU64; 3],
    lists: Mutex<[List; 3]>,
}

#[derive(Debug, Default)]
struct List(VecDeque<Sample>);

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// The second at which it was taken.
    at: u64,
    /// Infinite if the attempt failed.
    seconds: f32,
}

/// The summary of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    /// The time it takes until an attempt succeeds, in seconds.
    pub(crate) seconds: f32,
    /// For how many more seconds it holds.
    pub(crate) holds: u64,
    /// How many attempts it is of, at most 15.
    pub(crate) samples: u32,
}

/// The number of samples takes the place of the last bits of the seconds, which do not matter.
const SAMPLES: u32 = 15;

impl Latencies {
    pub(crate) fn reset(&self) {
        let mut lists = self.lists.lock();
        *lists = Default::default();
        self.summaries
            .iter()
            .for_each(|word| word.store(0, Relaxed));
    }

    pub(crate) fn add(&self, track: &Track, kind: Awaits, seconds: f32, now: u64) {
        if track.list() > 0 && seconds.is_finite() {
            let mut lists = self.lists.lock();
            self.push(&mut lists, track, kind, seconds, now);
        }
    }

    /// An attempt failed: nobody knows in which unit it would have been measured, so it counts in
    /// all that are in use.
    pub(crate) fn fail(&self, track: &Track, now: u64) {
        if track.list() == 0 {
            return;
        }
        let mut lists = self.lists.lock();
        for kind in KINDS {
            if !lists[kind as usize].0.is_empty() {
                self.push(&mut lists, track, kind, f32::INFINITY, now);
            }
        }
    }

    fn push(&self, lists: &mut [List; 3], track: &Track, kind: Awaits, seconds: f32, now: u64) {
        let list = &mut lists[kind as usize];
        let at = now / 1_000;
        list.push(Sample { at, seconds }, track.list(), track.ttl_secs());
        let word = list.summary(track.quantile_of(kind)).map_or(0, |seconds| {
            let end = at + track.ttl_secs();
            let samples = (list.0.len() as u32).min(SAMPLES);
            let bits = seconds.to_bits() & !SAMPLES | samples;
            u64::from(bits) << 32 | end.min(u64::from(u32::MAX))
        });
        self.summaries[kind as usize].store(word, Relaxed);
    }

    pub(crate) fn get(&self, kind: Awaits, now: u64) -> Option<Summary> {
        let word = self.summaries[kind as usize].load(Relaxed);
        let end = word & u64::from(u32::MAX);
        let holds = end.saturating_sub(now / 1_000);
        let bits = (word >> 32) as u32;
        (holds > 0).then(|| Summary {
            seconds: f32::from_bits(bits & !SAMPLES),
            holds,
            samples: bits & SAMPLES,
        })
    }
}

impl List {
    fn push(&mut self, sample: Sample, longest: usize, ttl_secs: u64) {
        // What was slow a while ago may have recovered: the first that is new says more.
        if self
            .0
            .back()
            .is_some_and(|last| last.at + STALE <= sample.at)
        {
            self.0.clear();
        }
        let is_old = |old: &Sample| old.at + ttl_secs <= sample.at;
        while self.0.len() >= longest || self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// The mean or quantile of those that succeeded, times the attempts that a success takes;
    /// `None` if none did.
    fn summary(&self, quantile: Option<f32>) -> Option<f32> {
        let good = || self.0.iter().map(|s| s.seconds).filter(|s| s.is_finite());
        let count = good().count();
        if count == 0 {
            return None;
        }
        let one = match quantile {
            None => good().sum::<f32>() / count as f32,
            Some(quantile) => {
                let mut sorted: smallvec::SmallVec<[f32; 32]> = good().collect();
                let rank = (quantile * count as f32).ceil() as usize;
                let rank = rank.clamp(1, count) - 1;
                *sorted.select_nth_unstable_by(rank, f32::total_cmp).1
            }
        };
        Some(one * self.0.len() as f32 / count as f32)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn track() -> Track {
        Track::default().latencies(4, Duration::from_secs(60))
    }

    fn seconds(latencies: &Latencies, kind: Awaits, now: u64) -> Option<f32> {
        latencies.get(kind, now).map(|summary| summary.seconds)
    }

    #[test]
    fn units_are_never_mixed() {
        let latencies = Latencies::default();
        latencies.add(&track(), Awaits::FirstToken, 2.0, 0);
        latencies.add(&track(), Awaits::Tokens, 0.5, 0);
        assert_eq!(seconds(&latencies, Awaits::FirstToken, 0), Some(2.0));
        assert_eq!(seconds(&latencies, Awaits::Tokens, 0), Some(0.5));
        assert_eq!(seconds(&latencies, Awaits::Answer, 0), None);
        let samples = |unit| latencies.get(unit, 0).map(|summary| summary.samples);
        latencies.add(&track(), Awaits::Tokens, 0.5, 0);
        assert_eq!(samples(Awaits::FirstToken), Some(1));
        assert_eq!(samples(Awaits::Tokens), Some(2));
    }

    #[test]
    fn a_failure_makes_an_answer_cost_more_and_nothing_but_failures_is_nothing_known() {
        let latencies = Latencies::default();
        latencies.fail(&track(), 0);
        assert_eq!(seconds(&latencies, Awaits::Answer, 0), None);
        latencies.add(&track(), Awaits::Answer, 3.0, 0);
        latencies.fail(&track(), 0);
        assert_eq!(seconds(&latencies, Awaits::Answer, 0), Some(6.0));
        (0..3).for_each(|_| latencies.fail(&track(), 0));
        assert_eq!(seconds(&latencies, Awaits::Answer, 0), None);
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        let latencies = Latencies::default();
        latencies.add(&track(), Awaits::Answer, 3.0, 0);
        assert_eq!(seconds(&latencies, Awaits::Answer, 59_999), Some(3.0));
        assert_eq!(seconds(&latencies, Awaits::Answer, 60_000), None);
        latencies.add(&track(), Awaits::Answer, 1.0, 60_000);
        assert_eq!(seconds(&latencies, Awaits::Answer, 60_000), Some(1.0));
    }

    #[test]
    fn after_a_minute_of_silence_the_first_new_one_counts_alone() {
        let latencies = Latencies::default();
        let track = Track::default().latencies(4, Duration::from_secs(3_600));
        latencies.add(&track, Awaits::Answer, 9.0, 0);
        assert_eq!(seconds(&latencies, Awaits::Answer, 3_000_000), Some(9.0));
        latencies.add(&track, Awaits::Answer, 1.0, 60_000);
        assert_eq!(seconds(&latencies, Awaits::Answer, 60_000), Some(1.0));
        latencies.add(&track, Awaits::Answer, 3.0, 119_000);
        assert_eq!(seconds(&latencies, Awaits::Answer, 119_000), Some(2.0));
    }

    proptest! {
        #[test]
        fn the_summary_is_what_a_naive_reading_of_the_list_gives(
            samples in prop::collection::vec((0..30_u64, prop::option::of(0.0..9.0_f32)), 1..40),
            quantile in prop::option::of(0.01..1.0_f64),
        ) {
            let mut track = track();
            if let Some(quantile) = quantile {
                track = track.quantile(Awaits::FirstToken, quantile);
            }
            let latencies = Latencies::default();
            let (mut now, mut model) = (0, Vec::new());
            for (later, sample) in samples {
                now += later;
                match sample {
                    Some(sample) => latencies.add(&track, Awaits::FirstToken, sample, now * 1_000),
                    None => latencies.fail(&track, now * 1_000),
                }
                if sample.is_some() || !model.is_empty() {
                    model.push((now, sample));
                }
                model.retain(|(at, _)| at + 60 > now);
                if model.len() > 4 {
                    model.remove(0);
                }
                let mut good: Vec<f32> = model.iter().filter_map(|(_, s)| *s).collect();
                good.sort_by(f32::total_cmp);
                let expected = (!good.is_empty()).then(|| {
                    let one = match quantile {
                        None => good.iter().sum::<f32>() / good.len() as f32,
                        Some(q) => good[((q as f32 * good.len() as f32).ceil() as usize).clamp(1, good.len()) - 1],
                    };
                    one * model.len() as f32 / good.len() as f32
                });
                let found = seconds(&latencies, Awaits::FirstToken, now * 1_000);
                prop_assert_eq!(found.is_some(), expected.is_some());
                let (found, expected) = (found.unwrap_or(0.0), expected.unwrap_or(0.0));
                prop_assert!((found - expected).abs() < 1e-4, "{found} {expected}");
            }
        }
    }
}

//! How long answers are, and how much of their input was cached.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use ziggurat_core::Usage;

/// How much one answer counts for.
const WEIGHT: f32 = 1.0 / 16.0;

/// Moving averages of the output tokens and of all tokens of an answer, in one word; and of the part
/// of the input that the provider had cached.
#[derive(Debug, Default)]
pub(crate) struct Means {
    tokens: AtomicU64,
    cached: AtomicU32,
}

impl Means {
    pub(crate) fn reset(&self) {
        self.tokens.store(0, Relaxed);
        self.cached.store(0, Relaxed);
    }

    pub(crate) fn add(&self, usage: &Usage) {
        let (output, total) = (usage.output, usage.total());
        let is_first = self.tokens.load(Relaxed) == 0;
        let cached = usage.cached_input as f32 / usage.input.max(1) as f32;
        let _ = self.cached.fetch_update(Relaxed, Relaxed, |word| {
            let mean = f32::from_bits(word);
            let next = WEIGHT.mul_add(cached - mean, mean);
            Some(
                if is_first { cached } else { next }
                    .clamp(0.0, 1.0)
                    .to_bits(),
            )
        });
        let _ = self.tokens.fetch_update(Relaxed, Relaxed, |word| {
            let next = |mean: f32, value: u64| match word {
                0 => value as f32,
                _ => WEIGHT.mul_add(value as f32 - mean, mean),
            };
            let (mean_output, mean_total) = unpack(word);
            let output = next(mean_output, output).to_bits();
            let total = next(mean_total, total).max(f32::MIN_POSITIVE).to_bits();
            Some(u64::from(output) << 32 | u64::from(total))
        });
    }

    /// The output tokens.
    pub(crate) fn output(&self) -> Option<f32> {
        let word = self.tokens.load(Relaxed);
        (word != 0).then(|| unpack(word).0)
    }

    /// The part of the input that was cached, from 0 to 1.
    pub(crate) fn cached(&self) -> f32 {
        f32::from_bits(self.cached.load(Relaxed))
    }

    /// All tokens.
    pub(crate) fn total(&self) -> Option<f32> {
        let word = self.tokens.load(Relaxed);
        (word != 0).then(|| unpack(word).1)
    }
}

fn unpack(word: u64) -> (f32, f32) {
    let half = |bits: u64| f32::from_bits(bits as u32);
    (half(word >> 32), half(word & u64::from(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_is_the_mean_and_later_ones_move_it() {
        let means = Means::default();
        assert_eq!((means.output(), means.total()), (None, None));
        means.add(&Usage::new(16, 16));
        assert_eq!((means.output(), means.total()), (Some(16.0), Some(32.0)));
        means.add(&Usage::new(0, 32));
        assert_eq!((means.output(), means.total()), (Some(17.0), Some(32.0)));
    }

    #[test]
    fn what_was_cached_is_a_part_of_the_input() {
        let means = Means::default();
        let mut usage = Usage::new(100, 1);
        usage.cached_input = 80;
        means.add(&usage);
        assert_eq!(means.cached(), 0.8);
        means.add(&Usage::new(100, 1));
        assert_eq!(means.cached(), 0.75);
    }

    #[test]
    fn an_answer_of_no_tokens_is_known() {
        let means = Means::default();
        means.add(&Usage::new(0, 0));
        assert_eq!(means.output(), Some(0.0));
    }
}

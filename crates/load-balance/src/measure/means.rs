//! How long answers are.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How much one answer counts for.
const WEIGHT: f32 = 1.0 / 16.0;

/// Moving averages of the output tokens and of all tokens of an answer, in one word.
#[derive(Debug, Default)]
pub(crate) struct Means(AtomicU64);

impl Means {
    pub(crate) fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    pub(crate) fn add(&self, output: u64, total: u64) {
        let _ = self.0.fetch_update(Relaxed, Relaxed, |word| {
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
        let word = self.0.load(Relaxed);
        (word != 0).then(|| unpack(word).0)
    }

    /// All tokens.
    pub(crate) fn total(&self) -> Option<f32> {
        let word = self.0.load(Relaxed);
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
        means.add(16, 32);
        assert_eq!((means.output(), means.total()), (Some(16.0), Some(32.0)));
        means.add(32, 32);
        assert_eq!((means.output(), means.total()), (Some(17.0), Some(32.0)));
    }

    #[test]
    fn an_answer_of_no_tokens_is_known() {
        let means = Means::default();
        means.add(0, 0);
        assert_eq!(means.output(), Some(0.0));
    }
}

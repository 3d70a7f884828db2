//! Vectors of one length, and how near they are.

use std::{error::Error, fmt, sync::Arc};

/// The most numbers that a vector may have.
const LONGEST: usize = 16_384;

/// The direction of an embedding: its numbers, brought to length 1.
#[derive(Clone, PartialEq)]
pub struct Vector(Arc<[f32]>);

impl Vector {
    /// The direction of these numbers; `None` if they have none, if one is not finite, or if there
    /// are more than 16,384.
    #[must_use]
    pub fn new(mut numbers: Vec<f32>) -> Option<Self> {
        if numbers.len() > LONGEST {
            return None;
        }
        let square: f64 = numbers.iter().map(|n| f64::from(*n) * f64::from(*n)).sum();
        let length = square.sqrt();
        if !length.is_finite() || length <= f64::MIN_POSITIVE {
            return None;
        }
        for number in &mut numbers {
            *number = (f64::from(*number) / length) as f32;
        }
        Some(Self(numbers.into()))
    }

    /// The numbers: of length 1, but for rounding.
    #[must_use]
    pub fn numbers(&self) -> &[f32] {
        &self.0
    }

    /// The cosine of the angle between two; `None` if they are of different models, by their number
    /// of numbers.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> Option<f32> {
        if self.0.len() != other.0.len() {
            return None;
        }
        let ((a, rest_a), (b, rest_b)) = (self.0.as_chunks::<8>(), other.0.as_chunks::<8>());
        // Eight sums at a time, which a processor adds up together.
        let mut sums = [0.0_f32; 8];
        for (a, b) in a.iter().zip(b) {
            for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                *sum += a * b;
            }
        }
        let rest = rest_a.iter().zip(rest_b).map(|(a, b)| a * b);
        Some(sums.into_iter().chain(rest).sum())
    }
}

impl fmt::Debug for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vector({} numbers)", self.0.len())
    }
}

/// How alike two questions must be for one answer: a cosine over 0 and up to 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Threshold(f32);

impl Threshold {
    /// That threshold.
    ///
    /// # Errors
    ///
    /// If it is not over 0, or over 1.
    pub fn new(cosine: f32) -> Result<Self, BadThreshold> {
        match cosine > 0.0 && cosine <= 1.0 {
            true => Ok(Self(cosine)),
            false => Err(BadThreshold(())),
        }
    }

    /// Whether a similarity is enough. What is the same is, whatever rounding leaves of it.
    #[must_use]
    pub fn is_met(self, similarity: f32) -> bool {
        similarity >= self.0 - 1e-6
    }
}

/// A threshold that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadThreshold(());

impl fmt::Display for BadThreshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a threshold of similarity must be over 0 and at most 1")
    }
}

impl Error for BadThreshold {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_direction_is_no_vector() {
        for numbers in [
            vec![],
            vec![0.0, 0.0],
            vec![1.0, f32::NAN],
            vec![f32::INFINITY],
            vec![1.0; 16_385],
        ] {
            assert!(Vector::new(numbers).is_none());
        }
        let (short, long) = (Vector::new(vec![1.0]), Vector::new(vec![1.0, 0.0]));
        let (short, long) = (short.expect("is one"), long.expect("is one"));
        assert_eq!(short.similarity(&long), None);
        for wrong in [0.0, -1.0, 1.1, f32::NAN] {
            assert!(Threshold::new(wrong).is_err());
        }
    }

    proptest! {
        #[test]
        fn the_similarity_is_the_cosine(
            pairs in prop::collection::vec((-100.0_f32..100.0, -100.0_f32..100.0), 1..40),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let sum = |f: fn(&(f32, f32)) -> f64| pairs.iter().map(f).sum::<f64>();
            let dot = sum(|(a, b)| f64::from(*a) * f64::from(*b));
            let lengths = sum(|(a, _)| f64::from(*a).powi(2)) * sum(|(_, b)| f64::from(*b).powi(2));
            prop_assume!(lengths > 1e-6);
            let (a, b) = (Vector::new(a).expect("is one"), Vector::new(b).expect("is one"));
            let similarity = a.similarity(&b).expect("are of one length");
            prop_assert!((f64::from(similarity) - dot / lengths.sqrt()).abs() < 1e-4);
            let own = a.similarity(&a).expect("are of one length");
            prop_assert!(Threshold::new(1.0).expect("is one").is_met(own + 1e-7));
        }
    }
}

//! The Beta distribution.

use fastrand::Rng;

/// A Beta distribution: what is believed of a mean between 0 and 1 after `good` and `bad` successes
/// and failures, parts of one included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Beta {
    pub(super) good: f64,
    pub(super) bad: f64,
}

impl Beta {
    pub(super) fn mean(self) -> f64 {
        self.good / (self.good + self.bad)
    }

    /// Draws from it, by two Gamma variates.
    pub(super) fn sample(self, rng: &mut Rng) -> f64 {
        let (good, bad) = (gamma(self.good, rng), gamma(self.bad, rng));
        let sum = good + bad;
        if sum > 0.0 { good / sum } else { self.mean() }
    }
}

/// A Gamma variate of scale 1: Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables",
/// 2000, with their step for shapes under 1.
fn gamma(shape: f64, rng: &mut Rng) -> f64 {
    if shape < 1.0 {
        return gamma(shape + 1.0, rng) * over_zero(rng).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = c.mul_add(x, 1.0).powi(3);
        if v > 0.0 && over_zero(rng).ln() < (0.5 * x).mul_add(x, d * (1.0 - v + v.ln())) {
            return d * v;
        }
    }
}

/// A normal variate: the polar method (Marsaglia and Bray, 1964).
fn normal(rng: &mut Rng) -> f64 {
    loop {
        let [x, y] = [rng.f64(), rng.f64()].map(|it| 2.0_f64.mul_add(it, -1.0));
        let s = x.mul_add(x, y * y);
        if s > 0.0 && s < 1.0 {
            return x * (-2.0 * s.ln() / s).sqrt();
        }
    }
}

fn over_zero(rng: &mut Rng) -> f64 {
    1.0 - rng.f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_mean_and_variance_of_the_distribution() {
        let mut rng = Rng::with_seed(1);
        for (good, bad) in [(1.0, 1.0), (0.2, 3.8), (2.0, 5.0), (80.0, 20.0), (0.5, 0.5)] {
            let beta = Beta { good, bad };
            const DRAWS: usize = 40_000;
            let draws: Vec<f64> = (0..DRAWS).map(|_| beta.sample(&mut rng)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)));
            let mean = draws.iter().sum::<f64>() / DRAWS as f64;
            let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / DRAWS as f64;
            let sum = good + bad;
            let expected = good * bad / (sum * sum * (sum + 1.0));
            let sigma = (expected / DRAWS as f64).sqrt();
            assert!(
                (mean - beta.mean()).abs() < 4.0 * sigma,
                "{beta:?}: mean {mean}"
            );
            assert!(
                (variance / expected - 1.0).abs() < 0.05,
                "{beta:?}: variance {variance}"
            );
        }
    }
}

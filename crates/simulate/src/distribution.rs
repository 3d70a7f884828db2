//! Random numbers of a declared shape.

use std::f64::consts::TAU;

use fastrand::Rng;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// No number of a scenario is greater.
const LARGEST: f64 = 1e9;

/// Where the standard normal distribution has 95 % below.
const NORMAL_P95: f64 = 1.644_853_626_951_472_2;

/// How a number is spread. It is never negative, and never more than a thousand million.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Distribution {
    Fixed(f64),
    Uniform { min: f64, max: f64 },
    Exponential { mean: f64 },
    LogNormal { median: f64, sigma: f64 },
}

impl Distribution {
    pub(crate) fn log_normal(median: f64, p95: f64) -> Self {
        let sigma = (p95 / median).ln() / NORMAL_P95;
        Self::LogNormal { median, sigma }
    }

    pub(crate) fn draw(&self, rng: &mut Rng) -> f64 {
        let drawn = match *self {
            Self::Fixed(value) => value,
            Self::Uniform { min, max } => (max - min).mul_add(rng.f64(), min),
            Self::Exponential { mean } => mean * exponential(rng),
            Self::LogNormal { median, sigma } => median * (sigma * normal(rng)).exp(),
        };
        drawn.min(LARGEST)
    }

    /// The same as a whole number, at least 1.
    pub(crate) fn draw_whole(&self, rng: &mut Rng) -> u64 {
        self.draw(rng).round().max(1.0) as u64
    }
}

/// One of the exponential distribution with the mean 1.
pub(crate) fn exponential(rng: &mut Rng) -> f64 {
    -(1.0 - rng.f64()).ln()
}

/// One of the standard normal distribution (Box and Muller, 1958).
fn normal(rng: &mut Rng) -> f64 {
    (2.0 * exponential(rng)).sqrt() * (TAU * rng.f64()).cos()
}

/// The keys that a distribution may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    min: Option<f64>,
    max: Option<f64>,
    mean: Option<f64>,
    median: Option<f64>,
    p95: Option<f64>,
}

impl TryFrom<Keys> for Distribution {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let Keys {
            min,
            max,
            mean,
            median,
            p95,
        } = keys;
        for value in [min, max, mean, median, p95].into_iter().flatten() {
            check(value)?;
        }
        match (min, max, mean, median, p95) {
            (Some(min), Some(max), None, None, None) if min <= max => {
                Ok(Self::Uniform { min, max })
            }
            (Some(_), Some(_), None, None, None) => Err("`min` is more than `max`".to_owned()),
            (None, None, Some(mean), None, None) => Ok(Self::Exponential { mean }),
            (None, None, None, Some(median), Some(p95)) if median > 0.0 && median <= p95 => {
                Ok(Self::log_normal(median, p95))
            }
            (None, None, None, Some(_), Some(_)) => {
                Err("`median` must be over 0 and no more than `p95`".to_owned())
            }
            _ => Err(EXPECTED.to_owned()),
        }
    }
}

const EXPECTED: &str = "a number, {min, max}, {mean} (exponential) or {median, p95} (log-normal)";

fn check(value: f64) -> Result<f64, String> {
    if (0.0..=LARGEST).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{value} is not between 0 and {LARGEST}"))
    }
}

impl<'de> Deserialize<'de> for Distribution {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Shape;

        impl<'de> Visitor<'de> for Shape {
            type Value = Distribution;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(EXPECTED)
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Distribution, E> {
                self.visit_f64(value as f64)
            }

            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Distribution, E> {
                self.visit_f64(value as f64)
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Distribution, E> {
                check(value).map(Distribution::Fixed).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Distribution, A::Error> {
                Keys::deserialize(MapAccessDeserializer::new(map))?
                    .try_into()
                    .map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(Shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 100_000;

    fn sorted(distribution: Distribution) -> Vec<f64> {
        let mut rng = Rng::with_seed(3);
        let mut drawn: Vec<_> = (0..DRAWS).map(|_| distribution.draw(&mut rng)).collect();
        drawn.sort_by(f64::total_cmp);
        drawn
    }

    fn near(got: f64, want: f64) {
        assert!((got / want - 1.0).abs() < 0.02, "{got} is not near {want}");
    }

    #[test]
    fn a_log_normal_one_has_the_median_and_the_95th_percentile_it_was_given() {
        let drawn = sorted(Distribution::log_normal(0.4, 1.2));
        near(drawn[DRAWS / 2], 0.4);
        near(drawn[DRAWS * 95 / 100], 1.2);
    }

    #[test]
    fn an_exponential_one_has_its_mean_and_its_spread() {
        let drawn = sorted(Distribution::Exponential { mean: 5.0 });
        near(drawn.iter().sum::<f64>() / DRAWS as f64, 5.0);
        near(drawn[DRAWS / 2], 5.0 * std::f64::consts::LN_2);
    }

    #[test]
    fn a_uniform_one_fills_its_range() {
        let drawn = sorted(Distribution::Uniform { min: 2.0, max: 4.0 });
        assert!(drawn[0] >= 2.0 && drawn[DRAWS - 1] <= 4.0);
        near(drawn[DRAWS / 4], 2.5);
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        let read = |text: &str| serde_saphyr::from_str::<Distribution>(text);
        assert_eq!(read("3").expect("is a number"), Distribution::Fixed(3.0));
        assert!(read("{min: 1, max: 2}").is_ok() && read("{median: 1, p95: 2}").is_ok());
        for text in [
            "-1",
            ".nan",
            "1e10",
            "{min: 2, max: 1}",
            "{median: 1}",
            "{median: 0, p95: 1}",
            "{mean: 1, min: 0}",
            "{mean: 1, sigma: 0}",
            "fast",
            "[1]",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

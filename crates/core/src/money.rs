//! Amounts of money.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign},
};

/// An amount of US dollars, exact to the picodollar (10⁻¹² dollars), and never below zero.
///
/// It is a whole number, so sums do not drift, whatever their order. The unit is that fine because
/// every price list gives prices per million tokens with at most six decimals: the price of a single
/// token is a whole number of picodollars.
///
/// ```
/// use ziggurat_core::Money;
///
/// let token = Money::from_dollars(2.5e-6).expect("is a price");
/// let all: Money = std::iter::repeat_n(token, 1_000_000).sum();
/// assert_eq!(all.to_string(), "2.5");
/// assert_eq!(all.picodollars(), 2_500_000_000_000);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(u128);

/// Picodollars in a dollar.
const DOLLAR: u128 = 1_000_000_000_000;

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many picodollars.
    #[must_use]
    pub const fn from_picodollars(picodollars: u128) -> Self {
        Self(picodollars)
    }

    /// The nearest amount to so many dollars; `None` if they are less than zero or no number.
    #[must_use]
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let is_amount = dollars.is_finite() && dollars >= 0.0;
        is_amount.then(|| Self((dollars * DOLLAR as f64).round() as u128))
    }

    /// In picodollars.
    #[must_use]
    pub const fn picodollars(self) -> u128 {
        self.0
    }

    /// In dollars, to be shown or measured: sums of these drift.
    #[must_use]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / DOLLAR as f64
    }

    /// So many times as much; at most what there can be.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count as u128))
    }

    /// The part of it that `numerator` is of `denominator`, rounded to the nearest picodollar.
    #[must_use]
    pub(crate) const fn part(self, numerator: u128, denominator: u128) -> Self {
        let all = self.0.saturating_mul(numerator);
        Self(all.saturating_add(denominator / 2) / denominator)
    }
}

impl Add for Money {
    type Output = Self;

    /// At most what there can be.
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Money {
    /// Dollars as a decimal number without an exponent: all its digits, and no zeros after them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut fraction) = (self.0 / DOLLAR, self.0 % DOLLAR);
        let mut digits = 12;
        while digits > 0 && fraction % 10 == 0 {
            fraction /= 10;
            digits -= 1;
        }
        match digits {
            0 => write!(f, "{whole}"),
            _ => write!(f, "{whole}.{fraction:0digits$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_shown_with_all_its_digits() {
        for (picodollars, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (2_500_000, "0.0000025"),
            (1_000_000_000_000, "1"),
            (12_340_000_000_000, "12.34"),
        ] {
            let amount = Money::from_picodollars(picodollars);
            assert_eq!(amount.to_string(), text);
            assert_eq!(Money::from_dollars(amount.dollars()), Some(amount));
        }
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for dollars in [-1e-9, f64::NAN, f64::INFINITY] {
            assert_eq!(Money::from_dollars(dollars), None);
        }
    }

    #[test]
    fn more_than_there_can_be_is_the_most() {
        let most = Money::from_picodollars(u128::MAX);
        assert_eq!((most + most, most.times(2)), (most, most));
    }
}

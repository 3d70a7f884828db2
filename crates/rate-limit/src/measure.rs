//! What is counted.

use std::fmt;

use ziggurat_core::Money;

/// What is counted, in whole units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Measure {
    /// Requests.
    Requests,
    /// Tokens, input and output together.
    Tokens,
    /// Input tokens, without those that the provider had cached.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Money, in nanodollars (10⁻⁹ dollars); see [`nanodollars`].
    Money,
    /// Requests at a time.
    InFlight,
}

impl Measure {
    /// A short name in snake case, for headers, stores and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Money => "money",
            Self::InFlight => "in_flight",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Picodollars in a nanodollar.
const NANO: u128 = 1_000;

/// An amount of money as it is counted: in nanodollars, rounded up. A price of a single token has
/// rarely more digits, and a store that counts in floating point is exact up to nine million dollars.
#[must_use]
pub fn nanodollars(money: Money) -> u64 {
    u64::try_from(money.picodollars().div_ceil(NANO)).unwrap_or(u64::MAX)
}

/// The money that so many nanodollars are.
#[must_use]
pub fn money(nanodollars: u64) -> Money {
    Money::from_picodollars(u128::from(nanodollars) * NANO)
}

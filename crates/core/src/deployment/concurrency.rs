//! How many attempts may be in flight at a deployment.

use std::{fmt, num::NonZeroU32};

/// How many attempts may be in flight at a deployment at a time. `None` leaves what holds for all of
/// them, and in the end the layer's own value.
///
/// No combination is wrong: `min` and `initial` are at most `max`, and `initial` at least `min`,
/// whatever they say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Concurrency {
    /// Whether and how the limit is found.
    pub mode: Option<ConcurrencyMode>,
    /// A limit that is learned never falls below it.
    pub min: Option<NonZeroU32>,
    /// With which limit learning begins.
    pub initial: Option<NonZeroU32>,
    /// The limit, or the highest that is learned.
    pub max: Option<NonZeroU32>,
}

/// How the number of attempts in flight at a deployment is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConcurrencyMode {
    /// Not at all.
    Off,
    /// By a number.
    Fixed,
    /// By what is learned from refusals and timeouts.
    Aimd,
    /// By that, and by what is learned from the time to the first content.
    Gradient,
}

impl Concurrency {
    /// The limit where nobody names one: a number that only a deployment meets that hangs.
    pub const DEFAULT_MAX: u32 = 1_000;

    /// As it is, with the values of another where it says nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            mode: self.mode.or(other.mode),
            min: self.min.or(other.min),
            initial: self.initial.or(other.initial),
            max: self.max.or(other.max),
        }
    }
}

impl From<ConcurrencyMode> for Concurrency {
    fn from(mode: ConcurrencyMode) -> Self {
        Self {
            mode: Some(mode),
            ..Self::default()
        }
    }
}

impl ConcurrencyMode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Off, Self::Fixed, Self::Aimd, Self::Gradient];

    /// The word for it in a configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Fixed => "fixed",
            Self::Aimd => "aimd",
            Self::Gradient => "gradient",
        }
    }
}

impl fmt::Display for ConcurrencyMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! Which numbers a key takes.

/// Which numbers are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Range {
    Any,
    NotNegative,
    OverZero,
    OverOne,
    /// A part of a whole that is not nothing.
    Share,
    /// A part of a whole, nothing and all included.
    Part,
    /// A part of a whole in percent, nothing and all included.
    Percent,
    /// A percentile that is over most values and not over all.
    Percentile,
}

impl Range {
    pub(crate) fn holds(self, n: f64) -> bool {
        match self {
            Self::Any => true,
            Self::NotNegative => n >= 0.0,
            Self::OverZero => n > 0.0,
            Self::OverOne => n > 1.0,
            Self::Share => n > 0.0 && n <= 1.0,
            Self::Part => (0.0..=1.0).contains(&n),
            Self::Percent => (0.0..=100.0).contains(&n),
            Self::Percentile => (50.0..100.0).contains(&n),
        }
    }

    pub(crate) fn whole(self) -> &'static str {
        match self {
            Self::Any => "a whole number",
            Self::OverZero | Self::OverOne => "a whole number over 0",
            _ => "a whole number, 0 or more",
        }
    }

    pub(crate) fn number(self) -> &'static str {
        match self {
            Self::Any => "a number",
            Self::NotNegative => "a number, 0 or more",
            Self::OverZero => "a number over 0",
            Self::OverOne => "a number over 1",
            Self::Share => "a number over 0 and at most 1",
            Self::Part => "a number from 0 to 1",
            Self::Percent => "a number from 0 to 100",
            Self::Percentile => "a number from 50 to less than 100",
        }
    }

    pub(crate) fn seconds(self) -> &'static str {
        match self {
            Self::OverZero => "a number of seconds over 0",
            _ => "a number of seconds, 0 or more",
        }
    }
}

//! In what time an amount may be used.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use jiff::{Timestamp, ToSpan as _, Zoned, civil::Weekday, tz::TimeZone};

/// In what time an amount may be used, and when it is there again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// In any stretch of time that is so long. All may be used at once; what was used then has to
    /// leave the window before more is let in.
    Sliding(Duration),
    /// In the mean over so long: a bucket that drains all the time (GCRA). It lets the whole amount
    /// through at once as well, so one period that begins with a burst may see up to twice the amount.
    Smooth(Duration),
    /// In one period after the other. All is there again when the next begins.
    Fixed(Period),
    /// At a time: for [`Measure::InFlight`](crate::Measure::InFlight).
    AtOnce,
}

/// One period after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// So long from the first use on; the next begins with the first use after its end.
    Rolling(Duration),
    /// From midnight to midnight, UTC.
    Day,
    /// From Monday to Sunday, UTC.
    Week,
    /// From the first of the month to its last, UTC.
    Month,
    /// For ever: what is used up stays so.
    Forever,
}

impl Period {
    /// When the period ends in which this is; `None` for one that never ends.
    #[must_use]
    pub fn end(self, now: SystemTime) -> Option<SystemTime> {
        match self {
            Self::Rolling(time) => now.checked_add(time),
            Self::Forever => None,
            calendar => {
                let now = Timestamp::try_from(now).ok()?.to_zoned(TimeZone::UTC);
                let end = calendar.next(&now.start_of_day().ok()?)?;
                Some(end.timestamp().into())
            }
        }
    }

    fn next(self, today: &Zoned) -> Option<Zoned> {
        match self {
            Self::Week => today.nth_weekday(1, Weekday::Monday).ok(),
            Self::Month => today.first_of_month().ok()?.checked_add(1.month()).ok(),
            _ => today.checked_add(1.day()).ok(),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sliding(per) | Self::Smooth(per) | Self::Fixed(Period::Rolling(per)) => {
                write!(f, "in {per:?}")
            }
            Self::Fixed(Period::Day) => f.write_str("in a day"),
            Self::Fixed(Period::Week) => f.write_str("in a week"),
            Self::Fixed(Period::Month) => f.write_str("in a month"),
            Self::Fixed(Period::Forever) => f.write_str("in all"),
            Self::AtOnce => f.write_str("at a time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_period_ends_where_the_next_begins() {
        let end = |period: Period, now: &str| {
            let now: Timestamp = now.parse().expect("is a time");
            let end = period.end(now.into()).expect("it ends");
            Timestamp::try_from(end).expect("is a time").to_string()
        };
        let friday = "2027-12-31T23:59:59Z";
        assert_eq!(end(Period::Day, friday), "2028-01-01T00:00:00Z");
        assert_eq!(end(Period::Week, friday), "2028-01-03T00:00:00Z");
        assert_eq!(end(Period::Month, friday), "2028-01-01T00:00:00Z");
        let first = "2028-02-01T00:00:00Z";
        assert_eq!(end(Period::Day, first), "2028-02-02T00:00:00Z");
        assert_eq!(end(Period::Month, first), "2028-03-01T00:00:00Z");
        let monday = "2028-01-03T00:00:00Z";
        assert_eq!(end(Period::Week, monday), "2028-01-10T00:00:00Z");
    }
}

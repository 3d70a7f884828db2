//! Amounts of money and how long they are for.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use ziggurat_core::Money;

use crate::{
    problem::Report,
    read::{Found, Range, Section},
    source::Show,
};

/// How long a budget is for, as LiteLLM writes it: `30s`, `30m`, `24h`, `30d`, `1w`, `1mo`.
///
/// Days and months are kept as such, for those who start a new budget by the calendar: `24h` is no
/// `1d` here, though both last as long. A week is seven days.
///
/// ```
/// use ziggurat_config::BudgetDuration;
///
/// let month: BudgetDuration = "1mo".parse()?;
/// assert_eq!(month.to_string(), "1mo");
/// assert_eq!(month.length().as_secs(), 30 * 86_400);
/// # Ok::<(), ziggurat_config::NoBudgetDuration>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BudgetDuration {
    /// A time by the clock: seconds, minutes or hours. Not zero.
    Seconds(Duration),
    /// Days; of weeks, seven each.
    Days(NonZeroU32),
    /// Months.
    Months(NonZeroU32),
}

/// A text that is no [`BudgetDuration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoBudgetDuration;

const DAY: u64 = 24 * 60 * 60;

/// Thirty years in days, and no budget is for longer.
const MOST_DAYS: u32 = 30 * 365;

impl BudgetDuration {
    /// How long it is by the clock: a day has 24 hours, and a month is taken for 30 days.
    #[must_use]
    pub const fn length(self) -> Duration {
        match self {
            Self::Seconds(time) => time,
            Self::Days(days) => Duration::from_secs(days.get() as u64 * DAY),
            Self::Months(months) => Duration::from_secs(months.get() as u64 * 30 * DAY),
        }
    }
}

impl FromStr for BudgetDuration {
    type Err = NoBudgetDuration;

    /// Reads a whole number over zero and a unit: `s`, `m`, `h`, `d`, `w` or `mo`.
    fn from_str(text: &str) -> Result<Self, NoBudgetDuration> {
        let end = text.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, unit) = text.split_at(end);
        let number: NonZeroU32 = digits.parse().map_err(|_| NoBudgetDuration)?;
        let seconds =
            |each: u64| Self::Seconds(Duration::from_secs(u64::from(number.get()) * each));
        let duration = match unit {
            "s" => seconds(1),
            "m" => seconds(60),
            "h" => seconds(60 * 60),
            "d" => Self::Days(number),
            "w" => {
                let week = NonZeroU32::MIN.saturating_add(6);
                Self::Days(number.checked_mul(week).ok_or(NoBudgetDuration)?)
            }
            "mo" => Self::Months(number),
            _ => return Err(NoBudgetDuration),
        };
        let most = Duration::from_secs(u64::from(MOST_DAYS) * DAY);
        (duration.length() <= most)
            .then_some(duration)
            .ok_or(NoBudgetDuration)
    }
}

impl fmt::Display for BudgetDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(time) => match time.as_secs() {
                all if all % 3600 == 0 => write!(f, "{}h", all / 3600),
                all if all % 60 == 0 => write!(f, "{}m", all / 60),
                all => write!(f, "{all}s"),
            },
            Self::Days(days) => write!(f, "{days}d"),
            Self::Months(months) => write!(f, "{months}mo"),
        }
    }
}

impl fmt::Display for NoBudgetDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration is like 30s, 30m, 24h, 30d, 1w or 1mo, and at most 30 years")
    }
}

impl std::error::Error for NoBudgetDuration {}

impl Section<'_> {
    /// How long a budget is for.
    pub(crate) fn budget_duration(
        &self,
        key: &'static str,
        report: &mut Report,
    ) -> Option<Found<BudgetDuration>> {
        let what = "a duration like 30s, 30m, 24h, 30d, 1w or 1mo";
        self.field(key)?
            .read(what, report, |text| text.parse().ok())
    }

    /// An amount of dollars.
    pub(crate) fn money(&self, key: &'static str, report: &mut Report) -> Option<Found<Money>> {
        let found = self.number(key, Range::NotNegative, report)?;
        let amount = Money::from_dollars(found.value);
        Some(found.map(|_| amount.expect("is finite and not below zero")))
    }
}

impl Show for BudgetDuration {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Show for Money {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_reference_writes_them_and_shown_so() {
        for (text, seconds, shown) in [
            ("30s", 30, "30s"),
            ("90s", 90, "90s"),
            ("120s", 120, "2m"),
            ("30m", 30 * 60, "30m"),
            ("24h", DAY, "24h"),
            ("1d", DAY, "1d"),
            ("007d", 7 * DAY, "7d"),
            ("1w", 7 * DAY, "7d"),
            ("1mo", 30 * DAY, "1mo"),
            ("10950d", 10_950 * DAY, "10950d"),
        ] {
            let read: BudgetDuration = text.parse().expect(text);
            assert_eq!(read.length(), Duration::from_secs(seconds), "{text}");
            assert_eq!(read.to_string(), shown);
            assert_eq!(shown.parse(), Ok(read));
        }
    }

    #[test]
    fn a_day_is_one_of_the_calendar_and_24_hours_are_not() {
        let one = NonZeroU32::MIN;
        assert_eq!("1d".parse(), Ok(BudgetDuration::Days(one)));
        assert_eq!("1mo".parse(), Ok(BudgetDuration::Months(one)));
        let hours = BudgetDuration::Seconds(Duration::from_secs(DAY));
        assert_eq!("24h".parse(), Ok(hours));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "d",
            "1",
            "0d",
            "-1d",
            "+1d",
            "1.5h",
            "1 d",
            " 1d",
            "1d ",
            "1D",
            "1month",
            "1y",
            "1mo1d",
            "10951d",
            "366mo",
            "4294967296s",
            "4294967295w",
            "99999999999999999999d",
            "１d",
        ] {
            assert_eq!(
                text.parse::<BudgetDuration>(),
                Err(NoBudgetDuration),
                "{text:?}"
            );
        }
    }
}

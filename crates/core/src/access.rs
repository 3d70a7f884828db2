//! Who may use a deployment, and when.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// A time of the day at which a deployment is kept for some teams.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AccessWindow {
    start: u16,
    end: u16,
    time_zone: Arc<str>,
    teams: Vec<Arc<str>>,
}

/// The minutes of a day.
const DAY: u16 = 24 * 60;

impl AccessWindow {
    /// From one minute of the day to another, the latter excluded, in a time zone of the IANA
    /// database; past midnight if it ends before it starts. `None` if there is no such minute.
    #[must_use]
    pub fn new(
        start: u16,
        end: u16,
        time_zone: impl Into<Arc<str>>,
        teams: Vec<Arc<str>>,
    ) -> Option<Self> {
        let time_zone = time_zone.into();
        (start < DAY && end <= DAY).then_some(Self {
            start,
            end,
            time_zone,
            teams,
        })
    }

    /// The time zone.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }

    /// The teams it is kept for.
    #[must_use]
    pub fn teams(&self) -> &[Arc<str>] {
        &self.teams
    }

    /// The minute of the day at which it ends.
    #[must_use]
    pub fn end(&self) -> u16 {
        self.end
    }

    /// Whether a minute of the day is in it.
    #[must_use]
    pub fn contains(&self, minute: u16) -> bool {
        if self.start <= self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }
}

/// A regular expression that the user agent of a request is searched for, as `User-Agent: …`.
///
/// Searching takes a time linear in the text, whatever the expression.
#[derive(Clone)]
pub struct TagPattern {
    regex: Arc<regex_lite::Regex>,
}

impl TagPattern {
    /// A pattern.
    ///
    /// # Errors
    ///
    /// What is wrong with the expression; also if it takes more than 64 KiB.
    pub fn new(expression: &str) -> Result<Self, String> {
        // Enough for any pattern of a program's name, and no more than a hostile one may take.
        const LARGEST: usize = 64 * 1_024;
        regex_lite::RegexBuilder::new(expression)
            .size_limit(LARGEST)
            .build()
            .map(|regex| Self {
                regex: Arc::new(regex),
            })
            .map_err(|error| error.to_string())
    }

    /// Whether it is found in a text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The expression.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }
}

impl PartialEq for TagPattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for TagPattern {}

impl Hash for TagPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_go_past_midnight() {
        let window = |start, end| AccessWindow::new(start, end, "UTC", Vec::new());
        let night = window(22 * 60, 6 * 60).expect("is a window");
        assert!(night.contains(23 * 60) && night.contains(0) && !night.contains(6 * 60));
        let day = window(8 * 60, 18 * 60).expect("is a window");
        assert!(day.contains(8 * 60) && !day.contains(18 * 60) && !day.contains(0));
        assert!(window(DAY, 0).is_none());
    }
}

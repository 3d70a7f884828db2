//! How much is allowed.

use std::{fmt, time::Duration};

use smallvec::SmallVec;
use ziggurat_core::{Deployment, Money};

use crate::{
    Measure, Period, Window,
    measure::{money, nanodollars},
};

const MINUTE: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// An amount in a period.
///
/// By default it is a *sliding window*: in any stretch of time as long as the period, no more than
/// the amount is admitted. All of it may come at once; what came then has to leave the window before
/// more is let in. That is how "at most four a minute" is read.
///
/// With [`smooth`](Self::smooth) it is a bucket that drains all the time. It lets the whole amount
/// through at once as well, and then one after another as room comes back, so that over a long time
/// the rate is kept, while one period that begins with a burst may see up to *twice* the amount.
///
/// An amount of zero refuses everything, for good.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_rate_limit::Rate;
///
/// let four_a_minute = Rate::per_minute(4);
/// let paced = Rate::new(10, Duration::from_secs(1))?.smooth();
/// assert_eq!((paced.amount(), paced.is_smooth()), (10, true));
/// assert!(Rate::new(10, Duration::ZERO).is_err());
/// # let _ = four_a_minute;
/// # Ok::<(), ziggurat_rate_limit::InvalidPeriod>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    amount: u64,
    per: Duration,
    smooth: bool,
}

impl Rate {
    /// That much in each period.
    ///
    /// # Errors
    ///
    /// If the period is zero or longer than 366 days.
    pub const fn new(amount: u64, per: Duration) -> Result<Self, InvalidPeriod> {
        if per.is_zero() || per.as_secs() > LONGEST.as_secs() {
            return Err(InvalidPeriod(()));
        }
        Ok(Self {
            amount,
            per,
            smooth: false,
        })
    }

    /// That much a minute.
    #[must_use]
    pub const fn per_minute(amount: u64) -> Self {
        Self {
            amount,
            per: MINUTE,
            smooth: false,
        }
    }

    /// Counted over a minute, and never refused: for those who read
    /// [`used`](crate::MemoryLimiter::used).
    #[must_use]
    pub const fn counted() -> Self {
        Self::per_minute(u64::MAX)
    }

    /// The same as a bucket that drains all the time (GCRA), instead of a sliding window.
    #[must_use]
    pub const fn smooth(mut self) -> Self {
        self.smooth = true;
        self
    }

    /// The limit that it is on a measure.
    #[must_use]
    pub const fn of(self, measure: Measure) -> Limit {
        let window = match self.smooth {
            true => Window::Smooth(self.per),
            false => Window::Sliding(self.per),
        };
        Limit::new(measure, self.amount, window)
    }

    /// How much.
    #[must_use]
    pub const fn amount(&self) -> u64 {
        self.amount
    }

    /// In how long.
    #[must_use]
    pub const fn per(&self) -> Duration {
        self.per
    }

    /// Whether it is a bucket that drains all the time.
    #[must_use]
    pub const fn is_smooth(&self) -> bool {
        self.smooth
    }
}

/// A period of zero, or of more than 366 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPeriod(());

impl fmt::Display for InvalidPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the period of a rate is zero or longer than 366 days")
    }
}

impl std::error::Error for InvalidPeriod {}

/// One limit: so much of a measure in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    measure: Measure,
    amount: u64,
    window: Window,
    soft: Option<u64>,
}

impl Limit {
    /// So much, in the unit of the measure.
    #[must_use]
    pub const fn new(measure: Measure, amount: u64, window: Window) -> Self {
        Self {
            measure,
            amount,
            window,
            soft: None,
        }
    }

    /// At which amount somebody is to be told. Nothing is refused for it.
    #[must_use]
    pub const fn with_soft(mut self, amount: u64) -> Self {
        self.soft = Some(amount);
        self
    }

    /// What is limited.
    #[must_use]
    pub const fn measure(&self) -> Measure {
        self.measure
    }

    /// How much is allowed.
    #[must_use]
    pub const fn amount(&self) -> u64 {
        self.amount
    }

    /// In what time.
    #[must_use]
    pub const fn window(&self) -> Window {
        self.window
    }

    /// At which amount somebody is to be told.
    #[must_use]
    pub const fn soft(&self) -> Option<u64> {
        self.soft
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (amount, window) = (self.amount, self.window);
        match self.measure {
            Measure::Money => write!(f, "{} dollars {window}", money(amount)),
            Measure::InFlight => write!(f, "{amount} requests {window}"),
            Measure::InputTokens => write!(f, "{amount} input tokens {window}"),
            Measure::OutputTokens => write!(f, "{amount} output tokens {window}"),
            Measure::Requests | Measure::Tokens => write!(f, "{amount} {} {window}", self.measure),
        }
    }
}

/// What is allowed on one key. What is not said is not limited.
///
/// There may be several limits on one measure, such as so much a minute and so much a day.
///
/// ```
/// use ziggurat_core::Money;
/// use ziggurat_rate_limit::{Limits, Period, Rate};
///
/// let ten_dollars = Money::from_dollars(10.0).expect("is an amount");
/// let limits = Limits::none()
///     .with_requests(Rate::per_minute(60))
///     .with_tokens(Rate::per_minute(100_000))
///     .with_budget(ten_dollars, Period::Month)
///     .with_in_flight(8);
/// # assert!(!limits.is_none());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(SmallVec<[Limit; 3]>);

impl Limits {
    /// No limit at all.
    #[must_use]
    pub fn none() -> Self {
        Self(SmallVec::new())
    }

    /// What a deployment sets, each on its own: `rpm`, `tpm`, `itpm`, `otpm`, `max_parallel_requests`
    /// and its budget, which begins with its first use.
    #[must_use]
    pub fn of(deployment: &Deployment) -> Self {
        let rates = [
            (Measure::Requests, deployment.rpm()),
            (Measure::Tokens, deployment.tpm()),
            (Measure::InputTokens, deployment.itpm()),
            (Measure::OutputTokens, deployment.otpm()),
        ];
        let mut limits = Self::none();
        for (measure, amount) in rates {
            if let Some(amount) = amount {
                limits = limits.with(Rate::per_minute(amount).of(measure));
            }
        }
        if let Some(requests) = deployment.max_parallel() {
            limits = limits.with_in_flight(requests);
        }
        if let Some((most, time)) = deployment.budget() {
            limits = limits.with_budget(most, time.map_or(Period::Forever, Period::Rolling));
        }
        limits
    }

    /// Adds a limit. It takes the place of one on the same measure in the same window.
    #[must_use]
    pub fn with(mut self, limit: Limit) -> Self {
        let same =
            |other: &&mut Limit| other.measure == limit.measure && other.window == limit.window;
        match self.0.iter_mut().find(same) {
            Some(other) => *other = limit,
            None => self.0.push(limit),
        }
        self
    }

    /// Limits requests.
    #[must_use]
    pub fn with_requests(self, rate: Rate) -> Self {
        self.with(rate.of(Measure::Requests))
    }

    /// Limits tokens, input and output together.
    #[must_use]
    pub fn with_tokens(self, rate: Rate) -> Self {
        self.with(rate.of(Measure::Tokens))
    }

    /// Limits input tokens.
    #[must_use]
    pub fn with_input_tokens(self, rate: Rate) -> Self {
        self.with(rate.of(Measure::InputTokens))
    }

    /// Limits output tokens.
    #[must_use]
    pub fn with_output_tokens(self, rate: Rate) -> Self {
        self.with(rate.of(Measure::OutputTokens))
    }

    /// Limits what may be spent in a period.
    #[must_use]
    pub fn with_budget(self, most: Money, period: Period) -> Self {
        let window = Window::Fixed(period);
        self.with(Limit::new(Measure::Money, nanodollars(most), window))
    }

    /// Limits how many requests may run at a time, each until its answer has ended. Zero refuses
    /// everything.
    #[must_use]
    pub fn with_in_flight(self, requests: u32) -> Self {
        self.with(Limit::new(
            Measure::InFlight,
            requests.into(),
            Window::AtOnce,
        ))
    }

    /// Those limits of which `keep` says yes.
    #[must_use]
    pub fn only(mut self, mut keep: impl FnMut(&Limit) -> bool) -> Self {
        self.0.retain(|limit| keep(limit));
        self
    }

    /// The limits.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Limit> {
        self.0.iter()
    }

    /// Whether one of these is limited.
    #[must_use]
    pub fn limit(&self, measures: &[Measure]) -> bool {
        self.iter().any(|limit| measures.contains(&limit.measure))
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

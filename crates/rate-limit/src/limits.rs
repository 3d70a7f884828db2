//! How much is allowed.

use std::{fmt, time::Duration};

use ziggurat_core::Deployment;

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

/// What is allowed on one key. What is not set is not limited.
///
/// ```
/// use ziggurat_rate_limit::{Limits, Rate};
///
/// let limits = Limits::none()
///     .with_requests(Rate::per_minute(60))
///     .with_tokens(Rate::per_minute(100_000))
///     .with_in_flight(8);
/// # assert!(!limits.is_none());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    requests: Option<Rate>,
    tokens: Option<Rate>,
    in_flight: Option<u32>,
}

impl Limits {
    /// No limit at all.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            requests: None,
            tokens: None,
            in_flight: None,
        }
    }

    /// What a deployment sets: `rpm`, `tpm` and `max_parallel_requests`, each on its own.
    #[must_use]
    pub fn of(deployment: &Deployment) -> Self {
        Self {
            requests: deployment.rpm().map(Rate::per_minute),
            tokens: deployment.tpm().map(Rate::per_minute),
            in_flight: deployment.max_parallel(),
        }
    }

    /// Limits requests.
    #[must_use]
    pub const fn with_requests(mut self, rate: Rate) -> Self {
        self.requests = Some(rate);
        self
    }

    /// Limits tokens, input and output together.
    #[must_use]
    pub const fn with_tokens(mut self, rate: Rate) -> Self {
        self.tokens = Some(rate);
        self
    }

    /// Limits how many requests may run at a time, each until its answer has ended. Zero refuses
    /// everything.
    #[must_use]
    pub const fn with_in_flight(mut self, requests: u32) -> Self {
        self.in_flight = Some(requests);
        self
    }

    /// The same without the limits on requests and tokens.
    #[must_use]
    pub const fn without_rates(mut self) -> Self {
        self.requests = None;
        self.tokens = None;
        self
    }

    /// The limit on requests.
    #[must_use]
    pub const fn requests(&self) -> Option<Rate> {
        self.requests
    }

    /// The limit on tokens.
    #[must_use]
    pub const fn tokens(&self) -> Option<Rate> {
        self.tokens
    }

    /// The limit on requests at a time.
    #[must_use]
    pub const fn in_flight(&self) -> Option<u32> {
        self.in_flight
    }

    /// Whether nothing is limited.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.requests.is_none() && self.tokens.is_none() && self.in_flight.is_none()
    }
}

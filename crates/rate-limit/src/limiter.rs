//! What keeps the counts.

use smallvec::SmallVec;
use tokio::time::Instant;
use ziggurat_core::{Money, Usage};

use crate::{Charge, Charges, Limit, Measure, Refused, measure::nanodollars};

/// Keeps the counts, and decides.
///
/// [`MemoryLimiter`](crate::MemoryLimiter) answers at once, for one process.
pub trait Limiter: Clone {
    /// What an admitted request holds.
    type Permit: Settle;
    /// The decision. Dropping it, finished or not, gives back whatever it took.
    type Acquire: Future<Output = Result<Self::Permit, Refused>>;

    /// Takes what a request is charged: one request, a place in flight, and its estimated tokens and
    /// money, from every key or from none.
    ///
    /// No more than the limit itself is taken, so a request that is estimated to need more than the
    /// limit passes where nothing has been used.
    fn acquire(&self, charges: &Charges) -> Self::Acquire;

    /// What is left of the limits on a key, in their order, as far as this process knows.
    fn left(&self, charge: &Charge, now: Instant) -> SmallVec<[Left; 3]>;
}

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// The limit.
    pub limit: Limit,
    /// How much of it is used, what is reserved included.
    pub used: u64,
    /// When all of it is left again, if nothing more is used; none for requests in flight.
    pub resets_at: Option<Instant>,
}

impl Left {
    /// Of a limit of which so much is used.
    #[must_use]
    pub const fn new(limit: Limit, used: u64, resets_at: Option<Instant>) -> Self {
        Self {
            limit,
            used,
            resets_at,
        }
    }

    /// How much is left.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.limit.amount().saturating_sub(self.used)
    }
}

/// What an admitted request holds until its outcome is known.
///
/// One that is dropped without being settled gives everything back, as for [`Actual::Unsent`].
pub trait Settle {
    /// Corrects the estimate by what has happened, and gives the place in flight back. Only the
    /// first call counts.
    fn settle(&mut self, actual: Actual);
}

/// What became of a request that was admitted.
///
/// A request counts once it has been sent, and tokens count once an answer has begun: that is how
/// providers count, and it leaves nothing to gain for a client that hangs up early. Money counts
/// whenever it was spent; where it says `None`, nobody knows how much, and the estimate stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Actual {
    /// Nothing was sent. All is given back.
    Unsent,
    /// It was sent and no answer began. The request counts, its tokens are given back.
    Unanswered {
        /// What it cost all the same.
        money: Money,
    },
    /// An answer began, and broke off or was abandoned after about that much.
    Partial {
        /// What was seen, input included.
        usage: Usage,
        /// What it cost.
        money: Option<Money>,
    },
    /// The answer is complete and used that.
    Complete {
        /// By the provider's word.
        usage: Usage,
        /// What it cost.
        money: Option<Money>,
    },
    /// The answer is complete, and nobody knows what it used: the estimate stays.
    Unknown {
        /// What it cost.
        money: Option<Money>,
    },
}

impl Actual {
    /// How much of a measure is charged in the end, where so much was reserved. The one place that
    /// says it.
    #[must_use]
    pub fn of(&self, measure: Measure, reserved: u64) -> u64 {
        let (usage, money) = match *self {
            Self::Unsent => return 0,
            Self::Unanswered { money } => (Some(Usage::new(0, 0)), Some(money)),
            Self::Partial { usage, money } | Self::Complete { usage, money } => {
                (usage.counts_tokens.then_some(usage), money)
            }
            Self::Unknown { money } => (None, money),
        };
        let tokens = |count: fn(&Usage) -> u64| usage.as_ref().map_or(reserved, count);
        match measure {
            Measure::Requests => 1,
            Measure::Tokens => tokens(Usage::total),
            Measure::InputTokens => tokens(|it| it.input.saturating_sub(it.cached_input)),
            Measure::OutputTokens => tokens(|it| it.output),
            Measure::Money => money.map_or(reserved, nanodollars),
            Measure::InFlight => 0,
        }
    }
}

/// How large answers are that nothing is said of: the mean of those before, the new ones counting
/// for more.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    output: f64,
    money: f64,
}

/// The output tokens an answer is taken to have while none has been seen.
const FIRST_GUESS: f64 = 256.0;

/// The weight of a new answer in the mean.
const WEIGHT: f64 = 1.0 / 8.0;

impl Default for Sizes {
    fn default() -> Self {
        Self {
            output: FIRST_GUESS,
            money: 0.0,
        }
    }
}

impl Sizes {
    /// Learns from an answer that is complete.
    pub fn learn(&mut self, actual: &Actual) {
        if let Actual::Complete { usage, money } = actual {
            if usage.counts_tokens {
                self.output += (usage.output as f64 - self.output) * WEIGHT;
            }
            if let Some(money) = money {
                self.money += (nanodollars(*money) as f64 - self.money) * WEIGHT;
            }
        }
    }

    /// The output tokens of an answer.
    #[must_use]
    pub const fn output(&self) -> u64 {
        self.output as u64
    }

    /// What an answer costs, in nanodollars.
    #[must_use]
    pub const fn money(&self) -> u64 {
        self.money as u64
    }
}

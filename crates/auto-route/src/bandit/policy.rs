//! What a bandit goes by.

use std::{fmt, num::NonZeroU32, sync::Arc};

use ziggurat_core::Prices;

use super::{Context, Feature};

/// How many groups a bandit chooses among, at most.
const MOST_ARMS: usize = 32;

/// A group that may be chosen, and what is said of it beforehand.
#[derive(Clone, Debug)]
pub struct Arm {
    pub(super) group: Arc<str>,
    quality: f64,
    strengths: Context,
    pub(super) prices: Option<Prices>,
}

impl Arm {
    /// A group of which nothing is known.
    #[must_use]
    pub fn new(group: impl Into<Arc<str>>) -> Self {
        Self {
            group: group.into(),
            quality: 0.5,
            strengths: Context::default(),
            prices: None,
        }
    }

    /// Sets what reward is expected before there is experience, from 0 to 1: where to begin, soon
    /// forgotten. The default is 0.5.
    #[must_use]
    pub fn quality(mut self, quality: f64) -> Self {
        self.quality = quality;
        self
    }

    /// Says that it is good at such requests: 0.2 more is expected of it for those.
    #[must_use]
    pub fn strong_in(mut self, feature: Feature) -> Self {
        self.strengths = self.strengths.with(feature);
        self
    }

    /// Sets what its tokens cost. By default it is what the deployment says that answered.
    #[must_use]
    pub fn prices(mut self, prices: Prices) -> Self {
        self.prices = Some(prices);
        self
    }

    /// What is expected of it for requests of a kind before there is experience. Never quite 0 or 1:
    /// experience must be able to change it.
    pub(super) fn prior(&self, context: Context) -> f64 {
        let is_strong = self.strengths.number() & context.number() != 0;
        let bonus = if is_strong { 0.2 } else { 0.0 };
        (self.quality + bonus).clamp(0.05, 0.95)
    }
}

/// What the reward of an answer is made of: how much each part counts, relative to the others.
///
/// A request that fails has no reward at all, whatever else could be said of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// That there is an answer. The default is 1.
    pub success: f64,
    /// How soon it begins, compared with the other groups. The default is 0.5.
    pub latency: f64,
    /// How little it costs, compared with the other groups. The default is 0.5.
    pub cost: f64,
    /// What the caller says of it, see [`Bandit::report`](super::Bandit::report). The default is 1.
    pub outcome: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            success: 1.0,
            latency: 0.5,
            cost: 0.5,
            outcome: 1.0,
        }
    }
}

impl Weights {
    fn all(&self) -> [f64; 4] {
        [self.success, self.latency, self.cost, self.outcome]
    }

    /// The same weights, with a sum of 1.
    pub(super) fn normalised(self) -> Self {
        let sum: f64 = self.all().iter().sum();
        Self {
            success: self.success / sum,
            latency: self.latency / sum,
            cost: self.cost / sum,
            outcome: self.outcome / sum,
        }
    }
}

/// How a bandit learns and explores. The defaults serve most; a test sets what matters to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    pub(super) weights: Weights,
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) memory: f64,
    pub(super) remembered: u32,
}

impl Policy {
    /// The default [`Weights`]; every group gets 2 % of the requests, those that are not known yet
    /// get 30 % together; a memory of 1,000 requests; 4,096 choices that can be reported on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            weights: Weights::default(),
            least: 0.02,
            most: 0.3,
            memory: 1_000.0,
            remembered: 4_096,
        }
    }

    /// Sets what counts.
    #[must_use]
    pub fn weights(mut self, weights: Weights) -> Self {
        self.weights = weights;
        self
    }

    /// Sets how much is explored, as shares of the requests of each [`Context`], from 0 to 1.
    ///
    /// Every group gets `least` on average, however bad it is. The groups with little experience get
    /// `most` together, as long as there is one with more. `most` holds before `least`.
    #[must_use]
    pub fn explore(mut self, least: f64, most: f64) -> Self {
        self.least = least;
        self.most = most;
        self
    }

    /// Sets about how many of the latest requests of a [`Context`] count; 50 at least. A short
    /// memory adapts sooner, a long one tells smaller differences.
    #[must_use]
    pub fn memory(mut self, requests: NonZeroU32) -> Self {
        self.memory = f64::from(requests.get().max(50));
        self
    }

    /// Sets how many of the latest choices can be reported on. Each takes 24 bytes.
    #[must_use]
    pub fn remember(mut self, choices: NonZeroU32) -> Self {
        self.remembered = choices.get();
        self
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a bandit cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BanditError {
    /// There are no groups, or more than 32.
    Arms,
    /// A group is named twice.
    Twice {
        /// This one.
        group: Arc<str>,
    },
    /// A quality is not from 0 to 1.
    Quality {
        /// Of this group.
        group: Arc<str>,
    },
    /// A weight is below zero or no number, or none is over zero.
    Weights,
    /// A share to explore is not from 0 to 1.
    Explore,
}

impl fmt::Display for BanditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arms => write!(f, "there must be 1 to {MOST_ARMS} groups to choose among"),
            Self::Twice { group } => write!(f, "`{group}` is named twice"),
            Self::Quality { group } => write!(f, "the quality of `{group}` must be from 0 to 1"),
            Self::Weights => f.write_str("weights must be from 0 up, and one of them over 0"),
            Self::Explore => f.write_str("shares to explore must be from 0 to 1"),
        }
    }
}

impl std::error::Error for BanditError {}

/// Finds what is wrong.
pub(super) fn check(arms: &[Arm], policy: &Policy) -> Result<(), BanditError> {
    let is_share = |value: f64| (0.0..=1.0).contains(&value);
    if arms.is_empty() || arms.len() > MOST_ARMS {
        return Err(BanditError::Arms);
    }
    for (i, arm) in arms.iter().enumerate() {
        let group = || Arc::clone(&arm.group);
        if arms[..i].iter().any(|other| other.group == arm.group) {
            return Err(BanditError::Twice { group: group() });
        }
        if !is_share(arm.quality) {
            return Err(BanditError::Quality { group: group() });
        }
    }
    let weights = policy.weights.all();
    let sum: f64 = weights.iter().sum();
    if weights.iter().any(|it| it.is_nan() || *it < 0.0) || !(sum.is_finite() && sum > 0.0) {
        return Err(BanditError::Weights);
    }
    if !is_share(policy.least) || !is_share(policy.most) {
        return Err(BanditError::Explore);
    }
    Ok(())
}

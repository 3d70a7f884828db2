use std::{fmt, sync::Arc, time::Duration};

use tower_layer::Layer;
use ziggurat_core::FromParam;

use crate::{Hedge, budget::WHOLE, policy::Policy};

const DEFAULT_BUDGET: f64 = 5.0;
const DEFAULT_MIN_DELAY: Duration = Duration::from_millis(50);

/// Sends a second copy of a request that is late with its answer. *Deferring.*
///
/// All services that a layer and its clones make share what they have learned and one budget. See
/// the [crate docs](crate) for an example and the rules.
#[derive(Clone, Debug)]
pub struct HedgeLayer<X = FromParam> {
    policy: Policy,
    extract: X,
}

/// A percentage is not one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PercentError(f64);

impl fmt::Display for PercentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a percentage must be from 0 to 100, not {}", self.0)
    }
}

impl std::error::Error for PercentError {}

impl HedgeLayer {
    /// A layer that calls a request late when it takes longer than this percentile of those before
    /// it, and at least 50 ms; within a budget of five percent.
    ///
    /// # Errors
    ///
    /// If the percentile is not from 0 to 100.
    pub fn new(percentile: f64) -> Result<Self, PercentError> {
        let share = share(DEFAULT_BUDGET)?;
        Ok(Self {
            policy: Policy::new(fraction(percentile)?, share, DEFAULT_MIN_DELAY),
            extract: FromParam,
        })
    }
}

impl<X> HedgeLayer<X> {
    /// Sets another percentile, and keeps what was learned: for a reload.
    ///
    /// # Errors
    ///
    /// If it is not from 0 to 100.
    pub fn percentile(mut self, percentile: f64) -> Result<Self, PercentError> {
        self.policy.percentile = fraction(percentile)?;
        Ok(self)
    }

    /// Sets how many second copies may be sent for each hundred requests of the last ten seconds, to
    /// a hundredth. With zero there are none.
    ///
    /// # Errors
    ///
    /// If it is not from 0 to 100.
    pub fn budget(mut self, percent: f64) -> Result<Self, PercentError> {
        self.policy.share = share(percent)?;
        Ok(self)
    }

    /// Sets the time before which nothing is late.
    #[must_use]
    pub const fn min_delay(mut self, delay: Duration) -> Self {
        self.policy.min_delay = delay;
        self
    }

    /// Hedges requests for these groups only.
    #[must_use]
    pub fn groups<T: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.policy.groups = Some(Arc::new(names));
        self
    }

    /// Sets how a request is asked whether it is hedged: an
    /// [`Extract<Hedging, Request>`](ziggurat_core::Extract), such as a closure.
    #[must_use]
    pub fn hedging_by<Y>(self, extract: Y) -> HedgeLayer<Y> {
        HedgeLayer {
            policy: self.policy,
            extract,
        }
    }
}

impl<S, X: Clone> Layer<S> for HedgeLayer<X> {
    type Service = Hedge<S, X>;

    fn layer(&self, inner: S) -> Self::Service {
        Hedge::new(inner, Arc::new(self.policy.clone()), self.extract.clone())
    }
}

fn fraction(percent: f64) -> Result<f64, PercentError> {
    match (0.0..=100.0).contains(&percent) {
        true => Ok(percent / 100.0),
        false => Err(PercentError(percent)),
    }
}

fn share(percent: f64) -> Result<u64, PercentError> {
    Ok((fraction(percent)? * WHOLE as f64).round() as u64)
}

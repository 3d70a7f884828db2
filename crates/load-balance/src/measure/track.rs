//! What a strategy asks the balancer to measure.

use std::time::Duration;

use ziggurat_core::{LlmRequest, Operation, Param};

/// The longest list of latencies that is kept for a deployment.
const LONGEST: usize = 1_000;

/// What the caller of a request waits for: the unit in which its latency counts.
///
/// Latencies of different units are never compared with each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Awaits {
    /// The first token of a stream: seconds until the answer begins.
    FirstToken,
    /// A text in one piece: seconds for each of its output tokens.
    Tokens,
    /// Something else in one piece, or one that does not say what it used: seconds.
    Answer,
}

impl Param<Awaits> for LlmRequest {
    fn param(&self) -> Awaits {
        use Operation::{ChatCompletions, Completions, Messages, Responses};
        match self.operation() {
            _ if self.is_stream() => Awaits::FirstToken,
            ChatCompletions | Completions | Messages | Responses => Awaits::Tokens,
            _ => Awaits::Answer,
        }
    }
}

/// What the balancer is to measure for a [`Strategy`](crate::Strategy); nothing by default.
///
/// What is in flight, what was used in the current minute, and who fails is known in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Track {
    list: u16,
    ttl_secs: u32,
    /// For each unit; zero is the mean.
    quantiles: [f32; 3],
    peak_decay: f32,
    peak_penalty: f32,
    output: bool,
    headroom: bool,
}

impl Track {
    /// Keeps the latest latencies of each deployment, at most `list` of them in each unit, each for
    /// `ttl`, and their mean: [`Candidate::latency`](crate::Candidate::latency).
    #[must_use]
    pub fn latencies(mut self, list: usize, ttl: Duration) -> Self {
        self.list = list.clamp(1, LONGEST) as u16;
        self.ttl_secs = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX).max(1);
        self
    }

    /// Takes, instead of the mean, the latency that the share `quantile` of them does not exceed.
    /// One that is not over 0 and at most 1 is ignored.
    #[must_use]
    pub fn quantile(mut self, of: Awaits, quantile: f64) -> Self {
        if quantile > 0.0 && quantile <= 1.0 {
            self.quantiles[of as usize] = quantile as f32;
        }
        self
    }

    /// Keeps a moving average of the seconds until an answer begins, which rises at once and falls
    /// with the time constant `decay`: [`Candidate::peak_ewma`](crate::Candidate::peak_ewma). A
    /// failure counts as `penalty`, or as its `Retry-After` if that is longer.
    #[must_use]
    pub fn peak_ewma(mut self, decay: Duration, penalty: Duration) -> Self {
        self.peak_decay = decay.as_secs_f32().max(0.001);
        self.peak_penalty = penalty.as_secs_f32();
        self
    }

    /// Keeps a moving average of the output tokens of answers:
    /// [`Candidate::mean_output`](crate::Candidate::mean_output).
    #[must_use]
    pub fn output(mut self) -> Self {
        self.output = true;
        self
    }

    /// Keeps what providers say is left of their limits:
    /// [`Candidate::headroom`](crate::Candidate::headroom).
    #[must_use]
    pub fn headroom(mut self) -> Self {
        self.headroom = true;
        self.output()
    }

    /// Whether the time at which answers begin and end matters.
    pub(crate) fn needs_times(&self) -> bool {
        self.list > 0 || self.peak_decay > 0.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.needs_times() && !self.output
    }

    pub(crate) fn list(&self) -> usize {
        self.list.into()
    }

    pub(crate) fn ttl_secs(&self) -> u64 {
        self.ttl_secs.into()
    }

    pub(crate) fn quantile_of(&self, kind: Awaits) -> Option<f32> {
        let quantile = self.quantiles[kind as usize];
        (quantile > 0.0).then_some(quantile)
    }

    pub(crate) fn decay(&self) -> Option<f32> {
        (self.peak_decay > 0.0).then_some(self.peak_decay)
    }

    pub(crate) fn penalty(&self) -> f32 {
        self.peak_penalty
    }

    pub(crate) fn has_output(&self) -> bool {
        self.output
    }

    pub(crate) fn has_headroom(&self) -> bool {
        self.headroom
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_that_is_none_is_ignored() {
        for nonsense in [0.0, -1.0, 1.1, f64::NAN] {
            let track = Track::default().quantile(Awaits::Answer, nonsense);
            assert_eq!(track, Track::default());
        }
    }
}

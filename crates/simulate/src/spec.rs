//! What a scenario file may say.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    distribution::Distribution,
    numbers::{Capacity, Checked, Factor, LONGEST, Rate, Seconds, Share, Weight, list, name},
};

/// How many requests a run may have.
pub(crate) const MAX_REQUESTS: u64 = 5_000_000;

/// How many clients a closed loop may have.
const MAX_CLIENTS: u32 = 100_000;

/// A scenario file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    #[serde(default)]
    pub(crate) seed: u64,
    pub(crate) requests: Option<u64>,
    pub(crate) duration: Option<Seconds>,
    pub(crate) max_in_flight: Option<u32>,
    pub(crate) arrival: Option<Arrival>,
    #[serde(default, deserialize_with = "list")]
    pub(crate) classes: Vec<Class>,
    #[serde(default)]
    pub(crate) providers: BTreeMap<String, Model>,
    #[serde(default, deserialize_with = "list")]
    pub(crate) strategies: Vec<String>,
    pub(crate) config: Option<String>,
}

/// When requests come.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arrival {
    pub(crate) rate: Option<Rate>,
    #[serde(default)]
    pub(crate) shape: Shape,
    #[serde(default, deserialize_with = "list")]
    pub(crate) profile: Vec<Point>,
    pub(crate) clients: Option<u32>,
    pub(crate) think_time: Option<Distribution>,
}

/// How the rate goes from one point of its profile to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shape {
    #[default]
    Steps,
    Ramp,
}

/// The rate from a time on, or at it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Point {
    pub(crate) at: Seconds,
    pub(crate) rate: Rate,
}

/// A kind of request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Class {
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) share: Weight,
    pub(crate) model: String,
    #[serde(default)]
    pub(crate) stream: bool,
    pub(crate) input_tokens: Option<Distribution>,
    pub(crate) output_tokens: Option<Distribution>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) session: Option<SessionSpec>,
    #[serde(default)]
    pub(crate) tools: bool,
    #[serde(default)]
    pub(crate) images: bool,
    #[serde(default, deserialize_with = "list")]
    pub(crate) tags: Vec<String>,
    pub(crate) users: Option<u32>,
    pub(crate) priority: Option<i64>,
    pub(crate) key: Option<String>,
    pub(crate) hang_up: Option<HangUp>,
}

/// A conversation: each turn sends all that was said before.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionSpec {
    pub(crate) turns: Distribution,
    pub(crate) think_time: Distribution,
}

/// A client that does not wait for the end.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HangUp {
    pub(crate) share: Share,
    pub(crate) after: Distribution,
}

/// How a deployment behaves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Model {
    pub(crate) first_token: Distribution,
    pub(crate) seconds_per_token: Distribution,
    pub(crate) capacity: Capacity,
    pub(crate) max_concurrent: Option<u32>,
    pub(crate) rpm: Option<u64>,
    pub(crate) tpm: Option<u64>,
    pub(crate) refusal_time: Distribution,
    pub(crate) retry_after: Seconds,
    #[serde(deserialize_with = "list")]
    pub(crate) failures: Vec<Failure>,
    #[serde(deserialize_with = "list")]
    pub(crate) outages: Vec<Outage>,
    pub(crate) prompt_cache: Option<PromptCache>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            first_token: Distribution::log_normal(0.4, 1.0),
            seconds_per_token: Distribution::Fixed(0.01),
            capacity: Capacity::default(),
            max_concurrent: None,
            rpm: None,
            tpm: None,
            refusal_time: Distribution::Fixed(0.02),
            retry_after: Seconds(1.0),
            failures: Vec::new(),
            outages: Vec::new(),
            prompt_cache: None,
        }
    }
}

/// A share of the requests that fails.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failure {
    pub(crate) share: Share,
    pub(crate) kind: FailureKind,
    #[serde(default = "at_once")]
    pub(crate) after: Distribution,
}

const fn at_once() -> Distribution {
    Distribution::Fixed(0.001)
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FailureKind {
    Internal,
    Overloaded,
    Unavailable,
    RateLimited,
    Authentication,
    Connect,
    /// It is never answered.
    Hang,
    /// The answer breaks off in the middle.
    Broken,
}

/// A time in which a deployment does not do what it should.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outage {
    pub(crate) from: Seconds,
    pub(crate) to: Seconds,
    pub(crate) kind: OutageKind,
    #[serde(default)]
    pub(crate) factor: Factor,
}

/// What a deployment does instead.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutageKind {
    /// No connection can be made.
    Down,
    /// Everything takes `factor` times as long.
    Slow,
    /// New requests are answered with 429.
    Throttled,
}

/// A provider's prompt cache.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptCache {
    /// How long a prompt stays after it was used.
    pub(crate) ttl: Seconds,
    /// The part of the time to the first token that a cached token takes of what another does.
    #[serde(default)]
    pub(crate) first_token: Share,
}

impl Spec {
    /// What is wrong with it as a whole.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.requests.is_some_and(|n| n == 0 || n > MAX_REQUESTS) {
            return Err(format!("`requests` must be between 1 and {MAX_REQUESTS}"));
        }
        if self.providers.len() > 1_000 {
            return Err("`providers` has more than 1000 entries".to_owned());
        }
        for (pattern, model) in &self.providers {
            let at = |error| format!("`providers.{}`: {error}", pattern.escape_debug());
            name(pattern).and_then(|()| model.check()).map_err(at)?;
        }
        self.arrival.as_ref().map_or(Ok(()), Arrival::check)
    }
}

impl Arrival {
    fn check(&self) -> Result<(), String> {
        let told = match (self.rate, self.clients) {
            (Some(rate), None) if rate.0 > 0.0 || self.top_rate() > 0.0 => {
                self.think_time.is_none()
            }
            (None, None) if self.top_rate() > 0.0 => self.think_time.is_none(),
            (None, Some(1..=MAX_CLIENTS)) => self.profile.is_empty(),
            _ => false,
        };
        if !told {
            return Err(format!(
                "`arrival` must have a `rate` or a `profile` over 0, or up to {MAX_CLIENTS} `clients` with a `think_time`"
            ));
        }
        if !self.profile.is_sorted_by(|a, b| a.at < b.at) {
            return Err("`arrival.profile` is not in the order of time".to_owned());
        }
        Ok(())
    }

    /// The highest rate.
    pub(crate) fn top_rate(&self) -> f64 {
        let rates = self.profile.iter().map(|point| point.rate);
        let rates = rates.chain(self.rate).map(|rate| rate.0);
        rates.fold(0.0, f64::max)
    }

    /// The rate after the last point.
    pub(crate) fn last_rate(&self) -> f64 {
        let last = self.profile.last().map(|point| point.rate);
        last.or(self.rate).unwrap_or_default().0
    }

    /// The rate at a time.
    pub(crate) fn rate_at(&self, at: f64) -> f64 {
        let next = self.profile.partition_point(|point| point.at.0 <= at);
        let after = self.profile.get(next);
        let Some(before) = next.checked_sub(1).map(|i| self.profile[i]) else {
            let first = self.profile.first().map(|point| point.rate);
            return self.rate.or(first).unwrap_or_default().0;
        };
        match after {
            Some(after) if self.shape == Shape::Ramp => {
                let part = (at - before.at.0) / (after.at.0 - before.at.0);
                (after.rate.0 - before.rate.0).mul_add(part, before.rate.0)
            }
            _ => before.rate.0,
        }
    }
}

impl Model {
    fn check(&self) -> Result<(), String> {
        let share: f64 = self.failures.iter().map(|failure| failure.share.0).sum();
        if share > 1.0 + 1e-9 {
            return Err("the shares of `failures` are more than 1 together".to_owned());
        }
        if self.max_concurrent == Some(0) || self.rpm == Some(0) || self.tpm == Some(0) {
            return Err("a limit is 0".to_owned());
        }
        Ok(())
    }
}

impl Checked for Point {
    const MOST: usize = 1_000;

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Checked for Class {
    const MOST: usize = 64;

    fn check(&self) -> Result<(), String> {
        name(&self.model)?;
        for own in [&self.name, &self.key].into_iter().flatten() {
            name(own)?;
        }
        if self.users == Some(0) {
            return Err("`users` is 0".to_owned());
        }
        Ok(())
    }
}

impl Checked for Failure {
    const MOST: usize = 16;

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

impl Checked for Outage {
    const MOST: usize = 64;

    fn check(&self) -> Result<(), String> {
        if self.from >= self.to || self.to.0 > LONGEST {
            return Err("an outage ends before it begins".to_owned());
        }
        Ok(())
    }
}

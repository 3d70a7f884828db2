//! What came out.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;

use crate::{
    Scenario, draw,
    line::Line,
    provider::{Provider, Tally},
    record::Records,
    series::{STEPS, Series},
};

/// What came out of a simulation: each strategy under the same load.
///
/// Its text is a set of tables; [`to_json`](Self::to_json) and [`svg`](Self::svg) show the same as
/// data and as drawings. All three depend on the scenario alone, except for the last line of the text,
/// which says how fast it ran.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What the scenario is called.
    pub scenario: String,
    /// The seed of all random numbers.
    pub seed: u64,
    /// One for each strategy, in the order of the scenario.
    pub strategies: Vec<StrategyReport>,
}

/// How one strategy did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct StrategyReport {
    /// Its name in `routing_strategy`.
    pub strategy: String,
    /// Requests that were sent.
    pub requests: u64,
    /// Those that were answered to the end.
    pub answered: u64,
    /// Those that failed, by kind of error; a refusal by its reason.
    pub failed: BTreeMap<String, u64>,
    /// Those whose client left.
    pub hung_up: u64,
    /// Those that were given up since nothing happened any more.
    pub unfinished: u64,
    /// Seconds to the first token of those answered; to the answer, if it was not streamed.
    pub first_token: Latency,
    /// Seconds to the end of those answered.
    pub total: Latency,
    /// Dispatches to deployments.
    pub attempts: u64,
    /// Most dispatches for one request.
    pub most_attempts: u64,
    /// Tries again in the same group.
    pub retries: u64,
    /// Moves to another group.
    pub fallbacks: u64,
    /// Dollars, as far as prices are known.
    pub cost: f64,
    /// The mean number of requests on their way.
    pub in_flight: f64,
    /// The share of a session's requests that went where most of them did; `None` without sessions.
    pub stickiness: Option<f64>,
    /// The requests of the busiest deployment over the mean, among deployments of a group that behave
    /// alike; the worst group counts. `None` if no two are alike.
    pub skew: Option<f64>,
    /// The deployments, in the order of the configuration.
    pub deployments: Vec<DeploymentReport>,
    /// The classes of requests, in the order of the scenario; none of a trace.
    pub classes: Vec<ClassReport>,
    /// Failed dispatches over time, at the end of their request.
    pub errors: Vec<f64>,
    /// The length of a step of what is shown over time, in seconds.
    pub step: f64,
    /// Simulated seconds.
    pub seconds: f64,
    /// How fast it was simulated; no part of the outcome.
    #[serde(skip)]
    pub speed: Speed,
}

/// How one deployment did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeploymentReport {
    /// Its id.
    pub id: String,
    /// Its group.
    pub group: String,
    /// Dispatches to it, as the ledgers of the requests have them.
    pub attempts: u64,
    /// Calls that it saw.
    pub calls: u64,
    /// Requests that were answered by it.
    pub served: u64,
    /// The same as a part of all that were answered.
    pub share: f64,
    /// Failed dispatches, by kind of error.
    pub failures: BTreeMap<&'static str, u64>,
    /// Mean requests in flight.
    pub load: f64,
    /// Most requests in flight.
    pub peak: u32,
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Input tokens from its cache.
    pub cached_tokens: u64,
    /// Output tokens.
    pub output_tokens: u64,
    /// Dollars, as far as prices are known.
    pub cost: f64,
    /// Mean requests in flight, over time.
    pub in_flight: Vec<f64>,
}

/// How the requests of one class waited, and what became of them.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ClassReport {
    /// Its name; else that of its key, or its model and priority.
    pub class: String,
    /// The name of the key that its requests present.
    pub key: Option<String>,
    /// Requests that ended.
    pub requests: u64,
    /// Those that were answered to the end.
    pub answered: u64,
    /// Those that were refused before anything was sent.
    pub refused: u64,
    /// Seconds that those waited whose turn came.
    pub wait: Latency,
    /// The mean number of requests that had their turn, as a part of those of all classes.
    pub share: f64,
    /// Mean requests that waited, over time.
    pub waiting: Vec<f64>,
    /// Mean seconds that those had waited whose turn came, over time; `None` where none came.
    pub waits: Vec<Option<f64>>,
    /// Mean requests that had their turn, over time.
    pub running: Vec<f64>,
}

/// How long something takes, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// The mean.
    pub mean: f64,
    /// Half of all take no longer.
    pub p50: f64,
    /// 95 of 100 take no longer.
    pub p95: f64,
    /// 99 of 100 take no longer.
    pub p99: f64,
}

/// How fast a simulation ran.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Speed {
    /// How long it took, by the clock on the wall.
    pub wall: Duration,
    /// Simulated requests for each second of it.
    pub requests_per_second: f64,
}

impl Speed {
    pub(crate) fn new(wall: Duration, requests: u64) -> Self {
        Self {
            wall,
            requests_per_second: requests as f64 / wall.as_secs_f64().max(1e-9),
        }
    }
}

impl Report {
    pub(crate) fn new(scenario: &Scenario, strategies: Vec<StrategyReport>) -> Self {
        Self {
            scenario: scenario.name.to_string(),
            seed: scenario.spec.seed,
            strategies,
        }
    }

    /// Everything as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and names always serialise")
    }

    /// Drawings: latencies and shares of all strategies, then load and errors over time.
    #[must_use]
    pub fn svg(&self) -> String {
        draw::svg(self)
    }
}

impl StrategyReport {
    /// How many failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Whether any request waited for its turn.
    pub(crate) fn has_waited(&self) -> bool {
        let mut waiting = self.classes.iter().flat_map(|class| &class.waiting);
        waiting.any(|requests| *requests > 0.0)
    }

    /// Dispatches for each request.
    #[must_use]
    pub fn attempts_per_request(&self) -> f64 {
        self.attempts as f64 / self.requests.max(1) as f64
    }
}

impl Latency {
    fn of(values: &mut [f32]) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
        values.sort_unstable_by(f32::total_cmp);
        // The nearest rank.
        let at = |part: f64| {
            let rank = (part * values.len() as f64).ceil() as usize;
            f64::from(values[rank.clamp(1, values.len()) - 1])
        };
        Self {
            mean: sum / values.len() as f64,
            p50: at(0.50),
            p95: at(0.95),
            p99: at(0.99),
        }
    }
}

/// The report on a run that is over.
pub(crate) fn of(
    strategy: &str,
    records: &mut Records,
    providers: &[Arc<Provider>],
    patterns: &[usize],
    seconds: f64,
) -> StrategyReport {
    let tallies: Vec<Tally> = providers.iter().map(|provider| provider.tally()).collect();
    let all = tallies.iter().map(|tally| &tally.level);
    let lines = records.lines.iter();
    let lines = lines.flat_map(|line| [&line.waiting, &line.turns, &line.running]);
    let step = step(all.chain([&records.errors]).chain(lines), seconds);
    let share = |served: u64| served as f64 / records.answered.max(1) as f64;
    let deployments: Vec<_> = providers
        .iter()
        .zip(&records.deployments)
        .zip(tallies)
        .map(|((provider, served), tally)| DeploymentReport {
            id: provider.deployment().id().to_string(),
            group: provider.deployment().group().to_owned(),
            attempts: served.attempts,
            calls: tally.attempts,
            served: served.served,
            share: share(served.served),
            failures: served.failures.clone(),
            load: tally.area / seconds.max(1e-9),
            peak: tally.peak,
            input_tokens: tally.input,
            cached_tokens: tally.cached,
            output_tokens: tally.output,
            cost: tally.cost,
            in_flight: steps(tally.level, step, seconds)
                .into_iter()
                .map(|area| area / step)
                .collect(),
        })
        .collect();
    StrategyReport {
        strategy: strategy.to_owned(),
        requests: records.sent,
        answered: records.answered,
        failed: records.failed.clone(),
        hung_up: records.hung_up,
        unfinished: records.sent - records.ended(),
        first_token: Latency::of(&mut records.first),
        total: Latency::of(&mut records.total),
        attempts: records.attempts,
        most_attempts: records.most_attempts,
        retries: records.retries,
        fallbacks: records.fallbacks,
        cost: deployments.iter().map(|deployment| deployment.cost).sum(),
        in_flight: records.seconds / seconds.max(1e-9),
        stickiness: records.stickiness(),
        skew: skew(&deployments, patterns),
        errors: steps(std::mem::take(&mut records.errors), step, seconds),
        classes: classes(std::mem::take(&mut records.lines), step, seconds),
        deployments,
        step,
        seconds,
        speed: Speed::default(),
    }
}

fn classes(lines: Vec<Line>, step: f64, seconds: f64) -> Vec<ClassReport> {
    let mean = |series| {
        let sums = steps(series, step, seconds).into_iter();
        sums.map(|area| area / step).collect::<Vec<_>>()
    };
    let class = |mut line: Line| ClassReport {
        class: line.name,
        key: line.key,
        requests: line.requests,
        answered: line.answered,
        refused: line.refused,
        wait: Latency::of(&mut line.waits),
        share: 0.0,
        waiting: mean(line.waiting),
        waits: steps(line.waited, step, seconds)
            .into_iter()
            .zip(steps(line.turns, step, seconds))
            .map(|(waited, turns)| (turns > 0.0).then(|| waited / turns))
            .collect(),
        running: mean(line.running),
    };
    let mut classes: Vec<_> = lines.into_iter().map(class).collect();
    let sum = |class: &ClassReport| class.running.iter().sum::<f64>();
    let all: f64 = classes.iter().map(sum).sum();
    for class in &mut classes {
        class.share = sum(class) / all.max(1e-9);
    }
    classes
}

/// A step that suits all series.
fn step<'a>(series: impl Iterator<Item = &'a Series>, seconds: f64) -> f64 {
    let mut step = series.map(Series::step).fold(0.0, f64::max);
    while seconds > STEPS as f64 * step {
        step *= 2.0;
    }
    step
}

fn steps(mut series: Series, step: f64, seconds: f64) -> Vec<f64> {
    series.coarsen(step);
    series.sums(seconds)
}

/// The worst skew among deployments of a group that are described by the same words.
fn skew(deployments: &[DeploymentReport], patterns: &[usize]) -> Option<f64> {
    let mut alike: HashMap<(&str, usize), Vec<u64>> = HashMap::new();
    for (deployment, pattern) in deployments.iter().zip(patterns) {
        let key = (deployment.group.as_str(), *pattern);
        alike.entry(key).or_default().push(deployment.served);
    }
    let skews = alike.values().filter_map(|served| {
        let sum: u64 = served.iter().sum();
        let most = *served.iter().max()?;
        (served.len() > 1 && sum > 0).then(|| most as f64 * served.len() as f64 / sum as f64)
    });
    skews.reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut values: Vec<f32> = (1..=100_u8).rev().map(f32::from).collect();
        let latency = Latency::of(&mut values);
        assert_eq!((latency.p50, latency.p95, latency.p99), (50.0, 95.0, 99.0));
        assert_eq!(latency.mean, 50.5);
        assert_eq!(Latency::of(&mut [3.0]).p99, 3.0);
        assert_eq!(Latency::of(&mut []), Latency::default());
    }
}

//! Runs a scenario, once for each strategy.

use std::{fmt, future::Future as _, sync::Arc, time::Duration};

use futures_util::future::poll_fn;
use tokio::{
    runtime::{Builder, Handle},
    time::interval,
};
use ziggurat::config::Plan;

use crate::{
    Report, Scenario, ScenarioError,
    report::{Speed, StrategyReport},
    stage::Run,
};

/// How often progress is told, in simulated time.
const TICK: Duration = Duration::from_millis(250);

/// Why nothing was simulated.
#[derive(Debug)]
#[non_exhaustive]
pub enum SimulationError {
    /// The scenario does not fit together.
    Scenario(ScenarioError),
    /// The configuration cannot have a strategy; says why.
    Strategy(String),
    /// The stack cannot be built.
    Stack(ziggurat::Error),
    /// There is a Tokio runtime around the call already.
    InsideRuntime,
    /// The runtime could not be made.
    Runtime(std::io::Error),
    /// Far more comes in than is served: so many requests are on their way at once.
    Overrun {
        /// When, in seconds since the beginning.
        at: f64,
        /// How many requests, pauses between the turns of a session included.
        in_flight: usize,
    },
}

impl fmt::Display for SimulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scenario(error) => error.fmt(f),
            Self::Strategy(error) => f.write_str(error),
            Self::Stack(error) => f.write_str(error.message()),
            Self::InsideRuntime => f.write_str("cannot be simulated inside a Tokio runtime"),
            Self::Runtime(error) => write!(f, "no runtime: {error}"),
            Self::Overrun { at, in_flight } => write!(
                f,
                "{in_flight} requests are in flight after {at:.0} s: far more comes in than is served"
            ),
        }
    }
}

impl std::error::Error for SimulationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Runtime(error) => Some(error),
            Self::Stack(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ScenarioError> for SimulationError {
    fn from(error: ScenarioError) -> Self {
        Self::Scenario(error)
    }
}

/// How far a simulation is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The strategy that is simulated now.
    pub strategy: &'a str,
    /// Which of the strategies it is, from 0.
    pub index: usize,
    /// How many strategies are compared.
    pub strategies: usize,
    /// Requests of this strategy that have ended.
    pub done: u64,
    /// Requests that there will be, if that is known.
    pub expected: Option<u64>,
    /// Simulated seconds since the beginning.
    pub at: f64,
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (strategy, number, all) = (self.strategy, self.index + 1, self.strategies);
        write!(f, "{strategy} ({number} of {all}): {}", self.done)?;
        if let Some(expected) = self.expected {
            write!(f, " of {expected}")?;
        }
        write!(f, " requests, {:.0} s simulated", self.at)
    }
}

/// Simulates a scenario, once for each of its strategies.
///
/// It makes a Tokio runtime of its own on this thread, with a time of its own, so it must not be
/// called inside of one; in an async program use a thread that blocks. The same scenario gives the
/// same report, whenever and wherever it runs; only [`Speed`] differs.
///
/// # Errors
///
/// If the scenario does not fit together, or far more comes in than is served.
pub fn run(scenario: &Scenario) -> Result<Report, SimulationError> {
    run_with(scenario, |_| {})
}

/// The same, and tells how far it is: about four times in a simulated second.
///
/// # Errors
///
/// As [`run`].
pub fn run_with(
    scenario: &Scenario,
    mut progress: impl FnMut(Progress<'_>),
) -> Result<Report, SimulationError> {
    if Handle::try_current().is_ok() {
        return Err(SimulationError::InsideRuntime);
    }
    scenario.check()?;
    let names = scenario.strategies();
    let plans = names.iter().map(|name| scenario.plan.with_strategy(name));
    let plans: Vec<_> = plans
        .collect::<Result<_, _>>()
        .map_err(SimulationError::Strategy)?;
    let mut strategies = Vec::new();
    for (index, (plan, name)) in plans.iter().zip(&names).enumerate() {
        let told = Progress {
            strategy: name,
            index,
            strategies: names.len(),
            done: 0,
            expected: scenario.expected(),
            at: 0.0,
        };
        strategies.push(simulate(scenario, plan, told, &mut progress)?);
    }
    Ok(Report::new(scenario, strategies))
}

fn simulate(
    scenario: &Scenario,
    plan: &Plan,
    mut told: Progress<'_>,
    progress: &mut impl FnMut(Progress<'_>),
) -> Result<StrategyReport, SimulationError> {
    #[expect(
        clippy::disallowed_types,
        reason = "how long it takes outside of the simulation"
    )]
    let began = std::time::Instant::now();
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(SimulationError::Runtime)?;
    // The layers draw from the generator of the thread.
    let before = fastrand::get_seed();
    fastrand::seed(scenario.spec.seed);
    let run = runtime.block_on(async {
        let run = Arc::new(Run::new(scenario, plan)?);
        let mut tick = interval(TICK);
        let mut load = std::pin::pin!(run.load(scenario));
        let result = poll_fn(|cx| {
            while tick.poll_tick(cx).is_ready() {
                told.done = run.ended();
                told.at = run.now();
                progress(told.clone());
            }
            load.as_mut().poll(cx)
        })
        .await;
        result.map(|()| run.report(told.strategy))
    });
    drop(runtime);
    fastrand::seed(before);
    let mut report = run?;
    report.speed = Speed::new(began.elapsed(), report.requests);
    Ok(report)
}

impl Scenario {
    /// How many requests there will be, as far as that can be known.
    pub(crate) fn expected(&self) -> Option<u64> {
        match &self.trace {
            Some(trace) => Some(trace.entries.len() as u64),
            None => self.spec.requests,
        }
    }
}

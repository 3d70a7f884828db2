//! What has been learned, and the choice by it.

use std::time::Duration;

use fastrand::Rng;

use super::{Arm, Context, Policy, beta::Beta};

/// How many requests what is said of a group beforehand counts for.
const PRIOR: f64 = 2.0;

/// How many requests, those of long ago as parts of one, make a group a known one.
const KNOWN: f64 = 10.0;

/// Thompson sampling (Thompson, 1933) on Beta posteriors over rewards from 0 to 1 (Agrawal and Goyal,
/// "Analysis of Thompson Sampling for the Multi-armed Bandit Problem", 2012) that forget
/// (discounted Thompson sampling: Raj and Kalyani, "Taming Non-stationary Bandits", 2017), with
/// bounds on what is explored.
///
/// With each request that ends, all that is known of its context fades by a factor, so it weighs no
/// more than `memory` requests, and a group that nobody chose for long becomes unknown again.
#[derive(Clone, Debug)]
pub(super) struct Learner {
    policy: Policy,
    /// What all weighs less with each request.
    fade: f64,
    arms: usize,
    /// The arms of the first context, those of the second, and so on.
    cells: Box<[Cell]>,
}

/// What is known of an arm in a context.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    prior: Beta,
    good: f64,
    bad: f64,
    pub(super) requests: f64,
    first_token: Mean,
    cost: Mean,
}

/// A mean that fades.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Mean {
    sum: f64,
    weight: f64,
}

/// Which arm, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pick {
    pub(super) arm: usize,
    /// Chosen for its own share, whatever is expected of it.
    pub(super) explores: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Result {
    Failed,
    Answered {
        first_token: Duration,
        /// Dollars, if known.
        cost: Option<f64>,
    },
}

impl Learner {
    pub(super) fn new(arms: &[Arm], policy: Policy) -> Self {
        let policy = Policy {
            weights: policy.weights.normalised(),
            least: policy.least.min(policy.most / arms.len() as f64),
            ..policy
        };
        let contexts = (0..Context::COUNT as u8).map(Context::new);
        let cell = |arm: &Arm, context| Cell::new(arm.prior(context));
        Self {
            policy,
            fade: 1.0 - 1.0 / policy.memory,
            arms: arms.len(),
            cells: contexts
                .flat_map(|context| arms.iter().map(move |arm| cell(arm, context)))
                .collect(),
        }
    }

    /// What is known of the arms in a context.
    pub(super) fn cells(&self, context: Context) -> &[Cell] {
        &self.cells[context.number() * self.arms..][..self.arms]
    }

    pub(super) fn cells_mut(&mut self, context: Context) -> &mut [Cell] {
        &mut self.cells[context.number() * self.arms..][..self.arms]
    }

    /// Chooses an arm for a request.
    pub(super) fn choose(&self, context: Context, rng: &mut Rng) -> Pick {
        let cells = self.cells(context);
        let known = cells.iter().filter(|cell| cell.is_known()).count();
        let explored = self.policy.least * self.arms as f64;
        if rng.f64() < explored {
            let arm = rng.usize(..self.arms);
            return Pick {
                arm,
                explores: true,
            };
        }
        let only_known = known > 0 && {
            // The unknown ones get `least` each above, so this much is left for them here.
            let unknown = (self.arms - known) as f64;
            let left = unknown.mul_add(-self.policy.least, self.policy.most);
            rng.f64() * (1.0 - explored) >= left
        };
        let mut best = (0, f64::NEG_INFINITY);
        for (arm, cell) in cells.iter().enumerate() {
            if only_known && !cell.is_known() {
                continue;
            }
            let value = cell.belief().sample(rng);
            if value > best.1 {
                best = (arm, value);
            }
        }
        Pick {
            arm: best.0,
            explores: false,
        }
    }

    /// A request that an arm was chosen for has ended.
    pub(super) fn settle(&mut self, context: Context, arm: usize, result: Result) {
        let (fade, weights) = (self.fade, self.policy.weights);
        let cells = self.cells_mut(context);
        for cell in &mut *cells {
            cell.fade(fade);
        }
        cells[arm].requests += 1.0;
        let Result::Answered { first_token, cost } = result else {
            cells[arm].learn(0.0, 1.0);
            return;
        };
        let first_token = first_token.as_secs_f64();
        cells[arm].first_token.add(first_token);
        let latency = compare(first_token, cells.iter().map(|cell| cell.first_token));
        // An unknown cost is as good as that of the others.
        let cost = cost.map_or(0.5, |cost| {
            cells[arm].cost.add(cost);
            compare(cost, cells.iter().map(|cell| cell.cost))
        });
        let weight = weights.success + weights.latency + weights.cost;
        let reward = weights
            .cost
            .mul_add(cost, weights.latency.mul_add(latency, weights.success));
        if weight > 0.0 {
            cells[arm].learn(reward / weight, weight);
        }
    }

    /// The caller says how good an answer was, from 0 to 1.
    pub(super) fn report(&mut self, context: Context, arm: usize, outcome: f64) {
        let weight = self.policy.weights.outcome;
        self.cells_mut(context)[arm].learn(outcome, weight);
    }
}

impl Cell {
    fn new(prior: f64) -> Self {
        Self {
            prior: Beta {
                good: PRIOR * prior,
                bad: PRIOR * (1.0 - prior),
            },
            good: 0.0,
            bad: 0.0,
            requests: 0.0,
            first_token: Mean::default(),
            cost: Mean::default(),
        }
    }

    pub(super) fn belief(&self) -> Beta {
        Beta {
            good: self.prior.good + self.good,
            bad: self.prior.bad + self.bad,
        }
    }

    pub(super) fn is_known(&self) -> bool {
        self.requests >= KNOWN
    }

    /// Takes over what another has learned; what was said beforehand stays its own.
    pub(super) fn adopt(&mut self, other: &Self) {
        *self = Self {
            prior: self.prior,
            ..*other
        };
    }

    fn learn(&mut self, reward: f64, weight: f64) {
        self.good += weight * reward;
        self.bad += weight * (1.0 - reward);
    }

    fn fade(&mut self, by: f64) {
        self.good *= by;
        self.bad *= by;
        self.requests *= by;
        self.first_token.fade(by);
        self.cost.fade(by);
    }
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.weight += 1.0;
    }

    fn fade(&mut self, by: f64) {
        self.sum *= by;
        self.weight *= by;
    }

    /// Nothing, once it is as good as forgotten.
    fn get(self) -> Option<f64> {
        (self.weight > 0.01).then(|| self.sum / self.weight)
    }
}

/// How small a value is among the arms, from 0 to 1: a half if it is what they have on average, the
/// busy ones counting no more than the others.
fn compare(value: f64, means: impl Iterator<Item = Mean>) -> f64 {
    let (sum, count) = means
        .filter_map(Mean::get)
        .fold((0.0, 0.0), |(sum, count), mean| (sum + mean, count + 1.0));
    let usual = sum / count;
    if usual > 0.0 {
        usual / (usual + value)
    } else {
        0.5
    }
}

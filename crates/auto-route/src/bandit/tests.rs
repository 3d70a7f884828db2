//! The algorithm against a naive model, and in simulated surroundings.

use std::num::NonZeroU32;

use fastrand::Rng;
use proptest::prelude::*;
use ziggurat_core::LlmRequest;

use super::*;

const PLAIN: Context = Context::new(0);
const SOON: Duration = Duration::from_millis(100);

fn arms<const N: usize>(groups: [&'static str; N]) -> [Arm; N] {
    groups.map(Arm::new)
}

/// Only whether there is an answer counts.
fn success() -> Policy {
    Policy::new().weights(Weights {
        success: 1.0,
        latency: 0.0,
        cost: 0.0,
        outcome: 0.0,
    })
}

fn answered() -> Ended {
    Ended::Answered {
        first_token: SOON,
        cost: None,
    }
}

/// Surroundings in which each arm succeeds with a chance of its own.
struct Surroundings {
    learner: Learner,
    rng: Rng,
    chosen: Vec<usize>,
}

impl Surroundings {
    fn new(arms: &[Arm], policy: Policy, seed: u64) -> Self {
        Self {
            learner: Learner::new(arms, policy),
            rng: Rng::with_seed(seed),
            chosen: Vec::new(),
        }
    }

    /// Sends requests; returns the regret: how many more answers the best arm would have given.
    fn run(&mut self, requests: usize, chances: &[f64]) -> f64 {
        let best = chances.iter().copied().fold(0.0, f64::max);
        let mut regret = 0.0;
        for _ in 0..requests {
            let arm = self.learner.choose(PLAIN, &mut self.rng).arm;
            let succeeds = self.rng.f64() < chances[arm];
            let ended = if succeeds { answered() } else { Ended::Failed };
            self.learner.settle(PLAIN, arm, ended);
            self.chosen.push(arm);
            regret += best - chances[arm];
        }
        regret
    }

    /// The share of an arm among the last requests.
    fn share(&self, arm: usize, last: usize) -> f64 {
        let latest = &self.chosen[self.chosen.len() - last..];
        latest.iter().filter(|it| **it == arm).count() as f64 / last as f64
    }
}

#[test]
fn it_finds_the_best_of_three_with_a_fraction_of_the_regret_of_chance() {
    let chances = [0.7, 0.9, 0.5];
    let by_chance = 3_000.0 * (0.2 + 0.0 + 0.4) / 3.0;
    for seed in 0..10 {
        let mut it = Surroundings::new(&arms(["a", "b", "c"]), success(), seed);
        let regret = it.run(3_000, &chances);
        assert!(regret < 0.25 * by_chance, "{regret} of {by_chance}");
        assert!(it.share(1, 1_000) > 0.75, "{}", it.share(1, 1_000));
    }
}

#[test]
fn it_leaves_an_arm_that_breaks_and_comes_back_to_it() {
    for seed in 0..10 {
        let mut it = Surroundings::new(&arms(["a", "b"]), success(), seed);
        it.run(2_000, &[0.95, 0.7]);
        assert!(it.share(0, 500) > 0.8);
        it.run(1_500, &[0.0, 0.7]);
        assert!(it.share(0, 500) < 0.1, "{}", it.share(0, 500));
        it.run(4_000, &[0.95, 0.7]);
        assert!(it.share(0, 500) > 0.7, "{}", it.share(0, 500));
    }
}

#[test]
fn every_arm_keeps_its_floor() {
    let policy = success().explore(0.05, 0.3);
    let mut it = Surroundings::new(&arms(["good", "bad", "worse"]), policy, 4);
    it.run(20_000, &[1.0, 0.1, 0.0]);
    let sigma = (0.05 * 0.95 / 20_000.0_f64).sqrt();
    for arm in 0..3 {
        let share = it.share(arm, 20_000);
        assert!(0.05 - share <= 3.0 * sigma, "{arm}: {share}");
    }
}

#[test]
fn unknown_arms_get_no_more_than_their_ceiling_however_promising() {
    let policy = success().explore(0.02, 0.1);
    let old = Bandit::new("auto", arms(["a", "b"]), policy).expect("is valid");
    for arm in [0, 1].repeat(50) {
        old.shared.settle(PLAIN, arm, Ended::Failed);
    }
    let hopeful = ["a", "b", "x", "y"].map(|group| Arm::new(group).quality(1.0));
    let bandit = Bandit::new("auto", hopeful, policy).expect("is valid");
    bandit.adopt(&old);
    let mut rng = Rng::with_seed(5);
    let unknown = (0..10_000)
        .filter(|_| bandit.shared.choose(PLAIN, &mut rng).0 >= 2)
        .count() as f64;
    let sigma = (10_000.0_f64 * 0.1 * 0.9).sqrt();
    assert!((unknown - 1_000.0).abs() <= 3.0 * sigma, "{unknown}");
}

#[test]
fn the_faster_and_the_cheaper_of_equal_arms_is_preferred() {
    for (first_token, cost) in [([100, 300], [1.0, 1.0]), ([100, 100], [1.0, 3.0])] {
        let mut learner = Learner::new(&arms(["a", "b"]), Policy::new());
        let mut rng = Rng::with_seed(6);
        let mut best = 0;
        for i in 0..4_000 {
            let arm = learner.choose(PLAIN, &mut rng).arm;
            let jitter = 0.5 + rng.f64();
            let ended = Ended::Answered {
                first_token: Duration::from_millis(first_token[arm]).mul_f64(jitter),
                cost: Some(cost[arm] * jitter),
            };
            learner.settle(PLAIN, arm, ended);
            best += usize::from(i >= 3_000 && arm == 0);
        }
        assert!(best > 650, "{best} of 1,000");
    }
}

#[test]
fn what_callers_report_decides_between_equal_arms() {
    let bandit = Bandit::new("auto", arms(["a", "b"]), Policy::new()).expect("is valid");
    let mut rng = Rng::with_seed(7);
    let mut best = 0;
    for i in 0..2_000 {
        let (arm, why) = bandit.shared.choose(PLAIN, &mut rng);
        bandit.shared.settle(PLAIN, arm, answered());
        let id = ChoiceId::find(&why).expect("is named");
        assert!(bandit.report(id, if arm == 1 { 7.0 } else { 0.2 }));
        best += usize::from(i >= 1_000 && arm == 1);
    }
    assert!(best > 850, "{best} of 1,000");
}

#[test]
fn a_report_counts_once_and_only_if_it_is_a_number() {
    let bandit = Bandit::new("auto", arms(["a"]), Policy::new()).expect("is valid");
    let (_, why) = bandit.shared.choose(PLAIN, &mut Rng::with_seed(8));
    let id = ChoiceId::find(&why).expect("is named");
    let expected = || bandit.standings(PLAIN)[0].expected();
    let before = expected();
    assert!(!bandit.report(id, f64::NAN));
    assert_eq!(expected(), before);
    assert!(bandit.report(id, 1.0));
    let after = expected();
    assert!(after > before);
    assert!(!bandit.report(id, 1.0));
    assert_eq!(expected(), after);
}

#[test]
fn kinds_of_requests_are_learned_apart() {
    let bandit = Bandit::new("auto", arms(["a", "b"]), success()).expect("is valid");
    let tools = PLAIN.with(Feature::Tools);
    for _ in 0..100 {
        bandit.shared.settle(PLAIN, 0, Ended::Failed);
        bandit.shared.settle(tools, 1, Ended::Failed);
    }
    let expected = |context| {
        bandit
            .standings(context)
            .iter()
            .map(Standing::expected)
            .collect::<Vec<_>>()
    };
    assert!(expected(PLAIN)[0] < 0.1 && expected(PLAIN)[1] == 0.5);
    assert!(expected(tools)[0] == 0.5 && expected(tools)[1] < 0.1);
    bandit.reset();
    assert_eq!(expected(PLAIN), [0.5, 0.5]);
}

#[test]
fn what_is_said_beforehand_is_where_it_begins() {
    let arms = [
        Arm::new("a"),
        Arm::new("b").quality(0.7).strong_in(Feature::Tools),
        Arm::new("c").quality(1.0),
    ];
    let bandit = Bandit::new("auto", arms, Policy::new()).expect("is valid");
    let expected = |context, arm: usize| bandit.standings(context)[arm].expected();
    assert_eq!(expected(PLAIN, 0), 0.5);
    assert_eq!(expected(PLAIN, 1), 0.7);
    assert!((expected(PLAIN.with(Feature::Tools), 1) - 0.9).abs() < 1e-12);
    assert_eq!(expected(PLAIN, 2), 0.95, "experience can change it");
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    let run = || {
        fastrand::seed(9);
        let bandit = Bandit::new("auto", arms(["a", "b", "c"]), Policy::new()).expect("is valid");
        let request = LlmRequest::chat("auto", "hi");
        (0..50)
            .map(|_| {
                bandit
                    .choose(&request)
                    .expect("is for it")
                    .why()
                    .to_string()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let error = |arms: &[Arm], policy| {
        Bandit::new("auto", arms.to_vec(), policy).expect_err("makes no sense")
    };
    let group = || Arc::from("a");
    let two = arms(["a", "b"]);
    let weights = |success, cost| {
        Policy::new().weights(Weights {
            success,
            latency: 0.0,
            cost,
            outcome: 0.0,
        })
    };
    assert_eq!(error(&[], success()), BanditError::Arms);
    assert_eq!(
        error(&vec![Arm::new("a"); 33], success()),
        BanditError::Arms
    );
    assert_eq!(
        error(&arms(["a", "a"]), success()),
        BanditError::Twice { group: group() }
    );
    let wrong = Arm::new("a").quality(1.1);
    assert_eq!(
        error(&[wrong], success()),
        BanditError::Quality { group: group() }
    );
    for (one, other) in [
        (0.0, 0.0),
        (f64::NAN, 1.0),
        (-1.0, 2.0),
        (f64::INFINITY, 0.0),
    ] {
        assert_eq!(error(&two, weights(one, other)), BanditError::Weights);
    }
    assert_eq!(
        error(&two, success().explore(-0.1, 0.5)),
        BanditError::Explore
    );
    assert_eq!(
        error(&two, success().explore(0.1, f64::NAN)),
        BanditError::Explore
    );
}

/// What the model remembers: everything, and from when.
#[derive(Debug, Default)]
struct Naive {
    /// Time, arm, reward, weight.
    rewards: Vec<(i32, usize, f64, f64)>,
    /// Time, arm, seconds.
    first_tokens: Vec<(i32, usize, f64)>,
    costs: Vec<(i32, usize, f64)>,
    now: i32,
}

impl Naive {
    const FADE: f64 = 1.0 - 1.0 / 50.0;

    fn age(&self, time: i32) -> f64 {
        Self::FADE.powi(self.now - time)
    }

    fn compare(&self, value: f64, seen: &[(i32, usize, f64)]) -> f64 {
        let mean = |arm| {
            let of_arm = || seen.iter().filter(move |it| it.1 == arm);
            let weight: f64 = of_arm().map(|it| self.age(it.0)).sum();
            let sum: f64 = of_arm().map(|it| self.age(it.0) * it.2).sum();
            (weight > 0.0).then(|| sum / weight)
        };
        let means: Vec<f64> = (0..3).filter_map(mean).collect();
        let usual = means.iter().sum::<f64>() / means.len() as f64;
        if usual > 0.0 {
            usual / (usual + value)
        } else {
            0.5
        }
    }

    fn expected(&self, arm: usize) -> f64 {
        let (mut good, mut sum) = (1.0, 2.0);
        for (time, _, reward, weight) in self.rewards.iter().filter(|it| it.1 == arm) {
            good += self.age(*time) * weight * reward;
            sum += self.age(*time) * weight;
        }
        good / sum
    }
}

proptest! {
    #[test]
    fn beliefs_are_what_a_model_that_remembers_everything_has(
        steps in prop::collection::vec((0..3_usize, 0..4_u8, 0..2_000_u64, 0.0..1.0_f64), 1..80),
    ) {
        let weights = Weights { success: 0.4, latency: 0.3, cost: 0.2, outcome: 0.1 };
        let memory = NonZeroU32::new(50).expect("is over zero");
        let policy = Policy::new().weights(weights).memory(memory);
        let mut learner = Learner::new(&arms(["a", "b", "c"]), policy);
        let mut naive = Naive::default();
        for (arm, what, millis, value) in steps {
            if what == 0 {
                learner.report(PLAIN, arm, value);
                naive.rewards.push((naive.now, arm, value, 0.1));
                continue;
            }
            naive.now += 1;
            if what == 1 {
                learner.settle(PLAIN, arm, Ended::Failed);
                naive.rewards.push((naive.now, arm, 0.0, 1.0));
                continue;
            }
            let cost = (what == 2).then_some(value);
            let first_token = Duration::from_millis(millis);
            learner.settle(PLAIN, arm, Ended::Answered { first_token, cost });
            naive.first_tokens.push((naive.now, arm, first_token.as_secs_f64()));
            let latency = naive.compare(first_token.as_secs_f64(), &naive.first_tokens);
            let cost = cost.map_or(0.5, |cost| {
                naive.costs.push((naive.now, arm, cost));
                naive.compare(cost, &naive.costs)
            });
            let reward: f64 = [0.4, 0.3 * latency, 0.2 * cost].iter().sum();
            naive.rewards.push((naive.now, arm, reward / 0.9, 0.9));
        }
        for (arm, cell) in learner.cells(PLAIN).iter().enumerate() {
            prop_assert!((cell.belief().mean() - naive.expected(arm)).abs() < 1e-9);
            prop_assert!(cell.requests <= 50.0);
        }
    }
}

//! The hook before routing, as a plan describes it.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use ziggurat_auto_route::{
    Arm, Bandit, BanditFeedback, Choice, ChoiceId, Chooser, Policy, Rule, Rules, Split, Weights,
};
use ziggurat_config::{BanditPlan, Plan, RulePlan};
use ziggurat_core::{Deployment, Error, ErrorKind, LlmRequest};

use crate::Router;

/// What is learned, by the name that is asked for. It outlives changes of the settings.
#[derive(Default)]
pub(crate) struct Bandits(Mutex<HashMap<Arc<str>, (BanditPlan, Arc<Bandit>)>>);

/// Rules first, then the bandit or the split of the name.
pub(crate) struct Choosers {
    rules: Option<Rules>,
    bandits: Vec<Arc<Bandit>>,
    splits: Vec<Split>,
}

impl Choosers {
    /// What a plan describes; `None` if that is nothing.
    ///
    /// # Errors
    ///
    /// If it cannot be done, which the configuration has told apart from what can.
    pub(crate) fn new(plan: &Plan, known: &Bandits) -> Result<Option<Self>, Error> {
        let deployments = &plan.deployments;
        let plan = &plan.own.auto_route;
        if plan.is_empty() {
            return Ok(None);
        }
        let rules = Rules::new(plan.rules.iter().map(rule)).map_err(impossible)?;
        let splits = plan.splits.iter().map(|split| {
            let groups = split
                .to
                .iter()
                .map(|(group, share)| (Arc::clone(group), *share));
            Split::new(Arc::clone(&split.model), groups).map_err(impossible)
        });
        Ok(Some(Self {
            rules: (!plan.rules.is_empty()).then_some(rules),
            bandits: known.of(&plan.bandits, deployments)?,
            splits: splits.collect::<Result<_, _>>()?,
        }))
    }
}

impl Chooser<LlmRequest> for Choosers {
    type Feedback = BanditFeedback;

    fn choose(&self, request: &LlmRequest) -> Option<Choice<BanditFeedback>> {
        if let Some(choice) = self.rules.choose(request) {
            return Some(choice.map_feedback(|never| match never {}));
        }
        if let Some(choice) = self.bandits.choose(request) {
            return Some(choice);
        }
        let choice = self.splits.choose(request)?;
        Some(choice.map_feedback(|never| match never {}))
    }
}

impl Bandits {
    /// The bandits of a plan, which know what those of the same name have learned.
    fn of(
        &self,
        plans: &[BanditPlan],
        deployments: &[Deployment],
    ) -> Result<Vec<Arc<Bandit>>, Error> {
        let mut known = self.0.lock();
        let mut all = HashMap::with_capacity(plans.len());
        for plan in plans {
            let bandit = match known.get(&plan.model) {
                // Its latest choices can still be reported on.
                Some((same, bandit)) if same == plan => Arc::clone(bandit),
                before => {
                    let new = bandit(plan, deployments)?;
                    if let Some((_, before)) = before {
                        new.adopt(before);
                    }
                    Arc::new(new)
                }
            };
            all.insert(Arc::clone(&plan.model), (plan.clone(), bandit));
        }
        *known = all;
        Ok(known
            .values()
            .map(|(_, bandit)| Arc::clone(bandit))
            .collect())
    }

    fn report(&self, choice: ChoiceId, outcome: f64) -> bool {
        let known = self.0.lock();
        known
            .values()
            .any(|(_, bandit)| bandit.report(choice, outcome))
    }

    fn reset(&self) {
        self.0
            .lock()
            .values()
            .for_each(|(_, bandit)| bandit.reset());
    }
}

fn rule(plan: &RulePlan) -> Rule {
    let mut rule = Rule::new(Arc::clone(&plan.name), Arc::clone(&plan.to));
    // A list that is empty says nothing.
    let given = |list: &[Arc<str>]| (!list.is_empty()).then(|| list.to_vec());
    if let Some(models) = given(&plan.models) {
        rule = rule.models(models);
    }
    if let Some(words) = given(&plan.keywords) {
        rule = rule.keywords(words);
    }
    if let Some(tags) = given(&plan.tags) {
        rule = rule.any_tag(tags);
    }
    if let Some(tags) = given(&plan.all_tags) {
        rule = rule.all_tags(tags);
    }
    if let Some(users) = given(&plan.users) {
        rule = rule.users(users);
    }
    if let Some(tokens) = plan.min_input_tokens {
        rule = rule.min_input_tokens(tokens);
    }
    if let Some(tokens) = plan.max_input_tokens {
        rule = rule.max_input_tokens(tokens);
    }
    if let Some(streams) = plan.stream {
        rule = rule.stream(streams);
    }
    let rule = plan.needs.iter().fold(rule, Rule::needs);
    plan.lacks.iter().fold(rule, Rule::without)
}

fn bandit(plan: &BanditPlan, deployments: &[Deployment]) -> Result<Bandit, Error> {
    let default = Weights::default();
    let weights = Weights {
        success: plan.weights.success.unwrap_or(default.success),
        latency: plan.weights.latency.unwrap_or(default.latency),
        cost: plan.weights.cost.unwrap_or(default.cost),
        outcome: plan.weights.outcome.unwrap_or(default.outcome),
    };
    let mut policy = Policy::new().weights(weights);
    if let Some(least) = plan.explore {
        const MOST: f64 = 0.3;
        policy = policy.explore(least, MOST.max(least * plan.among.len() as f64));
    }
    let arms = plan.among.iter().map(|group| {
        let arm = Arm::new(Arc::clone(group));
        let member = deployments.iter().find(|member| *member.group() == **group);
        match member {
            Some(member) => arm.prices(*member.prices()),
            None => arm,
        }
    });
    Bandit::new(Arc::clone(&plan.model), arms, policy).map_err(impossible)
}

fn impossible(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::BadRequest, format!("`auto_route`: {error}"))
}

impl Router {
    /// Says how good the answer was to a request whose group was learned: from 0 to 1. Returns
    /// whether the choice is remembered; it is for some thousand requests.
    ///
    /// The id of the choice is in [`Ledger::route`](crate::Ledger::route), which
    /// [`ChoiceId::find`] reads.
    #[expect(clippy::must_use_candidate, reason = "a report may be too late")]
    pub fn report_outcome(&self, choice: ChoiceId, outcome: f64) -> bool {
        self.state().bandits.report(choice, outcome)
    }

    /// Forgets what has been learned about groups.
    pub fn reset_bandits(&self) {
        self.state().bandits.reset();
    }
}

//! `ziggurat_settings.auto_route`: what may change the group of a request before it is routed.

mod read;

use std::sync::Arc;

use ziggurat_core::CapabilitySet;

pub(crate) use self::read::{check, read};

/// What may change the group of a request before it is routed: first of the rules the one that holds,
/// then the bandit or the split of the name.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AutoRoutePlan {
    /// Rules, in the order in which they are asked. No two have one name.
    pub rules: Vec<RulePlan>,
    /// Choices that are learned, each for one name.
    pub bandits: Vec<BanditPlan>,
    /// Divided traffic, each of one name.
    pub splits: Vec<SplitPlan>,
}

/// A group for the requests for which everything holds that is set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RulePlan {
    /// What explanations call it.
    pub name: Arc<str>,
    /// The names that are asked for, with `*` for any text. Empty for any name.
    pub models: Vec<Arc<str>>,
    /// The least estimated tokens of the input.
    pub min_input_tokens: Option<u64>,
    /// The most estimated tokens of the input.
    pub max_input_tokens: Option<u64>,
    /// What the request asks of a model.
    pub needs: CapabilitySet,
    /// What the request does not ask of a model.
    pub lacks: CapabilitySet,
    /// Whether the answer is streamed.
    pub stream: Option<bool>,
    /// Words of which the user said one in the last message. Empty for any.
    pub keywords: Vec<Arc<str>>,
    /// Tags of which the request has one. Empty for any.
    pub tags: Vec<Arc<str>>,
    /// Tags that the request has all of.
    pub all_tags: Vec<Arc<str>>,
    /// The end users. Empty for any.
    pub users: Vec<Arc<str>>,
    /// The group.
    pub to: Arc<str>,
}

/// A learned choice.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct BanditPlan {
    /// What is asked for.
    pub model: Arc<str>,
    /// The groups to choose among: 1 to 32.
    pub among: Vec<Arc<str>>,
    /// What counts.
    pub weights: BanditWeights,
    /// The share of the requests that every group gets, however bad it is: from 0 to 1.
    pub explore: Option<f64>,
}

/// How much each thing counts, 0 or more. `None` leaves the default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BanditWeights {
    /// That there is an answer.
    pub success: Option<f64>,
    /// How soon it begins.
    pub latency: Option<f64>,
    /// What it costs.
    pub cost: Option<f64>,
    /// What the caller says of it.
    pub outcome: Option<f64>,
}

/// Divided traffic.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SplitPlan {
    /// What is asked for.
    pub model: Arc<str>,
    /// The groups and their shares, of which one is over 0; none stands twice.
    pub to: Vec<(Arc<str>, f64)>,
}

impl AutoRoutePlan {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.bandits.is_empty() && self.splits.is_empty()
    }

    /// The names that may be asked for although no group has them; those with `*` are patterns.
    pub fn models(&self) -> impl Iterator<Item = &Arc<str>> {
        let rules = self.rules.iter().flat_map(|rule| &rule.models);
        let bandits = self.bandits.iter().map(|bandit| &bandit.model);
        let splits = self.splits.iter().map(|split| &split.model);
        rules.chain(bandits).chain(splits)
    }
}

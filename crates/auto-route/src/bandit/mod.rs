//! The choice that is learned.

mod beta;
mod context;
mod feedback;
mod learner;
mod policy;
mod recent;

use std::{fmt::Write, sync::Arc, time::Duration};

use fastrand::Rng;
use parking_lot::Mutex;
use tokio::time::Instant;
use ziggurat_core::{Extract, FromParam, Redirect};

pub use self::{
    context::{Context, Feature},
    feedback::BanditFeedback,
    policy::{Arm, BanditError, Policy, Weights},
    recent::ChoiceId,
};
use self::{
    learner::{Learner, Pick, Result as Ended},
    recent::{BEFORE_ID, Recent},
};
use crate::{Choice, Chooser};

/// Learns which of several groups serves the requests for a model best, and chooses it.
///
/// The model is a name that nobody serves, say `auto`; the groups are its arms. Each request that
/// ends gives its group a reward from 0 to 1:
///
/// - 0 if it failed, or was answered by a fallback;
/// - otherwise the mean, by [`Weights`], of 1 for the answer, of how soon it began and of what it cost.
///   Those two are compared with what the groups have on average: a half for just that, more for less.
///   An unknown cost counts as a half.
/// - What the caller says of the answer, by [`report`](Self::report), counts by its weight as well,
///   whenever it comes. Report on all requests or on a random part of them: who reports only on bad
///   answers makes the group look bad that serves most.
///
/// Nothing is learned from requests that nobody waited for, or that failed for what no other group
/// could change.
///
/// What is learned is kept apart for each [`Context`], weighs as much as the requests it came from
/// and fades with those that come after. The group of a request is drawn by Thompson sampling: each
/// group is as likely to be chosen as it is believed to be the best. [`Policy::explore`] bounds what
/// is explored.
///
/// Clones share what is learned. The memory is bounded by the number of groups.
///
/// ```
/// use ziggurat_auto_route::{Arm, Bandit, ChoiceId, Feature, Policy};
///
/// let small = Arm::new("small");
/// let large = Arm::new("large").quality(0.7).strong_in(Feature::Tools);
/// let bandit = Bandit::new("auto", [small, large], Policy::new())?;
///
/// // The layer gets a clone. Later, with what the ledger of an answered request said:
/// let route = r#"bandit "auto": "large", expected 0.71 after 120 requests; choice 00c0ffee00000007"#;
/// let choice = ChoiceId::find(route).expect("the bandit names its choice");
/// let was_known = bandit.report(choice, 1.0);
/// # assert!(!was_known);
/// # Ok::<(), ziggurat_auto_route::BanditError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bandit<X = FromParam> {
    shared: Arc<Shared>,
    extract: X,
}

#[derive(Debug)]
struct Shared {
    model: Arc<str>,
    arms: Box<[Arm]>,
    policy: Policy,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    learner: Learner,
    recent: Recent,
}

/// What a bandit knows of a group.
#[derive(Clone, Debug)]
pub struct Standing {
    group: Arc<str>,
    expected: f64,
    requests: f64,
}

impl Standing {
    /// The group.
    #[must_use]
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The reward that is expected of it, from 0 to 1.
    #[must_use]
    pub fn expected(&self) -> f64 {
        self.expected
    }

    /// From how many requests that is known; those of long ago count as parts of one.
    #[must_use]
    pub fn requests(&self) -> f64 {
        self.requests
    }
}

impl Bandit {
    /// Chooses among groups for requests that ask for `model`.
    ///
    /// # Errors
    ///
    /// If there is no group or there are more than 32, one is named twice, or a number of an arm or
    /// of the policy is out of its range.
    pub fn new(
        model: impl Into<Arc<str>>,
        arms: impl IntoIterator<Item = Arm>,
        policy: Policy,
    ) -> Result<Self, BanditError> {
        let arms: Box<[Arm]> = arms.into_iter().collect();
        policy::check(&arms, &policy)?;
        let state = Mutex::new(State::new(&arms, policy));
        Ok(Self {
            shared: Arc::new(Shared {
                model: model.into(),
                arms,
                policy,
                state,
            }),
            extract: FromParam,
        })
    }
}

impl<X> Bandit<X> {
    /// Sets how a request is asked what kind it is: an
    /// [`Extract<Context, Request>`](ziggurat_core::Extract), such as a closure.
    #[must_use]
    pub fn contexts_by<Y>(self, extract: Y) -> Bandit<Y> {
        Bandit {
            shared: self.shared,
            extract,
        }
    }

    /// Says how good the answer of a choice was, from 0 (useless) to 1; a number outside counts as
    /// the nearer of the two.
    ///
    /// `false` if the choice is unknown, forgotten or has been reported on, or `outcome` is no number.
    pub fn report(&self, choice: ChoiceId, outcome: f64) -> bool {
        if outcome.is_nan() {
            return false;
        }
        let state = &mut *self.shared.state.lock();
        let Some((context, arm)) = state.recent.take(choice) else {
            return false;
        };
        state.learner.report(context, arm, outcome.clamp(0.0, 1.0));
        true
    }

    /// What is known of each group for a kind of request.
    #[must_use]
    pub fn standings(&self, context: Context) -> Vec<Standing> {
        let state = self.shared.state.lock();
        let cells = state.learner.cells(context);
        let arms = self.shared.arms.iter();
        arms.zip(cells)
            .map(|(arm, cell)| Standing {
                group: Arc::clone(&arm.group),
                expected: cell.belief().mean(),
                requests: cell.requests,
            })
            .collect()
    }

    /// The model whose requests it chooses for.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.shared.model
    }

    /// The groups it chooses among.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        self.shared.arms.iter().map(|arm| &arm.group)
    }

    /// Forgets everything.
    pub fn reset(&self) {
        *self.shared.state.lock() = State::new(&self.shared.arms, self.shared.policy);
    }

    /// Takes over what another bandit knows of the groups that both have: for a new configuration.
    /// Requests on their way teach the old one.
    pub fn adopt<Y>(&self, other: &Bandit<Y>) {
        if Arc::ptr_eq(&self.shared, &other.shared) {
            return;
        }
        let theirs = other.shared.state.lock().learner.clone();
        let mut ours = self.shared.state.lock();
        for (to, arm) in self.shared.arms.iter().enumerate() {
            let from = |other: &Arm| other.group == arm.group;
            let Some(from) = other.shared.arms.iter().position(from) else {
                continue;
            };
            for context in (0..Context::COUNT as u8).map(Context::new) {
                ours.learner.cells_mut(context)[to].adopt(&theirs.cells(context)[from]);
            }
        }
    }
}

impl State {
    fn new(arms: &[Arm], policy: Policy) -> Self {
        Self {
            learner: Learner::new(arms, policy),
            recent: Recent::new(policy.remembered),
        }
    }
}

impl Shared {
    fn settle(&self, context: Context, arm: usize, ended: Ended) {
        self.state.lock().learner.settle(context, arm, ended);
    }

    /// Chooses, and says why.
    fn choose(&self, context: Context, rng: &mut Rng) -> (usize, String) {
        let (Pick { arm, explores }, id, cell) = {
            let state = &mut *self.state.lock();
            let pick = state.learner.choose(context, rng);
            let id = state.recent.note(context, pick.arm, rng);
            (pick, id, state.learner.cells(context)[pick.arm])
        };
        let (model, group) = (&self.model, &self.arms[arm].group);
        let (expected, requests) = (cell.belief().mean(), cell.requests);
        let mut why = String::with_capacity(96 + model.len() + group.len());
        let explores = if explores { " to explore it" } else { "" };
        let text = write!(
            why,
            r#"bandit "{model}": "{group}"{explores}, expected {expected:.2} after {requests:.0} requests; {BEFORE_ID}{id}"#
        );
        text.expect("a string takes all text");
        (arm, why)
    }
}

impl<R, X> Chooser<R> for Bandit<X>
where
    R: Redirect,
    X: Extract<Context, R> + Send + Sync + 'static,
{
    type Feedback = BanditFeedback;

    fn choose(&self, request: &R) -> Option<Choice<BanditFeedback>> {
        if request.group() != &*self.shared.model {
            return None;
        }
        let context = self.extract.extract(request);
        let (arm, why) = self.shared.choose(context, &mut Rng::new());
        let feedback = BanditFeedback {
            shared: Arc::clone(&self.shared),
            context,
            arm,
            ledger: request.ledger().cloned(),
            began: Instant::now(),
            first_token: Duration::ZERO,
        };
        let group = Arc::clone(&self.shared.arms[arm].group);
        Some(Choice::new(group, why).with_feedback(feedback))
    }
}

#[cfg(test)]
mod tests;

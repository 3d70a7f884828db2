//! What somebody may use up.

use std::sync::Arc;

use ziggurat_core::Money;

use crate::{
    BudgetDuration,
    problem::Report,
    read::{self, Found, Range, Section},
    source::{Facts, Show, Source},
    tables::MODEL_BUDGET,
    yaml::{Node, Value},
};

const MODEL_MAX_BUDGET: &str = "model_max_budget";

/// What a key, a team or a user may use up. `None` is no limit.
///
/// This is what the file says; nothing here counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallerLimits {
    /// Requests a minute: `rpm_limit`.
    pub rpm: Option<u64>,
    /// Tokens a minute, of input and output together: `tpm_limit`.
    pub tpm: Option<u64>,
    /// Input tokens a minute: `itpm_limit`.
    pub itpm: Option<u64>,
    /// Output tokens a minute: `otpm_limit`.
    pub otpm: Option<u64>,
    /// Requests in flight: `max_parallel_requests`.
    pub max_parallel: Option<u32>,
    /// Money for each [`budget_duration`](Self::budget_duration); for ever if there is none.
    pub max_budget: Option<Money>,
    /// How long a budget is for.
    pub budget_duration: Option<BudgetDuration>,
    /// Money after which somebody is told, and nothing is refused.
    pub soft_budget: Option<Money>,
    /// What holds for single models besides, by the name that is asked for; no name stands twice.
    pub models: Vec<(Arc<str>, ModelLimits)>,
}

/// What a caller may use up of one model. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelLimits {
    /// Requests a minute: `model_rpm_limit`.
    pub rpm: Option<u64>,
    /// Tokens a minute: `model_tpm_limit`.
    pub tpm: Option<u64>,
    /// Money for each [`budget_duration`](Self::budget_duration): `model_max_budget`.
    pub max_budget: Option<Money>,
    /// How long that is for; where nobody says it, that of the caller's other budget.
    pub budget_duration: Option<BudgetDuration>,
}

impl CallerLimits {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        let unset = Self {
            budget_duration: self.budget_duration,
            ..Self::default()
        };
        *self == unset
    }

    fn model(&mut self, name: &Arc<str>) -> &mut ModelLimits {
        let at = self.models.iter().position(|(model, _)| model == name);
        let at = at.unwrap_or_else(|| {
            self.models.push((Arc::clone(name), ModelLimits::default()));
            self.models.len() - 1
        });
        &mut self.models[at].1
    }
}

/// Notes what is read, as that of somebody.
pub(super) struct Noted<'a> {
    pub(super) facts: &'a mut Facts,
    pub(super) whose: String,
}

impl Noted<'_> {
    pub(super) fn take<T: Show>(&mut self, key: &str, found: Option<Found<T>>) -> Option<T> {
        self.facts.take(&format!("{key} of {}", self.whose), found)
    }

    /// The same for what holds for one model.
    fn take_for<T: Show>(&mut self, key: &str, model: &str, found: Option<Found<T>>) -> Option<T> {
        self.take(&format!("{key} for {}", model.escape_debug()), found)
    }
}

/// Reads the limits in an entry.
pub(super) fn read(
    section: &Section<'_>,
    noted: &mut Noted<'_>,
    report: &mut Report,
) -> CallerLimits {
    let mut rate = |key, report: &mut Report| {
        let found = section.whole::<u64>(key, Range::OverZero, report);
        noted.take(key, found)
    };
    let (rpm, tpm) = (rate("rpm_limit", report), rate("tpm_limit", report));
    let (itpm, otpm) = (rate("itpm_limit", report), rate("otpm_limit", report));
    let parallel = section.whole("max_parallel_requests", Range::OverZero, report);
    let mut limits = CallerLimits {
        rpm,
        tpm,
        itpm,
        otpm,
        max_parallel: noted.take("max_parallel_requests", parallel),
        max_budget: noted.take("max_budget", section.money("max_budget", report)),
        soft_budget: noted.take("soft_budget", section.money("soft_budget", report)),
        ..CallerLimits::default()
    };
    for (name, found) in whole_by_model(section, "model_rpm_limit", report) {
        limits.model(&name).rpm = noted.take_for("model_rpm_limit", &name, found);
    }
    for (name, found) in whole_by_model(section, "model_tpm_limit", report) {
        limits.model(&name).tpm = noted.take_for("model_tpm_limit", &name, found);
    }
    for (name, node) in by_model(section, MODEL_MAX_BUDGET, report) {
        let (budget, duration) = model_budget(node, report);
        let model = limits.model(&name);
        model.max_budget = noted.take_for(MODEL_MAX_BUDGET, &name, budget);
        model.budget_duration = noted.take_for("budget_duration", &name, duration);
    }
    let duration = section.budget_duration("budget_duration", report);
    let has_budget = limits.max_budget.is_some()
        || limits.soft_budget.is_some()
        || (limits.models.iter()).any(|(_, model)| model.max_budget.is_some());
    if let Some(found) = duration.as_ref().filter(|_| !has_budget) {
        let message = "`budget_duration` has no effect without `max_budget` or `soft_budget`";
        report.warning(found.at, message);
    }
    limits.budget_duration = noted.take("budget_duration", duration);
    limits
}

/// What stands under the names of models.
fn by_model<'a>(
    section: &Section<'a>,
    key: &'static str,
    report: &mut Report,
) -> impl Iterator<Item = (Arc<str>, &'a Node)> + use<'a> {
    let models = section
        .field(key)
        .and_then(|field| read::map(field.node, key, report));
    let models = models.unwrap_or_default().iter();
    models.map(|(name, node)| (Arc::clone(&name.text), node))
}

/// Whole numbers over zero under the names of models.
fn whole_by_model(
    section: &Section<'_>,
    key: &'static str,
    report: &mut Report,
) -> Vec<(Arc<str>, Option<Found<u64>>)> {
    let models = by_model(section, key, report);
    let read = |(name, node): (Arc<str>, &Node)| {
        let value = read::whole_of(node, key, Range::OverZero, report);
        (name, value.map(|value| found(node, value)))
    };
    models.map(read).collect()
}

/// An amount, or `{budget_limit: 5, time_period: 1d}`.
fn model_budget(
    node: &Node,
    report: &mut Report,
) -> (Option<Found<Money>>, Option<Found<BudgetDuration>>) {
    if !matches!(node.value, Value::Map(_)) {
        let amount = read::number_of(node, MODEL_MAX_BUDGET, Range::NotNegative, report);
        let amount = amount.and_then(Money::from_dollars);
        return (amount.map(|amount| found(node, amount)), None);
    }
    let Some(section) = Section::open(node, &MODEL_BUDGET, report) else {
        return (None, None);
    };
    let words = ["budget_limit", "max_budget"];
    if words.iter().all(|key| section.field(key).is_none()) {
        report.error(node.at, "a budget needs a `budget_limit`");
    }
    let amounts = words.map(|key| section.money(key, report));
    let times = ["time_period", "budget_duration"].map(|key| section.budget_duration(key, report));
    (read::first(amounts, report), read::first(times, report))
}

fn found<T>(node: &Node, value: T) -> Found<T> {
    Found {
        value,
        source: Source::of(node, None),
        at: node.at,
        path: String::new(),
    }
}

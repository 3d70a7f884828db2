//! The choice by declared rules.

mod glob;
mod keywords;
mod rule;
mod text;

use std::{borrow::Cow, cell::OnceCell, convert::Infallible, fmt, sync::Arc};

use ziggurat_core::LlmRequest;

pub use self::rule::Rule;
use self::{keywords::Keywords, rule::Condition};
use crate::{Choice, Chooser};

/// Chooses by a list of rules: the first of which all conditions hold says the group.
///
/// A rule that is about one public name, say `auto`, has the condition
/// [`model`](Rule::model); without it, it concerns every request.
///
/// Rules cost a few comparisons. Only when a rule has keywords, and all else in it holds, is the
/// prompt read for what the user said last.
#[derive(Clone, Debug)]
pub struct Rules(Box<[Checked]>);

/// A rule that is known to make sense.
#[derive(Clone, Debug)]
struct Checked {
    group: Arc<str>,
    why: Arc<str>,
    conditions: Vec<Condition>,
    keywords: Vec<Keywords>,
}

/// Why a rule cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    rule: Arc<str>,
    problem: &'static str,
}

impl RuleError {
    fn new(rule: &Rule, problem: &'static str) -> Self {
        Self {
            rule: Arc::clone(&rule.name),
            problem,
        }
    }

    /// The name of the rule.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule `{}` {}", self.rule, self.problem)
    }
}

impl std::error::Error for RuleError {}

impl Rules {
    /// Rules, in the order in which they are asked.
    ///
    /// # Errors
    ///
    /// If a rule has no name, or that of another; names no group; has an empty list, an empty text
    /// in a list, or sizes that no input has; or has more than 1,024 keywords, or one of more than
    /// 256 bytes.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, RuleError> {
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut checked = Vec::new();
        for rule in rules {
            if names.contains(&rule.name) {
                return Err(RuleError::new(&rule, "is there twice"));
            }
            names.push(Arc::clone(&rule.name));
            checked.push(rule.check()?);
        }
        Ok(Self(checked.into()))
    }

    /// The groups that the rules choose, one for each rule.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter().map(|rule| &rule.group)
    }
}

impl Rule {
    fn check(self) -> Result<Checked, RuleError> {
        let problem = |problem| RuleError::new(&self, problem);
        if self.name.is_empty() {
            return Err(problem("has no name"));
        }
        if self.group.is_empty() {
            return Err(problem("names no group"));
        }
        let mut keywords = Vec::new();
        let (mut least, mut most) = (0, u64::MAX);
        for condition in &self.conditions {
            if let Some(list) = condition.list() {
                if list.is_empty() {
                    return Err(problem("has an empty list"));
                }
                if list.iter().any(|text| text.is_empty()) {
                    return Err(problem("has an empty text in a list"));
                }
            }
            match condition {
                Condition::MinInput(tokens) => least = least.max(*tokens),
                Condition::MaxInput(tokens) => most = most.min(*tokens),
                Condition::Says(words) => keywords.push(Keywords::new(words).map_err(problem)?),
                _ => {}
            }
        }
        if least > most {
            return Err(problem("wants more input tokens than it allows"));
        }
        Ok(Checked {
            why: self.why().into(),
            group: self.group,
            conditions: self.conditions,
            keywords,
        })
    }
}

impl Checked {
    fn holds<'a>(&self, request: &'a LlmRequest, said: &OnceCell<Vec<Cow<'a, str>>>) -> bool {
        self.conditions.iter().all(|it| it.holds(request))
            && self.keywords.iter().all(|keywords| {
                let said = said.get_or_init(|| text::said_last(request.prompt()));
                said.iter().any(|text| keywords.are_in(text))
            })
    }
}

impl Chooser<LlmRequest> for Rules {
    type Feedback = Infallible;

    fn choose(&self, request: &LlmRequest) -> Option<Choice> {
        let said = OnceCell::new();
        let rule = self.0.iter().find(|rule| rule.holds(request, &said))?;
        Some(Choice::new(Arc::clone(&rule.group), Arc::clone(&rule.why)))
    }
}

#[cfg(test)]
mod tests;

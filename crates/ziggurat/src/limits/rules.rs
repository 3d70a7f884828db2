//! The rules of a configuration, by who they are for.

use std::{collections::HashMap, sync::Arc};

use ziggurat_config::{LimitRule, LimitSubject};
use ziggurat_rate_limit::Limits;

use super::amounts;

/// The limits for each of a kind, and those for single ones, which take their place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    each: HashMap<LimitSubject, Limits>,
    named: HashMap<LimitSubject, HashMap<Arc<str>, Limits>>,
}

impl Rules {
    pub(crate) fn new(rules: &[LimitRule]) -> Self {
        let mut all = Self::default();
        for rule in rules {
            let limits = amounts::of_amounts(&rule.amounts);
            let place = match &rule.name {
                None => all.each.entry(rule.subject).or_default(),
                Some(name) => {
                    let named = all.named.entry(rule.subject).or_default();
                    named.entry(Arc::clone(name)).or_default()
                }
            };
            *place = amounts::both(std::mem::take(place), &limits);
        }
        all
    }

    /// The limits of one of a kind.
    pub(crate) fn of(&self, subject: LimitSubject, name: &str) -> Option<&Limits> {
        let named = self.named.get(&subject).and_then(|named| named.get(name));
        named.or_else(|| self.each.get(&subject))
    }

    /// Whether one of a kind may be limited.
    pub(crate) fn has(&self, subject: LimitSubject) -> bool {
        self.each.contains_key(&subject) || self.named.contains_key(&subject)
    }
}

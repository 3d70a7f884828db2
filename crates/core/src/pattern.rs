//! Wildcard names: `openai/*` as a model group, `*` as the part of a target that is filled in.

use std::{cmp::Reverse, sync::Arc};

use smallvec::SmallVec;

/// A name with `*`, each of which stands for any text, the empty one included.
///
/// It is anchored at both ends: `team/*-mini` does not match `team/gpt-mini-2024`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: Arc<str>,
}

/// What the stars of a pattern stood for, from left to right.
pub(crate) type Captures<'a> = SmallVec<[&'a str; 4]>;

impl Pattern {
    /// A pattern, if `text` has a star.
    pub(crate) fn new(text: &Arc<str>) -> Option<Self> {
        text.contains('*').then(|| Self {
            text: Arc::clone(text),
        })
    }

    /// What the stars stand for in `name`, each as little as possible; `None` if it does not match.
    pub(crate) fn captures<'a>(&self, name: &'a str) -> Option<Captures<'a>> {
        let mut parts = self.text.split('*');
        let mut rest = name.strip_prefix(parts.next()?)?;
        let mut captures = Captures::new();
        let mut parts = parts.peekable();
        while let Some(part) = parts.next() {
            let at = if parts.peek().is_none() {
                let at = rest.len().checked_sub(part.len())?;
                if !rest.ends_with(part) {
                    return None;
                }
                at
            } else {
                rest.find(part)?
            };
            captures.push(&rest[..at]);
            rest = &rest[at + part.len()..];
        }
        Some(captures)
    }

    /// The order in which patterns are tried: the one with more literal text first.
    pub(crate) fn specificity(&self) -> Reverse<(usize, usize)> {
        let stars = self.text.matches('*').count();
        Reverse((self.text.len() - stars, usize::MAX - stars))
    }
}

/// Puts what was captured into the stars of `target`, from left to right.
///
/// Stars that nothing is left for stay empty. If more was captured than the target has stars, the
/// name is what the client meant and is sent as it is.
pub(crate) fn substitute(target: &str, captures: &Captures<'_>, name: &str) -> String {
    let stars = target.matches('*').count();
    if captures.len() > stars {
        return name.to_owned();
    }
    let mut out = String::with_capacity(target.len() + name.len());
    let mut captures = captures.iter();
    for (i, part) in target.split('*').enumerate() {
        if i > 0 {
            out.push_str(captures.next().copied().unwrap_or_default());
        }
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn captures<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
        let pattern = Pattern::new(&Arc::from(pattern)).expect("has a star");
        pattern.captures(name).map(|c| c.to_vec())
    }

    #[test]
    fn a_star_stands_for_any_text() {
        assert_eq!(captures("openai/*", "openai/gpt-4o"), Some(vec!["gpt-4o"]));
        assert_eq!(captures("*", "anything"), Some(vec!["anything"]));
        assert_eq!(captures("a/*/c-*", "a/b/c-d-e"), Some(vec!["b", "d-e"]));
        assert_eq!(captures("openai/*", "azure/gpt-4o"), None);
    }

    #[test]
    fn both_ends_are_anchored() {
        assert_eq!(captures("team/*-mini", "team/gpt-mini-2024"), None);
        assert_eq!(captures("team/*-mini", "team/gpt-mini"), Some(vec!["gpt"]));
        assert_eq!(captures("ab*ba", "aba"), None);
    }

    #[test]
    fn captures_fill_the_stars_of_the_target() {
        let pattern = Pattern::new(&Arc::from("openai/*")).expect("has a star");
        let name = "openai/gpt-9";
        let captures = pattern.captures(name).expect("matches");
        assert_eq!(substitute("*", &captures, name), "gpt-9");
        assert_eq!(substitute("ft:*:acme", &captures, name), "ft:gpt-9:acme");
        assert_eq!(substitute("fixed", &captures, name), name);
    }

    /// The naive model: try every length for every star.
    fn matches(pattern: &str, name: &str) -> bool {
        match pattern.strip_prefix('*') {
            Some(rest) => {
                (0..=name.len()).any(|i| name.is_char_boundary(i) && matches(rest, &name[i..]))
            }
            None => match (pattern.chars().next(), name.chars().next()) {
                (None, None) => true,
                (Some(p), Some(n)) if p == n => {
                    matches(&pattern[p.len_utf8()..], &name[n.len_utf8()..])
                }
                _ => false,
            },
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_the_naive_model_matches(pattern in "[ab]{0,3}\\*[ab*]{0,5}", name in "[ab]{0,8}") {
            prop_assert_eq!(captures(&pattern, &name).is_some(), matches(&pattern, &name));
        }
    }
}

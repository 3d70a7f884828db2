//! Words in a text.

use std::sync::Arc;

use aho_corasick::AhoCorasick;

const MOST: usize = 1_024;
const LONGEST: usize = 256;

/// Words that are looked for all at once (Aho and Corasick, 1975), whatever the case of ASCII.
#[derive(Clone, Debug)]
pub(super) struct Keywords(AhoCorasick);

impl Keywords {
    pub(super) fn new(words: &[Arc<str>]) -> Result<Self, &'static str> {
        if words.len() > MOST {
            return Err("has more than 1,024 keywords");
        }
        if words.iter().any(|word| word.len() > LONGEST) {
            return Err("has a keyword of more than 256 bytes");
        }
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(words.iter().map(|word| word.as_bytes()))
            .map(Self)
            .map_err(|_| "has keywords that are too long together")
    }

    /// Whether one of them is in a text, and not as a part of a longer word.
    pub(super) fn are_in(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.0
            .find_overlapping_iter(text)
            .any(|found| is_edge(text, found.start()) && is_edge(text, found.end()))
    }
}

/// Whether no word goes on over this place. Only words of ASCII letters and digits can: the scripts
/// that write no spaces are not of them.
fn is_edge(text: &[u8], at: usize) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let before = at.checked_sub(1).and_then(|before| text.get(before));
    !(is_word(before) && is_word(text.get(at)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(words: &[&str], text: &str) -> bool {
        let words: Vec<_> = words.iter().map(|word| Arc::from(*word)).collect();
        Keywords::new(&words).expect("is fine").are_in(text)
    }

    #[test]
    fn a_word_is_found_whatever_its_case_but_not_inside_another() {
        assert!(found(&["go"], "Let it GO."));
        assert!(!found(&["go"], "good"));
        assert!(!found(&["go"], "ergo, lego"));
        assert!(found(&["c++"], "in C++17?") && found(&["c++"], "c++"));
        assert!(found(&["stack overflow"], "a Stack Overflow!"));
        assert!(found(&["sql"], "mysql and SQL"));
        assert!(found(&["東京"], "私は東京にいます"));
    }

    #[test]
    fn a_long_word_does_not_hide_a_short_one() {
        assert!(found(&["a b", "b"], "xa b c"));
    }

    proptest! {
        #[test]
        fn it_finds_what_looking_at_every_place_finds(
            words in prop::collection::vec("[ab +]{1,3}", 1..4), text in "[abAB +]{0,12}",
        ) {
            let naive = words.iter().any(|word| {
                (0..text.len()).any(|at| {
                    let end = at + word.len();
                    text.get(at..end).is_some_and(|here| here.eq_ignore_ascii_case(word))
                        && is_edge(text.as_bytes(), at)
                        && is_edge(text.as_bytes(), end)
                })
            });
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            prop_assert_eq!(found(&words, &text), naive);
        }
    }
}

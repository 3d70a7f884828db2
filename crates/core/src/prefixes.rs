//! The beginnings of a prompt, by hash: what a provider may have cached.

use smallvec::SmallVec;
use xxhash_rust::xxh3::Xxh3;

use crate::scan::{Malformed, Scanner};

/// The beginnings of a prompt that end with a whole message, from the shortest to the longest.
///
/// Two requests that begin with the same messages, byte by byte, share the hashes of those.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes(SmallVec<[Prefix; 20]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Prefix {
    hash: u64,
    bytes: usize,
}

impl Prefixes {
    /// The hashes (XXH3, 64 bit) and lengths in bytes.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, usize)> {
        self.0.iter().map(|prefix| (prefix.hash, prefix.bytes))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last `most` beginnings of a JSON array of messages; of a text, the whole of it.
    pub(crate) fn of(prompt: &str, seed: u64, most: usize) -> Self {
        let mut all = Self::default();
        let mut hasher = Xxh3::with_seed(seed);
        let mut from = 0;
        let mut push = |hasher: &mut Xxh3, to: usize| {
            hasher.update(&prompt.as_bytes()[from..to]);
            from = to;
            if all.0.len() == most {
                all.0.remove(0);
            }
            all.0.push(Prefix {
                hash: hasher.digest(),
                bytes: to,
            });
        };
        if most == 0 {
            return Self::default();
        }
        if prompt.starts_with('[') {
            // The array was found to be one when the body was read.
            let _ = Scanner::new(prompt).array::<Malformed>(|s| {
                s.skip()?;
                push(&mut hasher, s.here());
                Ok(())
            });
        } else {
            push(&mut hasher, prompt.len());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(prompt: &str, most: usize) -> Vec<u64> {
        let prefixes = Prefixes::of(prompt, 0, most);
        prefixes.iter().map(|(hash, _)| hash).collect()
    }

    #[test]
    fn a_longer_conversation_begins_with_the_hashes_of_the_shorter() {
        let short = hashes(r#"[{"a":1},{"b":2}]"#, 9);
        let long = hashes(r#"[{"a":1},{"b":2},{"c":3}]"#, 9);
        assert_eq!(short.len(), 2);
        assert_eq!(long[..2], short);
        assert_eq!(hashes(r#"[{"a":1},{"b":2},{"c":3}]"#, 2), long[1..]);
        assert_ne!(hashes(r#"[{"a":1},{"b":3}]"#, 9)[1], short[1]);
    }

    #[test]
    fn a_text_has_one_beginning() {
        assert_eq!(hashes(r#""hello""#, 9).len(), 1);
        assert!(hashes("[]", 9).is_empty());
    }
}

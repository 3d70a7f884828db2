//! Names with `*`.

/// Whether a name matches a pattern, in which each `*` stands for any text, the empty one included.
/// Both ends are anchored.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|start| name.strip_prefix(start)) else {
        return false;
    };
    let Some(end) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// The naive model: try every length for every star.
    fn naive(pattern: &str, name: &str) -> bool {
        match pattern.chars().next() {
            None => name.is_empty(),
            Some('*') => (0..=name.len()).any(|at| naive(&pattern[1..], &name[at..])),
            Some(c) => name.starts_with(c) && naive(&pattern[1..], &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_the_naive_model_matches(pattern in "[ab*]{0,6}", name in "[ab]{0,8}") {
            prop_assert_eq!(super::matches(&pattern, &name), naive(&pattern, &name));
        }
    }
}

//! Patterns in which a `*` stands for anything.

/// Whether a name is of a pattern, from its beginning to its end.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return name.ends_with(part);
        }
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Which of two patterns says more: one without a star, else the longer one.
pub(crate) fn specificity(pattern: &str) -> (bool, usize) {
    (!pattern.contains('*'), pattern.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything_and_both_ends_are_anchored() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "a"),
            ("a*", "a"),
            ("a*c", "abc"),
            ("a*b*c", "a-b-b-c"),
            ("*-eu", "x-eu"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("", "a"),
            ("a", "ab"),
            ("a*c", "ac "),
            ("a*a", "a"),
            ("*b*", "a"),
            ("*-eu", "x-eu2"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn an_exact_name_is_the_most_specific() {
        assert!(specificity("ab") > specificity("a*"));
        assert!(specificity("abc*") > specificity("a*"));
    }
}

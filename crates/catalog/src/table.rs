//! The embedded text: finding a line, reading a number.

use std::{cmp::Ordering, sync::LazyLock};

use crate::Model;

/// Two lines of header, then one line per model, sorted by name.
pub(crate) const TEXT: &str = include_str!("models.tsv");

const HEADER: usize = 2;

/// Where the line of each model begins (16 kB), so that a search touches names only.
static STARTS: LazyLock<Box<[u32]>> = LazyLock::new(|| {
    let after = TEXT.match_indices('\n').map(|(at, _)| at as u32 + 1);
    let lines = after.filter(|start| (*start as usize) < TEXT.len());
    lines.skip(HEADER - 1).collect()
});

/// Every model, in the order of their names.
pub fn models() -> impl Iterator<Item = Model> {
    TEXT.lines().skip(HEADER).filter_map(Model::of_line)
}

/// The model whose name is these parts, one after the other.
pub(crate) fn lookup(name: &[&str]) -> Option<Model> {
    let text = TEXT.as_bytes();
    let found = STARTS.binary_search_by(|start| compare(&text[*start as usize..], name));
    let line = TEXT[STARTS[found.ok()?] as usize..].lines().next()?;
    // A name that holds a tab could reach into the columns.
    let length = name.iter().map(|part| part.len()).sum::<usize>();
    Model::of_line(line).filter(|model| model.key().len() == length)
}

/// Compares the name at the beginning of a line, which ends with a tab, with another.
fn compare(mut line: &[u8], name: &[&str]) -> Ordering {
    for part in name {
        let (head, tail) = line.split_at(part.len().min(line.len()));
        match head.cmp(part.as_bytes()) {
            Ordering::Equal => line = tail,
            other => return other,
        }
    }
    if line.starts_with(b"\t") {
        Ordering::Equal
    } else {
        Ordering::Greater
    }
}

/// A decimal number divided by ten to the power of `shift`.
///
/// Digits and divisor are whole numbers that an `f64` holds exactly, so the one division rounds
/// once: `0.3` shifted by 6 is the same `f64` as `3e-7`.
pub(crate) fn decimal(text: &str, shift: usize) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut digits = 0_u64;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        digits = digits.checked_mul(10)?.checked_add(digit.into())?;
    }
    let power = u32::try_from(fraction.len() + shift).ok()?;
    Some(digits as f64 / 10_u64.checked_pow(power)? as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_name_is_found_and_they_are_sorted() {
        let all: Vec<_> = models().collect();
        assert_eq!(all.len(), TEXT.lines().count() - 2, "a line does not parse");
        assert!(all.len() > 3_000);
        for pair in all.windows(2) {
            assert!(pair[0].key() < pair[1].key(), "{}", pair[1].key());
        }
        for model in all {
            let (head, tail) = model.key().split_at(model.key().len() / 2);
            assert_eq!(lookup(&[head, tail]), Some(model));
        }
    }

    #[test]
    fn numbers_are_the_nearest_floats() {
        assert_eq!(decimal("2.5", 6), Some(2.5e-6));
        assert_eq!(decimal("0.3", 6), Some(3e-7));
        assert_eq!(decimal("0", 6), Some(0.0));
        assert_eq!(decimal("25", 0), Some(25.0));
        for bad in [
            "-1",
            "1e5",
            "1.2.3",
            "99999999999999999999",
            "0.1234567890123456789",
        ] {
            assert_eq!(decimal(bad, 6), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn shifting_rounds_as_parsing_does(digits in 0_u64..1 << 53, places in 0_usize..12) {
            let text = format!("{}.{:0places$}", digits / 10_u64.pow(places as u32), digits % 10_u64.pow(places as u32));
            let text = text.trim_end_matches('.');
            let text = if places == 0 { text.split('.').next().unwrap_or_default() } else { text };
            prop_assert_eq!(decimal(text, 6), format!("{text}e-6").parse().ok());
        }

        #[test]
        fn names_compare_as_if_they_were_joined(parts in proptest::collection::vec("[ab]{0,3}", 0..4), key in "[ab]{0,6}") {
            let slices: Vec<_> = parts.iter().map(String::as_str).collect();
            let line = format!("{key}\tcolumn");
            prop_assert_eq!(compare(line.as_bytes(), &slices), key.as_bytes().cmp(parts.concat().as_bytes()));
        }

        #[test]
        fn any_name_may_be_asked_for(name in "\\PC{0,40}|.*") {
            prop_assert_eq!(lookup(&[&name]), models().find(|model| model.key() == name));
        }
    }
}

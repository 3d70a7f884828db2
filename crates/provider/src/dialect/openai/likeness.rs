//! Knows an event that differs from an earlier one in nothing but its text.
//!
//! Most events of a stream do, and comparing costs a tenth of reading. It is exact: what lies
//! around the text is the same bytes, and the text is a JSON string, so the event is JSON of the
//! same structure.

use std::ops::Range;

/// An event with text, no finish reason and no usage.
#[derive(Clone, Debug, Default)]
pub(super) struct Likeness {
    event: Vec<u8>,
    text: Range<usize>,
}

impl Likeness {
    /// Keeps an event and the text in it, which is a string without escapes.
    pub(super) fn learn(&mut self, event: &[u8], text: &str) {
        let Some(start) = text.as_ptr().addr().checked_sub(event.as_ptr().addr()) else {
            return;
        };
        let place = start..start.saturating_add(text.len());
        // A text that was put together from several lines does not lie in the event.
        if event.get(place.clone()) != Some(text.as_bytes()) {
            return;
        }
        self.event.clear();
        self.event.extend_from_slice(event);
        self.text = place;
    }

    /// Whether an event is the one that was learned, with another text that is not empty.
    pub(super) fn matches(&self, event: &[u8]) -> bool {
        self.text(event).is_some()
    }

    /// The text of an event that matches, with its escapes.
    pub(super) fn text<'a>(&self, event: &'a [u8]) -> Option<&'a [u8]> {
        if self.event.is_empty() {
            return None;
        }
        event
            .strip_prefix(&self.event[..self.text.start])
            .and_then(|rest| rest.strip_suffix(&self.event[self.text.end..]))
            .filter(|text| !text.is_empty() && is_string(text))
    }
}

/// Whether bytes may stand between the quotes of a JSON string.
fn is_string(bytes: &[u8]) -> bool {
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        let fits = match byte {
            b'"' | 0..0x20 => false,
            b'\\' => match rest.next() {
                Some(b'u') => (0..4).all(|_| rest.next().is_some_and(u8::is_ascii_hexdigit)),
                Some(escaped) => b"\"\\/bfnrt".contains(escaped),
                None => false,
            },
            _ => true,
        };
        if !fits {
            return false;
        }
    }
    std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    const EVENT: &str = "data: {\"a\":\"x\",\"b\":null}\n\n";

    fn learned() -> Likeness {
        let mut likeness = Likeness::default();
        likeness.learn(EVENT.as_bytes(), &EVENT[12..13]);
        likeness
    }

    #[test]
    fn only_the_text_may_differ() {
        let likeness = learned();
        for (event, like) in [
            (EVENT, true),
            ("data: {\"a\":\"other ä \\n \\u00e4\",\"b\":null}\n\n", true),
            ("data: {\"a\":\"\",\"b\":null}\n\n", false),
            ("data: {\"a\":\"x\",\"b\":1}\n\n", false),
            (
                "data: {\"a\":\"x\",\"error\":1,\"a\":\"x\",\"b\":null}\n\n",
                false,
            ),
            ("data: {\"a\":\"x\\\",\"b\":null}\n\n", false),
            ("data: {\"a\":\"x\ny\",\"b\":null}\n\n", false),
            ("data: {\"a\":\"\\u00g0\",\"b\":null}\n\n", false),
            ("data: {\"a\":\",\"b\":null}\n\n", false),
        ] {
            assert_eq!(likeness.matches(event.as_bytes()), like, "{event}");
        }
        assert!(!likeness.matches(b"data: {\"a\":\"\xff\",\"b\":null}\n\n"));
        assert!(!Likeness::default().matches(b""));
    }

    #[test]
    fn a_text_from_elsewhere_is_not_learned() {
        let mut likeness = Likeness::default();
        let elsewhere = String::from("x");
        likeness.learn(EVENT.as_bytes(), &elsewhere);
        assert!(!likeness.matches(EVENT.as_bytes()));
    }

    proptest! {
        #[test]
        fn what_matches_is_json(text in "(\\\\|\"|u[0-9a-f]{4}|[nrtbf/]|[a-zä\u{1}\n]){0,6}") {
            let event = format!("data: {{\"a\":\"{text}\",\"b\":null}}\n\n");
            let json = event.strip_prefix("data: ").expect("was put there");
            let is_json = serde_json::from_str::<IgnoredAny>(json).is_ok();
            if learned().matches(event.as_bytes()) {
                prop_assert!(is_json, "{}", event);
            } else if is_json {
                // The only other ways to be JSON are to close the string early and to be empty.
                prop_assert!(text.is_empty() || text.contains('"'), "{}", event);
            }
        }
    }
}

//! How far a JSON text has come that arrives in pieces.

/// How far a JSON text has come that arrives in pieces.
///
/// Numbers and words are not read closely, so a wrong one inside an object counts as right.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    /// A bit for each container that is open, the innermost last: one for an object.
    open: u128,
    depth: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Value,
    FirstItem,
    FirstKey,
    Key,
    Colon,
    AfterValue,
    String {
        is_key: bool,
        escapes: bool,
    },
    Word,
    /// It is whole.
    Over,
    /// It is no JSON.
    Wrong,
}

impl Progress {
    /// Whether it is whole. What follows is not read.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether it ends in the middle of something. Nothing at all is no beginning.
    pub(crate) fn is_inside(&self) -> bool {
        self.depth > 0 && self.state != State::Wrong || matches!(self.state, State::String { .. })
    }

    pub(crate) fn read(&mut self, piece: &[u8]) {
        for &byte in piece {
            if matches!(self.state, State::Over | State::Wrong) {
                return;
            }
            self.state = self.next(byte);
        }
    }

    fn next(&mut self, byte: u8) -> State {
        let string = |is_key| State::String {
            is_key,
            escapes: false,
        };
        match (self.state, byte) {
            (State::String { is_key, escapes }, _) => match (escapes, byte) {
                (true, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' | b'u') => {
                    string(is_key)
                }
                (true, _) | (false, 0..0x20) => State::Wrong,
                (false, b'\\') => State::String {
                    is_key,
                    escapes: true,
                },
                (false, b'"') if is_key => State::Colon,
                (false, b'"') => self.after_value(),
                (false, _) => string(is_key),
            },
            (State::Word, b'a'..=b'z' | b'E' | b'0'..=b'9' | b'+' | b'-' | b'.') => State::Word,
            (State::Word, _) => {
                self.state = self.after_value();
                self.next(byte)
            }
            (state, b' ' | b'\t' | b'\r' | b'\n') => state,
            (State::FirstItem | State::AfterValue, b']') => self.close(false),
            (State::FirstKey | State::AfterValue, b'}') => self.close(true),
            (State::Value | State::FirstItem, b'{') => self.open(true),
            (State::Value | State::FirstItem, b'[') => self.open(false),
            (State::Value | State::FirstItem, b'"') => string(false),
            (State::Value | State::FirstItem, b'a'..=b'z' | b'0'..=b'9' | b'-') => State::Word,
            (State::FirstKey | State::Key, b'"') => string(true),
            (State::Colon, b':') => State::Value,
            (State::AfterValue, b',') if self.open & 1 == 1 => State::Key,
            (State::AfterValue, b',') => State::Value,
            _ => State::Wrong,
        }
    }

    fn open(&mut self, object: bool) -> State {
        if self.depth == u128::BITS {
            return State::Wrong;
        }
        self.open = self.open << 1 | u128::from(object);
        self.depth += 1;
        if object {
            State::FirstKey
        } else {
            State::FirstItem
        }
    }

    fn close(&mut self, object: bool) -> State {
        if (self.open & 1 == 1) != object {
            return State::Wrong;
        }
        self.open >>= 1;
        self.depth -= 1;
        self.after_value()
    }

    fn after_value(&self) -> State {
        if self.depth == 0 {
            State::Over
        } else {
            State::AfterValue
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::Value;

    use super::*;

    fn is_inside(pieces: &[&str]) -> bool {
        let mut progress = Progress::default();
        for piece in pieces {
            progress.read(piece.as_bytes());
        }
        progress.is_inside()
    }

    #[test]
    fn arguments_that_end_in_the_middle_are_told_from_wrong_and_from_none() {
        for text in [
            "{",
            r#"{"a"#,
            r#"{"a":"x\"#,
            r#"{"a":[1,2"#,
            r#"{"a":1"#,
            "\"x",
        ] {
            assert!(is_inside(&[text]), "{text}");
        }
        for text in [
            "",
            "  ",
            "{}",
            r#"{"a":"}"}"#,
            "[1]",
            "7",
            "none",
            r#"{"a":1}{"#,
        ] {
            assert!(!is_inside(&[text]), "{text}");
        }
        for wrong in [
            "{]",
            r#"{"a" 1"#,
            r#"{"a":"x" y"}"#,
            "{'a",
            "}",
            r#"{"a":"\x"#,
        ] {
            assert!(!is_inside(&[wrong]), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_parser(
            tokens in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ":", ",", "\"a\"", "\"\\n\\\"\"", "7 ", "true ", " ", "\"", "\\",
                ]),
                0..12,
            ),
        ) {
            let text = tokens.concat();
            let read = serde_json::from_str::<IgnoredAny>(&text);
            let eof = read.is_err_and(|error| error.is_eof()) && !text.trim_ascii().is_empty();
            prop_assert_eq!(is_inside(&[&text]), eof, "{}", text);
            let halves = text.split_at(text.len() / 2);
            prop_assert_eq!(is_inside(&[halves.0, halves.1]), eof);
        }

        #[test]
        fn any_object_is_whole_only_at_its_end(
            keys in prop::collection::vec("[a-z\"\\\\{}\\[\\]]{0,6}", 0..4),
        ) {
            let object = keys.iter().map(|key| (key.clone(), Value::from(vec![key.as_str(), "x"])));
            let text = Value::from_iter(object).to_string();
            for end in 1..text.len() {
                prop_assert!(is_inside(&[&text[..end]]), "{}", &text[..end]);
            }
            prop_assert!(!is_inside(&[&text]));
        }
    }
}

//! How much text an answer holds, without reading it as JSON.

use crate::Operation;
use memchr::{memchr, memchr2};

/// In which members of JSON an answer has its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Members {
    /// Those of a whole answer.
    whole: &'static [&'static [u8]],
    /// Those of its events, where each text comes once.
    events: &'static [&'static [u8]],
}

const CHAT: &[&[u8]] = &[
    b"arguments",
    b"content",
    b"reasoning",
    b"reasoning_content",
    b"refusal",
    b"text",
];
const MESSAGES: &[&[u8]] = &[b"partial_json", b"text", b"thinking"];
const RESPONSES: &[&[u8]] = &[b"arguments", b"text"];

impl Members {
    pub(crate) const fn of(operation: Operation) -> Self {
        let (whole, events) = match operation {
            Operation::Messages => (MESSAGES, MESSAGES),
            // The last events repeat all of it.
            Operation::Responses => (RESPONSES, &[b"delta" as &[u8]] as _),
            _ => (CHAT, CHAT),
        };
        Self { whole, events }
    }
}

/// The bytes of text in a whole answer.
pub(crate) fn of_json(json: &[u8], members: Members) -> u64 {
    count(json, members.whole)
}

/// The bytes of text in events, as they come over the wire.
pub(crate) fn of_events(events: &[u8], members: Members) -> u64 {
    count(events, members.events)
}

/// The bytes of all strings that are members of these names. Escapes count as what they are written
/// with.
fn count(json: &[u8], names: &[&[u8]]) -> u64 {
    let mut rest = json;
    let mut counted = 0;
    while let Some(name) = string(&mut rest) {
        let after = rest.trim_ascii_start();
        let Some(value) = after.strip_prefix(b":") else {
            continue;
        };
        let value = value.trim_ascii_start();
        rest = value;
        if value.first() == Some(&b'"')
            && let Some(value) = string(&mut rest)
            && names.contains(&name)
        {
            counted += value.len() as u64;
        }
    }
    counted
}

/// The next string, without its quotes; the rest begins after it.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let from = &rest[memchr(b'"', rest)? + 1..];
    let mut end = 0;
    loop {
        end += memchr2(b'"', b'\\', &from[end..])?;
        if from[end] == b'"' {
            break;
        }
        end += 2;
        if end > from.len() {
            return None;
        }
    }
    *rest = &from[end + 1..];
    Some(&from[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn events(operation: Operation, events: &str) -> u64 {
        of_events(events.as_bytes(), Members::of(operation))
    }

    #[test]
    fn text_is_counted_wherever_a_dialect_has_it_and_nothing_else_is() {
        let chat = r#"data: {"id":"content","choices":[{"delta":{"role":"assistant","content":"12345"}}]}

data: {"choices":[{"delta":{"content":null,"tool_calls":[{"id":"x","function":{"name":"f","arguments":"123"}}]}}]}

"#;
        assert_eq!(events(Operation::ChatCompletions, chat), 8);
        let text = r#"data: {"choices":[{"text" : "1\"3"}]}"#;
        assert_eq!(events(Operation::Completions, text), 4);
        let messages = r#"event: content_block_delta
data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"123"}}"#;
        assert_eq!(events(Operation::Messages, messages), 3);
        let responses = r#"data: {"type":"response.output_text.delta","delta":"1234"}

data: {"type":"response.output_text.done","text":"1234"}"#;
        assert_eq!(events(Operation::Responses, responses), 4);
        let whole = r#"{"choices":[{"message":{"content":"123","refusal":null}}],"usage":null}"#;
        let members = Members::of(Operation::ChatCompletions);
        assert_eq!(of_json(whole.as_bytes(), members), 3);
    }

    #[test]
    fn what_is_cut_off_or_no_json_is_no_text() {
        for bytes in [
            &b""[..],
            b"\"",
            b"\"content\"",
            b"\"content\":",
            b"\"content\":\"",
            b"\"content\":\"\\",
            b"\"content\":\"\\\"",
            b"data: [DONE]",
        ] {
            assert_eq!(of_json(bytes, Members::of(Operation::ChatCompletions)), 0);
        }
    }

    /// The same by reading it.
    fn model(value: &Value) -> u64 {
        match value {
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| match value {
                    Value::String(text) if CHAT.contains(&name.as_bytes()) => {
                        json!(text).to_string().len() as u64 - 2
                    }
                    value => model(value),
                })
                .sum(),
            Value::Array(values) => values.iter().map(model).sum(),
            _ => 0,
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let name = prop_oneof!["content|text|refusal", ".{0,4}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            prop_oneof!["content", ".{0,8}", "[\"\\\\:,]{0,6}"].prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(name.clone(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_counts_what_a_reader_of_json_counts(value in json()) {
            let members = Members::of(Operation::ChatCompletions);
            prop_assert_eq!(of_json(value.to_string().as_bytes(), members), model(&value));
        }

        #[test]
        fn any_bytes_may_be_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let members = Members::of(Operation::ChatCompletions);
            prop_assert!(of_json(&bytes, members) <= bytes.len() as u64);
        }
    }
}

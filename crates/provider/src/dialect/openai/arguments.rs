//! Whether the arguments of tool calls are whole.
//!
//! Arguments are JSON inside a JSON string. A model may write them wrong, and that is its answer;
//! but what ends in the middle was cut off on the way.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::progress::Progress;

/// How many calls of an answer are looked after; the others pass as they are.
const MAX_CALLS: usize = 128;

/// Whether a whole answer holds arguments that end in the middle, though its finish reason says
/// nothing of it.
pub(super) fn are_cut(body: &[u8]) -> bool {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    let is_cut = |text: &str| {
        let read = serde_json::from_str::<IgnoredAny>(text);
        !text.trim_ascii().is_empty() && read.is_err_and(|error| error.is_eof())
    };
    choices(&answer).any(|choice| {
        let reason = choice.get("finish_reason").and_then(Value::as_str);
        !reason.is_some_and(explains_a_cut) && calls(choice).any(|call| is_cut(call.arguments))
    })
}

/// Whether a finish reason says that the answer is not all that the model would have said.
pub(super) fn explains_a_cut(reason: &str) -> bool {
    matches!(
        reason,
        "length" | "max_tokens" | "model_length" | "content_filter" | "sensitive"
    )
}

/// The calls of a streamed answer, and how far their arguments have come.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Open>);

#[derive(Debug)]
struct Open {
    choice: u32,
    index: Option<u64>,
    progress: Progress,
}

impl Calls {
    /// Takes an event with calls in it.
    pub(super) fn read(&mut self, data: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Value>(data) else {
            return;
        };
        for choice in choices(&event) {
            let index = choice.get("index").and_then(Value::as_u64);
            let at = index.unwrap_or_default().min(127) as u32;
            for call in calls(choice) {
                self.add(at, &call);
            }
        }
    }

    /// Whether one of these choices, a bit for each, has arguments that end in the middle.
    pub(super) fn are_cut(&self, choices: u128) -> bool {
        let mut open = self.0.iter();
        open.any(|call| choices >> call.choice & 1 == 1 && call.progress.is_inside())
    }

    fn add(&mut self, choice: u32, call: &Call<'_>) {
        let same = |open: &Open| open.choice == choice && open.index == call.index;
        let found = match call.index {
            None if call.begins => None,
            _ => self.0.iter().rposition(same),
        };
        let at = found.unwrap_or(self.0.len());
        if at == MAX_CALLS {
            return;
        }
        if at == self.0.len() {
            self.0.push(Open {
                choice,
                index: call.index,
                progress: Progress::default(),
            });
        }
        let open = &mut self.0[at];
        // Some servers give every call the same index.
        if call.begins && open.progress.is_over() {
            open.progress = Progress::default();
        }
        open.progress.read(call.arguments.as_bytes());
    }
}

struct Call<'a> {
    index: Option<u64>,
    /// Whether it has an id: the first piece of a call.
    begins: bool,
    arguments: &'a str,
}

fn choices(answer: &Value) -> impl Iterator<Item = &Value> {
    let choices = answer.get("choices").and_then(Value::as_array);
    choices.into_iter().flatten()
}

fn calls(choice: &Value) -> impl Iterator<Item = Call<'_>> {
    let message = choice.get("delta").or_else(|| choice.get("message"));
    let member = |name| message.and_then(|message| message.get(name));
    let listed = member("tool_calls").and_then(Value::as_array);
    let listed = listed.into_iter().flatten().map(|call| Call {
        index: call.get("index").and_then(Value::as_u64),
        begins: call.get("id").is_some_and(|id| !id.is_null() && id != ""),
        arguments: arguments(call.get("function")),
    });
    let only = member("function_call").map(|call| Call {
        index: Some(u64::MAX),
        begins: false,
        arguments: arguments(Some(call)),
    });
    listed.chain(only)
}

fn arguments(function: Option<&Value>) -> &str {
    let arguments = function.and_then(|function| function.get("arguments"));
    arguments.and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(call: &str) -> String {
        format!(r#"{{"choices":[{{"index":0,"delta":{{"tool_calls":[{call}]}}}}]}}"#)
    }

    #[test]
    fn calls_are_kept_apart_by_their_index_or_by_their_beginning() {
        let piece = |head: &str, arguments: &str| {
            let arguments = Value::from(arguments);
            event(&format!(
                r#"{{{head}"function":{{"arguments":{arguments}}}}}"#
            ))
        };
        for (events, cut) in [
            (
                vec![
                    piece(r#""index":0,"#, "{\"a"),
                    piece(r#""index":1,"#, "\":1}"),
                ],
                true,
            ),
            (
                vec![
                    piece(r#""index":0,"#, "{\"a"),
                    piece(r#""index":0,"#, "\":1}"),
                ],
                false,
            ),
            // Each with an index of zero and an id of its own.
            (
                vec![
                    piece(r#""index":0,"id":"a","#, "{}"),
                    piece(r#""index":0,"id":"b","#, "{"),
                ],
                true,
            ),
            (
                vec![
                    piece(r#""id":"a","#, "{}"),
                    piece(r#""id":"b","#, "{"),
                    piece("", "}"),
                ],
                false,
            ),
            (
                vec![piece(r#""id":"a","#, "{"), piece(r#""id":"b","#, "{}")],
                true,
            ),
        ] {
            let mut calls = Calls::default();
            for event in &events {
                calls.read(event.as_bytes());
            }
            assert_eq!(calls.are_cut(1), cut, "{events:?}");
            assert!(!calls.are_cut(2), "another choice has none");
        }
    }

    #[test]
    fn calls_past_the_last_that_is_looked_after_mix_with_no_other() {
        let mut calls = Calls::default();
        for index in 0..500 {
            let call = event(&format!(
                r#"{{"index":{index},"function":{{"arguments":"{{"}}}}"#
            ));
            calls.read(call.as_bytes());
            if index < 128 {
                let call = event(&format!(
                    r#"{{"index":{index},"function":{{"arguments":"}}"}}}}"#
                ));
                calls.read(call.as_bytes());
            }
        }
        assert_eq!(calls.0.len(), MAX_CALLS);
        assert!(!calls.are_cut(1));
    }
}

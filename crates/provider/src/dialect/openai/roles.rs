//! Events that say whose message it is, and nothing else.

use serde::Deserialize;
use serde_json::Value;

use super::loose::Loose;

/// Whether all that an event says of its choices is the role. Clients that join the deltas would
/// join the roles too, so it may come once.
pub(super) fn are_all(data: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<Value>(data) else {
        return false;
    };
    let choices = event.get("choices").and_then(Value::as_array);
    choices.is_some_and(|choices| choices.iter().all(is_bare))
}

fn is_bare(choice: &Value) -> bool {
    choice.as_object().is_some_and(|members| {
        members.iter().all(|(name, value)| match name.as_str() {
            "index" => true,
            "delta" => value.as_object().is_some_and(|delta| {
                let mut members = delta.iter();
                members.all(|(name, value)| name == "role" || is_empty(value))
            }),
            _ => is_empty(value),
        })
    })
}

/// Whether a value says nothing.
pub(super) fn is_empty(value: &Value) -> bool {
    Loose::deserialize(value).is_ok_and(|value| !value.is_full())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_event_with_nothing_but_a_role_is_one() {
        for (choice, bare) in [
            (r#""delta":{"role":"assistant"}"#, true),
            (
                r#""delta":{"role":"assistant","content":"","refusal":null,"tool_calls":[]},"logprobs":null"#,
                true,
            ),
            (r#""delta":{"role":"assistant","content":"x"}"#, false),
            (r#""delta":{"role":"assistant","token_id":7}"#, false),
            (
                r#""delta":{"role":"assistant"},"finish_reason":"stop""#,
                false,
            ),
            (
                r#""delta":{"role":"assistant"},"content_filter_results":{"hate":{}}"#,
                false,
            ),
            (r#""delta":7"#, false),
        ] {
            let event = format!(r#"{{"choices":[{{"index":0,{choice}}}]}}"#);
            assert_eq!(are_all(event.as_bytes()), bare, "{choice}");
        }
        assert!(!are_all(b"{"));
        assert!(!are_all(b"{}"));
    }
}

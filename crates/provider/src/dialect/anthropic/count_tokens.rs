//! How many tokens a request has, as the provider counts them.

use bytes::Bytes;
use serde_json::{Map, Value};
use ziggurat_core::{Error, ErrorKind};

/// What of a request is counted.
const COUNTED: &[&str] = &[
    "cache_control",
    "context_management",
    "mcp_servers",
    "messages",
    "model",
    "output_config",
    "system",
    "thinking",
    "tool_choice",
    "tools",
];

/// The question, for a request in Anthropic's own words.
///
/// # Errors
///
/// [`ErrorKind::BadRequest`] if it is none.
pub(super) fn question(body: &[u8]) -> Result<Bytes, Error> {
    let mut body: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body cannot be read: {error}");
        Error::new(ErrorKind::BadRequest, message)
    })?;
    body.retain(|name, _| COUNTED.contains(&name.as_str()));
    Ok(Value::Object(body).to_string().into())
}

/// The number in the answer.
pub(super) fn answer(body: &[u8]) -> Option<u64> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    answer.get("input_tokens")?.as_u64()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_holds_what_is_counted_and_nothing_else() {
        let body = json!({
            "model": "m", "system": "s", "messages": [{"role": "user", "content": "hi"}],
            "tools": [{"name": "f", "input_schema": {}}], "thinking": {"type": "disabled"},
            "stream": true, "temperature": 0.5, "metadata": {"user_id": "u"}, "max_tokens": 5000,
        });
        let asked = question(body.to_string().as_bytes()).expect("can be asked");
        let asked: Value = serde_json::from_slice(&asked).expect("is JSON");
        let names: Vec<_> = asked.as_object().expect("is one").keys().collect();
        assert_eq!(names, ["messages", "model", "system", "thinking", "tools"]);
        assert!(question(b"[]").is_err());
    }

    #[test]
    fn the_answer_is_a_number() {
        assert_eq!(answer(br#"{"input_tokens":43}"#), Some(43));
        for none in ["", "{}", r#"{"input_tokens":-1}"#, "[]"] {
            assert_eq!(answer(none.as_bytes()), None);
        }
    }
}

//! How many tokens a request has, as the provider counts them.

use serde_json::Value;
use ziggurat_core::{Error, ErrorKind};

use super::{Host, request};
use crate::dialect::{Call, Outgoing};

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

/// The question, for a chat request.
///
/// # Errors
///
/// As [`Dialect::request`](crate::dialect::Dialect::request).
#[cfg_attr(not(test), expect(dead_code, reason = "no operation asks for it yet"))]
pub(crate) fn request(call: &Call<'_>) -> Result<Outgoing, Error> {
    let mut sent = request::write(call, Host::Direct)?;
    sent.body.retain(|name, _| COUNTED.contains(&name.as_str()));
    let body = sent.to_bytes();
    super::outgoing(call, "/messages/count_tokens", body, sent.betas)
}

/// The number in the answer.
///
/// # Errors
///
/// [`ErrorKind::BadAnswer`] if there is none.
#[cfg_attr(not(test), expect(dead_code, reason = "no operation asks for it yet"))]
pub(crate) fn answer(body: &[u8]) -> Result<u64, Error> {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let tokens = answer.and_then(|answer| answer.get("input_tokens")?.as_u64());
    tokens.ok_or_else(|| {
        let message = "the provider's answer holds no count of tokens";
        Error::new(ErrorKind::BadAnswer, message)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dialect::anthropic::test::asked;

    #[test]
    fn a_question_holds_what_is_counted_and_nothing_else() {
        let body = json!({
            "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
            "tools": [{"type": "function", "function": {"name": "f"}}],
            "stream": true, "temperature": 0.5, "user": "u", "max_tokens": 5000,
            "reasoning_effort": "low",
        });
        let sent = asked(&body, request).expect("can be asked");
        assert_eq!(sent.path, "/messages/count_tokens");
        let body: Value = serde_json::from_slice(&sent.body).expect("is JSON");
        let names: Vec<_> = body.as_object().expect("is one").keys().collect();
        assert_eq!(names, ["messages", "model", "system", "thinking", "tools"]);
    }

    #[test]
    fn the_answer_is_a_number() {
        assert_eq!(answer(br#"{"input_tokens":43}"#).expect("is one"), 43);
        for none in ["", "{}", r#"{"input_tokens":-1}"#, "[]"] {
            let error = answer(none.as_bytes()).expect_err("is none");
            assert_eq!(error.kind(), ErrorKind::BadAnswer);
        }
    }
}

//! Thoughts that nobody signed.

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

/// The body without the thoughts of other providers' models, which came to the client without a
/// signature: Anthropic refuses them. A body without any stays as it is.
pub(crate) fn without_unsigned(body: Bytes) -> Bytes {
    if !has_unsigned(&body) {
        return body;
    }
    let Ok(mut request) = serde_json::from_slice::<Value>(&body) else {
        return body;
    };
    let Some(messages) = request.get_mut("messages").and_then(Value::as_array_mut) else {
        return body;
    };
    messages.retain_mut(|message| {
        let Some(content) = message.get_mut("content").and_then(Value::as_array_mut) else {
            return true;
        };
        let was_empty = content.is_empty();
        content.retain(|block| block["type"] != "thinking" || block["signature"] != "");
        was_empty || !content.is_empty()
    });
    request.to_string().into()
}

fn has_unsigned(body: &[u8]) -> bool {
    let name = b"\"signature\"";
    memmem::find_iter(body, name).any(|at| {
        let value = body[at + name.len()..].trim_ascii_start();
        let value = value.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| value.starts_with(b"\"\""))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_signed_is_taken_out_and_nothing_else_is_touched() {
        let signed = br#"{ "messages":[{"content":[{"type":"thinking","signature": "x"}]}] }"#;
        let body = Bytes::from_static(signed);
        assert_eq!(without_unsigned(body.clone()).as_ptr(), body.as_ptr());

        let body = json!({"messages": [
            {"role": "user", "content": "signature"},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": ""}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "a", "signature": ""},
                {"type": "thinking", "thinking": "b", "signature": "x"},
                {"type": "text", "text": "c"},
            ]},
        ]});
        let left = without_unsigned(body.to_string().into());
        let left: Value = serde_json::from_slice(&left).expect("is JSON");
        let expected = json!([
            {"role": "user", "content": "signature"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "b", "signature": "x"},
                {"type": "text", "text": "c"},
            ]},
        ]);
        assert_eq!(left["messages"], expected);
    }
}

//! Every block both ways, and streams cut anywhere.

mod answer;
mod recorded;
mod request;
mod round;
mod stream;

use serde_json::{Value, json};

use super::Messages;
use crate::shape::Shape;

/// A request in Anthropic's shape, as OpenAI's chat.
fn to_chat(body: &Value) -> Value {
    let chat = Messages.to_chat(
        body.to_string().as_bytes(),
        crate::chat::unsupported::Fit::default(),
    );
    serde_json::from_slice(&chat.expect("is a request")).expect("is JSON")
}

/// The message that a stream of events makes, which must come in the order that Anthropic keeps.
fn assembled(stream: &[u8]) -> Value {
    let text = std::str::from_utf8(stream).expect("is text");
    let mut message = Value::Null;
    let mut open: Option<usize> = None;
    let mut is_over = false;
    for event in text.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').expect("has a name and data");
        let data: Value =
            serde_json::from_str(data.strip_prefix("data: ").expect("is data")).expect("is JSON");
        let kind = data["type"].as_str().expect("has a type");
        assert_eq!(name, format!("event: {kind}"));
        assert!(!is_over, "nothing comes after the end");
        let block =
            || usize::try_from(data["index"].as_u64().expect("has an index")).expect("is small");
        if kind == "message_start" {
            assert!(message.is_null(), "there is one message");
            message = data["message"].clone();
            assert_eq!(message["content"], json!([]));
            continue;
        }
        assert!(message.is_object(), "{kind} comes after the start");
        match kind {
            "ping" => {}
            "content_block_start" => {
                let content = message["content"].as_array_mut().expect("is a list");
                assert_eq!((open, block()), (None, content.len()));
                open = Some(block());
                content.push(data["content_block"].clone());
            }
            "content_block_delta" => {
                assert_eq!(open, Some(block()));
                add(&mut message["content"][block()], &data["delta"]);
            }
            "content_block_stop" => {
                assert_eq!(open.take(), Some(block()));
                let content = &mut message["content"][block()];
                if let Some(json) = content.as_object_mut().and_then(|it| it.remove("json")) {
                    let json = json.as_str().expect("is text");
                    content["input"] = serde_json::from_str(json).unwrap_or_else(|_| json.into());
                }
            }
            "message_delta" => {
                assert_eq!(open, None);
                for name in ["stop_reason", "stop_sequence"] {
                    message[name] = data["delta"][name].clone();
                }
                message["usage"] = data["usage"].clone();
            }
            "message_stop" => {
                assert!(
                    message["stop_reason"].is_string(),
                    "the reason comes before the end"
                );
                is_over = true;
            }
            kind => panic!("{kind} is no event"),
        }
    }
    assert!(is_over, "the stream ends");
    message
}

fn add(block: &mut Value, delta: &Value) {
    let (kind, member, piece) = match delta["type"].as_str().expect("has a type") {
        "text_delta" => ("text", "text", "text"),
        "thinking_delta" => ("thinking", "thinking", "thinking"),
        "signature_delta" => ("thinking", "signature", "signature"),
        "input_json_delta" => ("tool_use", "json", "partial_json"),
        kind => panic!("{kind} is no delta"),
    };
    assert_eq!(block["type"], kind);
    let before = block[member].as_str().unwrap_or_default().to_owned();
    block[member] = (before + delta[piece].as_str().expect("is text")).into();
}

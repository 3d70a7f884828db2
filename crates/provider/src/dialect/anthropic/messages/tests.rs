use serde_json::json;

use super::*;
use crate::chat::ChatRequest;

fn written(messages: Value) -> Result<Conversation, Error> {
    let body = object([("messages", messages)]);
    let request = ChatRequest::read(body.to_string().as_bytes())?;
    write(request.messages, &mut Betas::default())
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

#[test]
fn system_and_developer_come_first_and_neighbours_are_one() {
    let cache = json!({"type": "ephemeral", "ttl": "1h"});
    let talk = written(json!([
        {"role": "system", "content": "a", "cache_control": cache},
        {"role": "user", "content": "b"},
        {"role": "user", "content": [{"type": "text", "text": "c"}]},
        {"role": "developer", "content": [{"type": "text", "text": "d"}]},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "e"},
    ]))
    .expect("can be said");
    let first = json!({"type": "text", "text": "a", "cache_control": cache});
    assert_eq!(talk.system, [first, text("d")]);
    let content = [text("b"), text("c"), text("e")];
    assert_eq!(talk.messages, [json!({"role": "user", "content": content})]);
    assert!(!talk.is_prefilled && !talk.forgot_thoughts);
}

#[test]
fn calls_and_results_keep_each_other() {
    let talk = written(json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "yes", "tool_calls": [
            {"id": "call:1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
        ]},
        {"role": "user", "content": "wait"},
        {"role": "tool", "tool_call_id": "call:1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": [
            {"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}},
        ]},
        {"role": "tool", "tool_call_id": "c3", "content": ""},
    ]))
    .expect("can be said");
    let id = ids::safe("call:1");
    assert_eq!(
        talk.messages[1]["content"],
        json!([
            text("yes"),
            {"type": "tool_use", "id": id, "name": "f", "input": {"a": 1}},
            {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
        ])
    );
    assert_eq!(
        talk.messages[2]["content"],
        json!([
            {"type": "tool_result", "tool_use_id": id, "content": [text("one")]},
            {"type": "tool_result", "tool_use_id": "c2", "content": [text("two")],
                "cache_control": {"type": "ephemeral"}},
            {"type": "tool_result", "tool_use_id": "c3"},
            text("wait"),
        ])
    );
    assert!(talk.forgot_thoughts);
}

#[test]
fn functions_of_old_clients_are_matched_by_their_order() {
    let talk = written(json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
    ]))
    .expect("can be said");
    let called = &talk.messages[1]["content"][0]["id"];
    assert_eq!(called, &talk.messages[2]["content"][0]["tool_use_id"]);
    let lost = json!([{"role": "user", "content": "x"}, {"role": "tool", "content": "1"}]);
    let error = written(lost).expect_err("belongs to no call");
    assert_eq!(error.param(), Some("messages[1].tool_call_id"));
}

#[test]
fn thoughts_go_back_with_their_signatures_and_before_all_else() {
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": "s"});
    let redacted = json!({"type": "redacted_thinking", "data": "d"});
    let talk = written(json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": "yes", "reasoning_content": "hm", "thinking_blocks": [
            thought, redacted, {"type": "thinking", "thinking": "unsigned"}, 7,
        ], "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]))
    .expect("can be said");
    let call = json!({"type": "tool_use", "id": "c", "name": "f", "input": {}});
    let content = json!([thought, redacted, text("yes"), call]);
    assert_eq!(talk.messages[1]["content"], content);
    assert!(!talk.forgot_thoughts);
}

#[test]
fn somebody_asks_first_and_a_prefill_ends_without_blanks() {
    let talk = written(json!([{"role": "assistant", "content": "Once \n"}]));
    let talk = talk.expect("can be said");
    assert_eq!(
        talk.messages[0],
        json!({"role": "user", "content": [text(".")]})
    );
    assert_eq!(
        talk.messages[1],
        json!({"role": "assistant", "content": [text("Once")]})
    );
    assert!(talk.is_prefilled);
    let talk = written(json!([{"role": "system", "content": "Write."}])).expect("is one");
    assert!(talk.system.is_empty());
    assert_eq!(talk.messages[0]["content"], json!([text("Write.")]));
    let empty = written(json!([{"role": "user", "content": ""}])).expect("is one");
    assert_eq!(empty.messages[0]["content"], json!([text(".")]));
    for none in [json!([]), json!([{"role": "assistant", "content": ""}])] {
        assert_eq!(
            written(none).expect_err("is none").param(),
            Some("messages")
        );
    }
}

#[test]
fn only_users_show_pictures() {
    let image = json!([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]);
    for role in ["assistant", "system"] {
        let error = written(json!([{"role": role, "content": image}])).expect_err("is unfit");
        assert_eq!(error.param(), Some("messages[0].content[0]"));
    }
}

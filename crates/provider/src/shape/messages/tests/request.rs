use serde_json::{Value, json};
use ziggurat_core::Error;

use super::to_chat;
use crate::{
    chat::{ChatRequest, Media, Part, Role},
    shape::{Shape, messages::Messages},
};

fn refused(body: &Value) -> Error {
    let refused = Messages.to_chat(
        body.to_string().as_bytes(),
        crate::chat::unsupported::Fit::default(),
    );
    let error = refused.expect_err("is refused");
    assert_eq!(error.status(), http::StatusCode::BAD_REQUEST);
    error
}

/// The messages of a chat that was asked for with these.
fn messages(messages: &Value) -> Value {
    let body = json!({"model": "m", "max_tokens": 1, "messages": messages});
    to_chat(&body)["messages"].take()
}

#[test]
fn every_field_has_its_like() {
    let chat = to_chat(&json!({
        "model": "m", "max_tokens": 9, "stream": true, "temperature": 0.5, "top_p": 0.9, "top_k": 3,
        "system": "be kind", "stop_sequences": ["x"], "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 2048}, "service_tier": "auto",
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true},
            {"type": "custom", "name": "g", "input_schema": {}, "cache_control": {"type": "ephemeral"}},
        ],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "messages": [{"role": "user", "content": "hi"}],
        "future_field": {"x": 1},
    }));
    let expected = json!({
        "model": "m", "max_tokens": 9, "stream": true, "stream_options": {"include_usage": true},
        "temperature": 0.5, "top_p": 0.9, "top_k": 3, "stop": ["x"], "user": "u",
        "thinking": {"type": "enabled", "budget_tokens": 2048}, "reasoning_effort": "medium",
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "answer", "schema": {"type": "object"}, "strict": true,
        }},
        "tools": [
            {"type": "function", "function": {
                "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true,
            }},
            {"type": "function", "function": {"name": "g", "parameters": {}}, "cache_control": {"type": "ephemeral"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false,
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}],
        "future_field": {"x": 1},
    });
    assert_eq!(chat, expected);
}

#[test]
fn a_choice_of_tools_and_an_effort_have_their_words() {
    let chat = |more: Value| {
        let mut body = json!({"max_tokens": 1, "messages": [{"role": "user", "content": "x"}]});
        let members = more.as_object().expect("are members").clone();
        body.as_object_mut().expect("is one").extend(members);
        to_chat(&body)
    };
    for (kind, word) in [("auto", "auto"), ("any", "required"), ("none", "none")] {
        let chat = chat(json!({"tool_choice": {"type": kind, "disable_parallel_tool_use": false}}));
        assert_eq!(chat["tool_choice"], word);
        assert!(chat.get("parallel_tool_calls").is_none());
    }
    for (more, effort) in [
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            json!("low"),
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 32_000}}),
            json!("high"),
        ),
        (
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
            json!("high"),
        ),
        (json!({"output_config": {"effort": "low"}}), json!("low")),
        (json!({"thinking": {"type": "disabled"}}), Value::Null),
        (json!({"thinking": {"type": "adaptive"}}), Value::Null),
    ] {
        assert_eq!(chat(more.clone())["reasoning_effort"], effort, "{more}");
    }
}

#[test]
fn every_block_of_a_user_becomes_a_part() {
    let mark = json!({"type": "ephemeral"});
    let read = messages(&json!([{"role": "user", "content": [
        {"type": "text", "text": "a", "cache_control": mark},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}, "cache_control": mark},
        {"type": "image", "source": {"type": "file", "file_id": "f1"}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "BBBB"}},
        {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}, "title": "t", "context": "c"},
        {"type": "document", "source": {"type": "file", "file_id": "f2"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}, "title": "t"},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "b"}]}},
        {"type": "document", "source": {"type": "content", "content": "d"}},
        {"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "e"}]},
    ]}]));
    let text = |text: &str| json!({"type": "text", "text": text});
    let expected = json!([
        {"type": "text", "text": "a", "cache_control": mark},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}, "cache_control": mark},
        {"type": "file", "file": {"file_id": "f1"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,BBBB", "filename": "document.pdf"}},
        text("c"),
        {"type": "file", "file": {"file_url": "https://x/y.pdf"}},
        {"type": "file", "file": {"file_id": "f2"}},
        text("t\n\nwords"),
        text("b"),
        text("d"),
        text("t\ns"),
        text("e"),
    ]);
    assert_eq!(read, json!([{"role": "user", "content": expected}]));
}

#[test]
fn results_of_tools_come_first_and_keep_what_they_are() {
    let read = messages(&json!([{"role": "user", "content": [
        {"type": "text", "text": "and?"},
        {"type": "tool_result", "tool_use_id": "a", "content": "42", "is_error": true},
        {"type": "tool_result", "tool_use_id": "b", "cache_control": {"type": "ephemeral"}, "content": [
            {"type": "text", "text": "look"},
            {"type": "image", "source": {"type": "url", "url": "u"}},
        ]},
        {"type": "tool_result", "tool_use_id": "c"},
    ]}]));
    let expected = json!([
        {"role": "tool", "tool_call_id": "a", "content": "42", "is_error": true},
        {"role": "tool", "tool_call_id": "b", "cache_control": {"type": "ephemeral"}, "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "u"}},
        ]},
        {"role": "tool", "tool_call_id": "c", "content": ""},
        {"role": "user", "content": "and?"},
    ]);
    assert_eq!(read, expected);
}

#[test]
fn every_block_of_an_assistant_has_its_place() {
    let read = messages(&json!([{"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "thinking", "thinking": " unsigned", "signature": ""},
        {"type": "text", "text": "so "},
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "srv", "content": []},
        {"type": "text", "text": "then", "citations": []},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}, "cache_control": {"type": "ephemeral"}},
        {"type": "tool_use", "id": "u", "name": "g"},
    ]}, {"role": "assistant", "content": [{"type": "tool_use", "id": "v", "name": "f", "input": {}}]},
    {"role": "assistant", "content": "pre"}]));
    let call = |id: &str, name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        json!({"id": id, "type": "function", "function": function})
    };
    let expected = json!([
        {
            "role": "assistant", "content": "so then", "reasoning_content": "hm unsigned",
            "thinking_blocks": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
            ],
            "tool_calls": [call("t", "f", "{\"a\":1}"), call("u", "g", "{}")],
            "cache_control": {"type": "ephemeral"},
        },
        {"role": "assistant", "content": null, "tool_calls": [call("v", "f", "{}")]},
        {"role": "assistant", "content": "pre"},
    ]);
    assert_eq!(read, expected);
}

#[test]
fn other_dialects_read_all_of_it() {
    let chat = to_chat(&json!({
        "model": "m", "max_tokens": 9, "system": [{"type": "text", "text": "be kind", "cache_control": {}}],
        "thinking": {"type": "adaptive"}, "top_k": 3,
        "messages": [
            {"role": "user", "content": [{"type": "document", "source": {"type": "url", "url": "u"}}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "is_error": true}]},
        ],
    }));
    let read = ChatRequest::read(chat.to_string().as_bytes()).expect("is a chat");
    assert!(read.other.is_empty(), "{:?}", read.other);
    let [system, user, assistant, tool] = &read.messages[..] else {
        panic!("four messages")
    };
    assert_eq!(system.role, Role::System);
    assert!(matches!(
        &system.content[0],
        Part::Text { cache: Some(_), .. }
    ));
    assert!(matches!(
        &user.content[0],
        Part::File {
            media: Media::Url(_),
            ..
        }
    ));
    assert_eq!(assistant.thinking.len(), 1);
    assert_eq!(assistant.tool_calls[0].input(), json!({"a": 1}));
    assert!(tool.is_error);
}

#[test]
fn what_is_wrong_or_has_no_like_is_named() {
    let user = |block: Value| json!([{"role": "user", "content": [block]}]);
    let hi = json!([{"role": "user", "content": "hi"}]);
    for (body, at, code) in [
        (
            json!({"messages": hi}),
            "max_tokens",
            "missing_required_parameter",
        ),
        (
            json!({"max_tokens": 1}),
            "messages",
            "missing_required_parameter",
        ),
        (
            json!({"max_tokens": 1, "messages": 7}),
            "messages",
            "invalid_type",
        ),
        (
            json!({"max_tokens": "1", "messages": hi}),
            "max_tokens",
            "invalid_type",
        ),
        (
            json!({"max_tokens": 1, "messages": [{"role": "king"}]}),
            "messages[0].role",
            "invalid_type",
        ),
        (
            json!({"max_tokens": 1, "messages": user(json!(7))}),
            "messages[0].content[0]",
            "invalid_type",
        ),
        (
            json!({"max_tokens": 1, "messages": user(json!({}))}),
            "messages[0].content[0].type",
            "invalid_type",
        ),
        (
            json!({"max_tokens": 1, "messages": user(json!({"type": "container_upload", "file_id": "f"}))}),
            "messages[0].content[0].type",
            "unsupported_parameter",
        ),
        (
            json!({"max_tokens": 1, "messages": user(json!({"type": "image", "source": {"type": "base64"}}))}),
            "messages[0].content[0].source.media_type",
            "invalid_type",
        ),
        (
            json!({"max_tokens": 1, "messages": hi, "stop_sequences": [1]}),
            "stop_sequences",
            "invalid_type",
        ),
        (
            json!({"max_tokens": 1, "messages": hi, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            "tools[0].type",
            "unsupported_parameter",
        ),
        (
            json!({"max_tokens": 1, "messages": hi, "tools": [{}]}),
            "tools[0].name",
            "invalid_type",
        ),
        (
            json!({"max_tokens": 1, "messages": hi, "tool_choice": {"type": "all"}}),
            "tool_choice.type",
            "invalid_type",
        ),
        (
            json!({"max_tokens": 1, "messages": hi, "mcp_servers": [{"url": "x"}]}),
            "mcp_servers",
            "unsupported_parameter",
        ),
    ] {
        let error = refused(&body);
        assert_eq!((error.param(), error.code()), (Some(at), code), "{body}");
    }
    assert!(
        refused(&json!({"max_tokens": 1, "messages": hi, "container": "c"}))
            .message()
            .contains("`container`")
    );
    assert!(
        Messages
            .to_chat(b"{", crate::chat::unsupported::Fit::default())
            .is_err()
    );
}

#[test]
fn a_document_cannot_hold_documents_without_end() {
    let mut block = json!({"type": "text", "text": "x"});
    for _ in 0..2 {
        block = json!({"type": "document", "source": {"type": "content", "content": [block]}});
    }
    let body = json!({"max_tokens": 1, "messages": [{"role": "user", "content": [block]}]});
    let error = refused(&body);
    assert_eq!(
        error.param(),
        Some("messages[0].content[0].source.content[0].type")
    );
}

//! Chat that becomes Responses.

use serde_json::{Value, json};
use ziggurat_core::ErrorKind;

use super::{chunk, encode, finished, has_required, kinds, last, rich, without_ids};
use crate::{
    chat::ChatRequest,
    dialect::openai,
    shape::{Shape, responses::Responses},
};

#[test]
fn a_stream_has_every_event_in_its_order() {
    let (request, chat) = rich();
    let stream = encode(&request, chat.as_bytes(), 1);
    assert_eq!(
        kinds(&stream),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.annotation.added",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let response = last(&stream);
    let [reasoning, message, function, custom] =
        &response["output"].as_array().expect("is one")[..]
    else {
        panic!("four items")
    };
    assert_eq!(reasoning["summary"][0]["text"], "hm");
    assert!(reasoning["encrypted_content"].is_string());
    assert_eq!(message["content"][0]["text"], "so");
    assert_eq!(message["content"][0]["annotations"][0]["url"], "u");
    assert_eq!(message["status"], "completed");
    assert_eq!(
        (&function["call_id"], &function["arguments"]),
        (&json!("c0"), &json!("{\"a\":1}"))
    );
    assert_eq!(
        (&custom["call_id"], &custom["input"]),
        (&json!("c1"), &json!("ls"))
    );
    for (item, prefix) in [
        (reasoning, "rs_"),
        (message, "msg_"),
        (function, "fc_"),
        (custom, "ctc_"),
    ] {
        assert!(item["id"].as_str().expect("is text").starts_with(prefix));
    }
    assert!(
        response["id"]
            .as_str()
            .expect("is text")
            .starts_with("resp_")
    );
    assert_eq!(
        (&response["model"], &response["created_at"]),
        (&json!("gpt-4o-mini"), &json!(7))
    );
    assert_eq!(response["usage"]["total_tokens"], 17);
    let text = String::from_utf8(stream.to_vec()).expect("is text");
    assert!(text.starts_with("event: response.created\ndata: {"));
    assert!(!text.contains("[DONE]"));
}

#[test]
fn a_stream_is_the_same_however_its_events_come() {
    let (request, chat) = rich();
    let one = without_ids(last(&encode(&request, chat.as_bytes(), 1)));
    for batch in 2..20 {
        let batched = last(&encode(&request, chat.as_bytes(), batch));
        assert_eq!(without_ids(batched), one, "{batch} at once");
    }
}

#[test]
fn an_answer_comes_back_as_the_message_it_was() {
    let (request, chat) = rich();
    let response = last(&encode(&request, chat.as_bytes(), 1));
    let mut input = response["output"].as_array().expect("is a list").clone();
    input.push(json!({"type": "function_call_output", "call_id": "c0", "output": "42"}));
    let image = json!({"type": "input_image", "image_url": "https://x/y.png"});
    input.push(json!({"type": "custom_tool_call_output", "call_id": "c1", "output": [image]}));
    let next = json!({"model": "m", "input": input}).to_string();
    let next = Responses
        .to_chat(next.as_bytes(), crate::chat::unsupported::Fit::default())
        .expect("is valid");
    let messages: Value = serde_json::from_slice(&next).expect("is JSON");
    let expected = json!([
        {"role": "assistant", "content": "so", "reasoning_content": "hm",
            "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "EqQB"}],
            "tool_calls": [
                {"id": "c0", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                {"id": "c1", "type": "function", "function": {"name": "sh", "arguments": "{\"input\":\"ls\"}"}},
            ]},
        {"role": "tool", "tool_call_id": "c0", "content": "42"},
        {"role": "tool", "tool_call_id": "c1", "content": [
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
    ]);
    assert_eq!(messages["messages"], expected);
    ChatRequest::read(&next).expect("is chat");
}

#[test]
fn a_refusal_is_a_part_of_its_own() {
    let chat = [
        chunk(&json!({"content": "well"})),
        chunk(&json!({"refusal": "n"})),
        chunk(&json!({"refusal": "o"})),
        finished("stop"),
    ];
    let response = last(&encode(&json!({}), chat.concat().as_bytes(), 1));
    let content = &response["output"][0]["content"];
    assert_eq!(content[0]["text"], "well");
    assert_eq!(content[1], json!({"type": "refusal", "refusal": "no"}));
}

#[test]
fn what_cuts_an_answer_off_is_told() {
    for (reason, why) in [
        ("length", "max_output_tokens"),
        ("content_filter", "content_filter"),
    ] {
        let chat = chunk(&json!({"content": "so"})) + &finished(reason);
        let stream = encode(&json!({}), chat.as_bytes(), 1);
        assert_eq!(
            kinds(&stream).last().map(String::as_str),
            Some("response.incomplete")
        );
        let response = last(&stream);
        assert_eq!(response["status"], "incomplete");
        assert_eq!(response["incomplete_details"]["reason"], why);
        assert_eq!(response["output"][0]["status"], "incomplete");
    }
}

#[test]
fn calls_are_told_apart_however_a_server_numbers_them() {
    let call = |id: &str, arguments: &str| json!([{"index": 0, "id": id, "function": {"name": "f", "arguments": arguments}}]);
    let late = json!([{"id": "c", "function": {"arguments": "{"}}]);
    let named = json!([{"function": {"name": "g", "arguments": "}"}}]);
    let chat = [
        chunk(&json!({"tool_calls": call("a", "{}")})),
        chunk(&json!({"tool_calls": call("b", "[]")})),
        chunk(&json!({"tool_calls": late})),
        chunk(&json!({"tool_calls": named})),
        chunk(&json!({"function_call": {"arguments": " "}})),
        finished("stop"),
    ];
    let response = last(&encode(&json!({}), chat.concat().as_bytes(), 1));
    let calls: Vec<_> = response["output"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| {
            ["call_id", "name", "arguments"].map(|name| call[name].as_str().expect("is text"))
        })
        .collect();
    assert_eq!(
        calls,
        [["a", "f", "{}"], ["b", "f", "[]"], ["c", "g", "{} "]]
    );
}

#[test]
fn a_whole_answer_is_what_its_stream_ends_with() {
    let message = json!({"role": "assistant", "content": "so", "reasoning": "hm", "refusal": null,
        "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"},
            "provider_specific_fields": {"thought_signature": "s"}}]});
    let usage = json!({"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17});
    let chat = json!({"id": "x", "created": 7, "model": "m", "usage": usage,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]});
    let request = json!({"model": "m", "input": "hi", "temperature": 0.5});
    let whole = Responses.answer(request.to_string().as_bytes(), chat.to_string().as_bytes());
    let whole: Value = serde_json::from_slice(&whole.expect("is one")).expect("is JSON");
    for item in whole["output"].as_array().expect("is a list") {
        has_required(item);
    }
    assert_eq!(whole["output"][2]["result"], "AAAA");
    assert_eq!(
        whole["output"][3]["provider_specific_fields"]["thought_signature"],
        "s"
    );
    let events = openai::as_events(chat.to_string().as_bytes()).expect("is an answer");
    let streamed = last(&encode(&request, &events, 1));
    assert_eq!(without_ids(streamed), without_ids(whole));

    for nothing in ["", "{}", r#"{"choices":[]}"#] {
        let error = Responses
            .answer(b"{}", nothing.as_bytes())
            .expect_err("is none");
        assert_eq!(error.kind(), ErrorKind::BadAnswer);
    }
}

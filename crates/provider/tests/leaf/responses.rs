//! Clients of Responses, before providers that speak it and others.

use crate::support::{
    Act, Client, DONE, Read, content, deployment, names, role, send, text_and_tool_call,
};
use serde_json::{Value, json};
use ziggurat_core::{
    DefaultField, Deployment, ErrorKind, LlmRequest, Mode, ObjectId, Operation, Usage,
};

const BODY: &str =
    r#"{"input":  "hi","model":"gpt", "future":{"x":[1.50]}, "previous_response_id":"resp_0"}"#;

fn request(body: &str) -> LlmRequest {
    LlmRequest::from_bytes(Operation::Responses, body.to_owned()).expect("is a request")
}

fn asks(stream: bool) -> LlmRequest {
    let body = json!({"model": "gpt", "input": "hi", "stream": stream, "max_output_tokens": 9});
    request(&body.to_string())
}

/// One that speaks Responses.
fn speaker() -> Deployment {
    deployment().with_mode(Mode::Responses)
}

async fn stream(client: &Client, deployment: Deployment) -> Read {
    let response = client.ask(deployment, asks(true)).await;
    Read::to_the_end(response.expect("begins")).await
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("is JSON")
}

/// A text with our id of the answer that it is about, which leads back to who has it.
fn ours(text: &str) -> String {
    let id = ObjectId::new(speaker().id(), "resp_1").expect("is one");
    text.replace("\"resp_1\"", &format!("\"{id}\""))
}

const COMPLETED: &str = r#"{"id":"resp_1","object":"response","created_at":7,"model":"m","status":"completed","error":null, "output":[{"type":"message","content":[{"type":"output_text","text":"hello"}]}],"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":5,"total_tokens":15}}"#;

/// A stream in a provider's own words, as it pads them.
fn spoken() -> String {
    let events = [
        r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","model":"m","output":[] }}"#,
        r#"{"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_1"}}"#,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"message","content":[]}}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"hel","obfuscation":"x"}"#,
        r#"{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"lo"   }"#,
        r#"{"type":"response.output_text.done","output_index":0,"content_index":0,"text":"hello"}"#,
    ];
    let event = |data: &str| {
        let name = json_of(data.as_bytes())["type"]
            .as_str()
            .expect("has one")
            .to_owned();
        format!("event: {name}\ndata: {data}\n\n")
    };
    let completed = format!(r#"{{"type":"response.completed","response":{COMPLETED}}}"#);
    let events = events.map(event).concat();
    format!("{events}: comment\n\n{}", event(&completed))
}

#[tokio::test(start_paused = true)]
async fn who_speaks_it_gets_the_clients_bytes_and_answers_with_its_own() {
    let client = Client::json(200, COMPLETED);
    let response = client
        .ask(speaker(), request(BODY))
        .await
        .expect("is answered");
    assert_eq!(response.bytes().expect("is whole"), &ours(COMPLETED));
    let usage = Usage {
        cached_input: 4,
        ..Usage::new(10, 5)
    };
    assert_eq!(response.usage(), Some(&usage));
    let sent = client.sent();
    assert_eq!(sent.uri().path(), "/v1/responses");
    assert_eq!(sent.body(), &BODY.replace("\"gpt\"", "\"real-model\""));
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_who_speaks_it_passes_byte_for_byte_wherever_it_is_cut() {
    let events = spoken();
    // What comes after the last event is no part of it.
    let all = format!("{events}{DONE}");
    for cut in 0..all.len() {
        let (head, tail) = all.as_bytes().split_at(cut);
        let client = Client::stream([send(head.to_vec()), send(tail.to_vec())]);
        let read = stream(&client, speaker()).await;
        read.end.as_ref().expect("is whole");
        assert_eq!(read.text(), ours(&events), "cut at {cut}");
        assert_eq!(read.usage().map(|usage| usage.total()), Some(15));
    }
}

#[tokio::test(start_paused = true)]
async fn a_field_of_a_deployment_is_put_in_only_if_it_has_a_name_there() {
    let field = |name: &str, value: Value| DefaultField::new(name, &value).expect("is known");
    let deployment = speaker()
        .with_default_field(field("temperature", json!(0.5)))
        .with_default_field(field("max_tokens", json!(5)));
    let client = Client::json(200, COMPLETED);
    client
        .ask(deployment, request(r#"{"model":"gpt","input":"hi"}"#))
        .await
        .expect("is answered");
    let sent = json_of(client.sent().body());
    assert_eq!(
        sent,
        json!({"model": "real-model", "input": "hi", "temperature": 0.5})
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_content_can_be_tried_again() {
    let begun = r#"{"type":"response.created","response":{"id":"resp_1"}}"#;
    let error = r#"{"type":"error","error":{"type":"tokens","code":"rate_limit_exceeded","message":"slow down"}}"#;
    let failed = r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error"}}}"#;
    for (event, kind) in [
        (error, ErrorKind::RateLimited),
        (failed, ErrorKind::Internal),
    ] {
        let client = Client::stream([send(format!("data: {begun}\n\ndata: {event}\n\n"))]);
        let error = client.ask(speaker(), asks(true)).await.expect_err("fails");
        assert_eq!((error.kind(), error.is_replayable()), (kind, true));
    }
    let failed = r#"{"status":"failed","error":{"code":"server_error"},"output":[]}"#;
    for (body, kind) in [
        (failed, ErrorKind::Internal),
        ("<html>", ErrorKind::BadAnswer),
    ] {
        for streams in [false, true] {
            let error = Client::json(200, body).ask(speaker(), asks(streams)).await;
            assert_eq!(error.expect_err("fails").kind(), kind, "{body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_never_ends_as_if_it_were_whole() {
    let events = spoken();
    let at = events
        .find("event: response.output_text.done")
        .expect("is there");
    for (deployment, head) in [
        (speaker(), events[..at].to_owned()),
        (deployment(), role() + &content("hello")),
    ] {
        for end in [vec![], vec![Act::Break("gone")]] {
            let acts = std::iter::once(send(head.clone())).chain(end);
            let read = stream(&Client::stream(acts), deployment.clone()).await;
            assert_eq!(
                read.end.as_ref().expect_err("broke").kind(),
                ErrorKind::StreamBroken
            );
            assert!(read.text().contains("response.output_text.delta"));
            assert!(!read.text().contains("response.completed"));
        }
    }
    // The provider's own words for it are not passed on: the client is told once.
    let error = r#"data: {"type":"error","code":"server_error","message":"no"}"#;
    let client = Client::stream([send(events[..at].to_owned()), send(format!("{error}\n\n"))]);
    let read = stream(&client, speaker()).await;
    assert_eq!(
        read.end.as_ref().expect_err("broke").kind(),
        ErrorKind::Internal
    );
    assert!(!read.text().contains("server_error"));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_speak_it_is_asked_in_chat() {
    let answer = json!({
        "id": "chatcmpl-1", "created": 7, "model": "gpt-4o",
        "choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    });
    let client = Client::json(200, &answer.to_string());
    let response = client
        .ask(deployment(), asks(false))
        .await
        .expect("is answered");
    assert_eq!(response.usage(), Some(&Usage::new(10, 5)));
    let body = json_of(response.bytes().expect("is whole"));
    assert_eq!(body["output"][0]["content"][0]["text"], "hello");
    assert_eq!(
        (&body["status"], &body["model"]),
        (&json!("completed"), &json!("gpt-4o"))
    );
    assert_eq!(body["max_output_tokens"], 9);
    assert_eq!(body["usage"]["total_tokens"], 15);
    let sent = client.sent();
    assert_eq!(sent.uri().path(), "/v1/chat/completions");
    let expected = json!({
        "model": "real-model", "max_completion_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
    });
    assert_eq!(json_of(sent.body()), expected);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_chat_becomes_one_of_responses_wherever_it_is_cut() {
    let events = text_and_tool_call();
    let order = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ];
    for cut in 0..events.len() {
        let (head, tail) = events.as_bytes().split_at(cut);
        let client = Client::stream([send(head.to_vec()), send(tail.to_vec())]);
        let read = stream(&client, deployment()).await;
        read.end.as_ref().expect("is whole");
        assert_eq!(names(&read.text()), order, "cut at {cut}");
        assert_eq!(read.usage(), Some(Usage::new(10, 5)));
        let last = read.text();
        let last = last
            .lines()
            .rfind(|line| line.starts_with("data: "))
            .expect("is there");
        let usage = &json_of(&last.as_bytes()[6..])["response"]["usage"];
        assert_eq!(usage["total_tokens"], 15);
        let sent = json_of(client.sent().body());
        assert_eq!(sent["stream_options"], json!({"include_usage": true}));
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_to_who_asked_for_a_stream_becomes_one() {
    let chat = r#"{"choices":[{"message":{"content":"hello"},"finish_reason":"stop"}]}"#;
    for (deployment, answer) in [(speaker(), COMPLETED), (deployment(), chat)] {
        let read = stream(&Client::json(200, answer), deployment).await;
        read.end.as_ref().expect("is whole");
        assert!(read.text().contains(r#""delta":"hello""#));
        assert_eq!(names(&read.text()).last(), Some(&"response.completed"));
    }
}

#[tokio::test(start_paused = true)]
async fn conversation_state_is_for_those_that_keep_it() {
    let client = Client::json(200, "{}");
    let error = client
        .ask(deployment(), request(BODY))
        .await
        .expect_err("is refused");
    assert_eq!(
        (error.status(), error.param()),
        (http::StatusCode::BAD_REQUEST, Some("previous_response_id"))
    );
    assert!(error.message().contains("conversation state"), "{error}");
    assert_eq!(client.calls(), 0, "nothing was sent");
}

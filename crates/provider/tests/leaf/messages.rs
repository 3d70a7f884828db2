//! Clients of Anthropic's shape, before providers of that shape and of others.

use crate::support::{
    Act, CANARY, Client, DONE, Read, content, deployment, names, role, send, text_and_tool_call,
};
use serde_json::{Value, json};
use ziggurat_core::{DefaultField, Deployment, ErrorKind, LlmRequest, Operation, Usage};
use ziggurat_provider::messages::error_json;

fn messages(stream: bool) -> LlmRequest {
    let body = json!({
        "model": "gpt", "max_tokens": 9, "stream": stream, "top_p": 0.5,
        "messages": [{"role": "user", "content": "hi"}],
    });
    LlmRequest::from_value(Operation::Messages, &body).expect("is a request")
}

fn anthropic() -> Deployment {
    deployment().with_provider("anthropic")
}

async fn stream(client: &Client, deployment: Deployment) -> Read {
    let response = client.ask(deployment, messages(true)).await;
    Read::to_the_end(response.expect("begins")).await
}

async fn whole(client: &Client, deployment: Deployment) -> (Vec<u8>, Option<Usage>) {
    let response = client.ask(deployment, messages(false)).await;
    let response = response.expect("is an answer");
    let usage = response.usage().copied();
    let body = response.bytes().expect("is whole").clone();
    (body.to_vec(), usage)
}

/// A stream in Anthropic's own words, as it pads them.
fn anthropic_stream() -> String {
    [
        r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"usage":{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":1}}      }
"#,
        "event: ping\ndata: {\"type\": \"ping\"}\n",
        r#"event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}  }
"#,
        r#"event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"h\u00e4"}}
"#,
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0 }\n",
        r#"event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":5}}
"#,
        "event: message_stop\ndata: {\"type\":\"message_stop\"  }\n",
    ]
    .map(|event| format!("{event}\n"))
    .concat()
}

#[tokio::test(start_paused = true)]
async fn openai_is_asked_in_chat_and_answers_with_a_message() {
    let answer = json!({
        "id": "chatcmpl-1", "model": "gpt-4o",
        "choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    });
    let client = Client::json(200, &answer.to_string());
    let (body, usage) = whole(&client, deployment()).await;
    let message: Value = serde_json::from_slice(&body).expect("is JSON");
    assert_eq!(
        message["content"],
        json!([{"type": "text", "text": "hello"}])
    );
    assert_eq!(
        (&message["id"], &message["stop_reason"]),
        (&json!("msg_1"), &json!("end_turn"))
    );
    assert_eq!(usage, Some(Usage::new(10, 5)));
    let sent = client.sent();
    assert_eq!(sent.uri().path(), "/v1/chat/completions");
    let sent: Value = serde_json::from_slice(sent.body()).expect("is JSON");
    let expected = json!({
        "model": "real-model", "max_completion_tokens": 9, "top_p": 0.5,
        "messages": [{"role": "user", "content": "hi"}],
    });
    assert_eq!(sent, expected);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_openai_becomes_one_of_messages_wherever_it_is_cut() {
    let events = text_and_tool_call();
    let client = Client::stream([send(events.clone())]);
    let expected = stream(&client, deployment()).await;
    expected.end.as_ref().expect("is whole");
    let text = expected.text();
    let order = [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(names(&text), order);
    assert!(text.contains(r#""usage":{"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"input_tokens":10,"output_tokens":5}"#));
    let sent: Value = serde_json::from_slice(client.sent().body()).expect("is JSON");
    assert_eq!(sent["stream_options"], json!({"include_usage": true}));
    for cut in 1..events.len() {
        let (head, tail) = events.as_bytes().split_at(cut);
        let client = Client::stream([send(head.to_vec()), send(tail.to_vec())]);
        let read = stream(&client, deployment()).await;
        read.end.as_ref().expect("is whole");
        assert_eq!(read.text(), text, "cut at {cut}");
        assert_eq!(read.usage(), Some(Usage::new(10, 5)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_has_no_end_of_its_own() {
    for broken in [
        vec![send([role(), content("a")].concat())],
        vec![send([role(), content("a")].concat()), Act::Break("reset")],
        vec![send([role(), content("a")].concat()), send(DONE)],
        vec![
            send([role(), content("a")].concat()),
            send("data: {\"error\":{\"message\":\"no\"}}\n\n"),
        ],
    ] {
        let read = stream(&Client::stream(broken), deployment()).await;
        assert!(read.end.is_err());
        let order = [
            "message_start",
            "content_block_start",
            "content_block_delta",
        ];
        assert_eq!(names(&read.text()), order);
    }
    let early = Client::stream([send(role()), Act::Break("reset")]);
    assert!(early.ask(deployment(), messages(true)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_comes_whole_is_one_all_the_same() {
    let answer = json!({
        "id": "1", "choices": [{"message": {"content": "hello"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    });
    let read = stream(&Client::json(200, &answer.to_string()), deployment()).await;
    read.end.as_ref().expect("is whole");
    assert!(read.text().contains("hello") && read.text().contains("max_tokens"));
    assert_eq!(names(&read.text()).last(), Some(&"message_stop"));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_in_the_words_that_clients_know() {
    let body =
        r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#;
    for deployment in [deployment(), anthropic()] {
        let client = Client::json(429, body);
        let error = client.ask(deployment, messages(false)).await;
        let error = error.expect_err("fails");
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert!(error_json(&error).contains(r#""type":"rate_limit_error""#));
        assert!(!error_json(&error).contains(CANARY));
    }
    let tools = json!({
        "model": "gpt", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
    });
    let request = LlmRequest::from_value(Operation::Messages, &tools).expect("is a request");
    let client = Client::json(200, "{}");
    let error = client
        .ask(deployment(), request)
        .await
        .expect_err("is refused");
    assert_eq!(
        (error.status(), error.param()),
        (http::StatusCode::BAD_REQUEST, Some("tools[0].type"))
    );
    assert_eq!(client.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn anthropic_gets_the_clients_bytes_and_the_client_anthropics() {
    let answer = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[{"type":"text","text":"hello"}, {"type":"new_block"}],
        "stop_reason":"end_turn","usage":{"input_tokens":7,"cache_read_input_tokens":3,"output_tokens":5}}"#;
    let client = Client::json(200, answer);
    let defaults = [
        DefaultField::new("temperature", &json!(0.5)).expect("is known"),
        DefaultField::new("seed", &json!(7)).expect("is known"),
    ];
    let deployment = defaults
        .into_iter()
        .fold(anthropic(), Deployment::with_default_field);
    let body = r#"{ "model":"gpt", "max_tokens":9, "future": {"a" : 1}, "messages":[],
        "tools":[{"type":"web_search_20250305","name":"web_search"}], "num_retries": 1 }"#;
    let request = crate::support::request(Operation::Messages, body);
    let response = client.ask(deployment, request).await.expect("is an answer");
    let expected = Usage {
        cached_input: 3,
        ..Usage::new(10, 5)
    };
    assert_eq!(response.usage(), Some(&expected));
    assert_eq!(response.bytes().expect("is whole"), answer);
    let sent = client.sent();
    assert_eq!(sent.uri().path(), "/v1/messages");
    assert_eq!(sent.headers()["x-api-key"], CANARY);
    assert!(sent.headers().contains_key("anthropic-version"));
    let expected = r#"{ "model":"real-model", "max_tokens":9, "future": {"a" : 1}, "messages":[],
        "tools":[{"type":"web_search_20250305","name":"web_search"}] ,"temperature":0.5}"#;
    assert_eq!(sent.body(), expected);
}

#[tokio::test(start_paused = true)]
async fn anthropics_stream_passes_byte_for_byte_wherever_it_is_cut() {
    let events = anthropic_stream();
    let crlf = events.replace('\n', "\r\n");
    let marked = format!("\u{feff}{events}");
    let unended = events.trim_end().to_owned();
    // What nobody can read is left out.
    let stop = events.find("event: content_block_stop").expect("is there");
    let (begun, rest) = events.split_at(stop);
    let broken = format!("{begun}event: content_block_delta\ndata: {{\"type\":\"cont\n\n{rest}");
    for (events, expected) in [
        (&broken, &events),
        (&events, &events),
        (&crlf, &crlf),
        (&marked, &events),
        (&unended, &format!("{unended}\n\n")),
    ] {
        for cut in 1..events.len() {
            let (head, tail) = events.as_bytes().split_at(cut);
            let client = Client::stream([send(head.to_vec()), send(tail.to_vec())]);
            let read = stream(&client, anthropic()).await;
            read.end.as_ref().expect("is whole");
            assert!(read.text() == *expected, "cut at {cut}: {}", read.text());
            let usage = Usage {
                cached_input: 3,
                ..Usage::new(10, 5)
            };
            assert_eq!(read.usage(), Some(usage));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn anthropics_stream_is_held_to_the_rules() {
    let events = anthropic_stream();
    let begun = &events[..events.find("event: content_block_stop").expect("is there")];
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

    // Nothing of the answer has come: all can be tried again.
    let start = &events[..events.find("event: content_block_delta").expect("is there")];
    let failed = Client::stream([send([start, error].concat())]);
    let failed = failed.ask(anthropic(), messages(true)).await;
    assert_eq!(failed.expect_err("fails").kind(), ErrorKind::Overloaded);

    for cut in [false, true] {
        let acts = match cut {
            true => vec![send(begun.to_owned()), send(error)],
            false => vec![send([begun, error].concat())],
        };
        let client = Client::stream(acts);
        if !cut {
            let failed = client.ask(anthropic(), messages(true)).await;
            assert_eq!(failed.expect_err("fails").kind(), ErrorKind::Overloaded);
            continue;
        }
        let read = stream(&client, anthropic()).await;
        assert_eq!(read.text(), begun);
        assert_eq!(read.end.expect_err("breaks").kind(), ErrorKind::Overloaded);
    }

    let read = stream(&Client::stream([send(begun.to_owned())]), anthropic()).await;
    assert_eq!(read.text(), begun);
    assert_eq!(
        read.end.expect_err("breaks").kind(),
        ErrorKind::StreamBroken
    );

    // Only the last event is missing.
    let stop = events.find("event: message_stop").expect("is there");
    let read = stream(
        &Client::stream([send(events[..stop].to_owned())]),
        anthropic(),
    )
    .await;
    read.end.as_ref().expect("is whole");
    assert_eq!(names(&read.text()), names(&events));

    let pages = Client::stream([send(
        "event: ping\ndata: {\"type\":\"ping\"}\n\n".repeat(400_000),
    )]);
    let endless = pages.ask(anthropic(), messages(true)).await;
    assert_eq!(
        endless.expect_err("never begins").kind(),
        ErrorKind::BadAnswer
    );
}

#[tokio::test(start_paused = true)]
async fn anthropic_is_not_shown_the_thoughts_of_others() {
    let body = r#"{"model":"gpt","max_tokens":9,"messages":[{"role":"assistant","content":[
        {"type":"thinking","thinking":"hm","signature":""},{"type":"text","text":"x"}]}]}"#;
    let client = Client::json(200, "{}");
    let request = crate::support::request(Operation::Messages, body);
    let answer = client.ask(anthropic(), request).await;
    assert_eq!(answer.expect_err("is none").kind(), ErrorKind::BadAnswer);
    let sent: Value = serde_json::from_slice(client.sent().body()).expect("is JSON");
    let left = json!([{"type": "text", "text": "x"}]);
    assert_eq!(sent["messages"][0]["content"], left);
}

//! Forms, audio, and streams of what is no chat.

use std::time::Duration;

use crate::support::{Act, Client, Read, hang, request, send};
use tower::{Service, ServiceExt};
use ziggurat_core::{ErrorKind, LlmRequest, Operation, ReadOptions, Usage};
use ziggurat_testkit::one_thread::OneThread;

const DELTA: &str = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"It\"}\r\n\r\n";
const LAST: &str = "data: {\"type\":\"transcript.text.done\",\"text\":\"It\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":7,\"output_tokens\":2,\"total_tokens\":9}}\r\n\r\n";

fn speech() -> LlmRequest {
    request(Operation::Speech, r#"{"model":"gpt","input":"hi"}"#)
}

fn form(operation: Operation, more: &str) -> LlmRequest {
    let part = |name: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = format!(
        "{}{more}{}--x--\r\n",
        part("file\"; filename=\"a", "RIFF\0"),
        part("model", "gpt")
    );
    let kind = "multipart/form-data; boundary=\"x\"";
    LlmRequest::read_multipart(operation, body, kind, ReadOptions::new()).expect("is valid")
}

fn stream() -> LlmRequest {
    let stream = "--x\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n";
    form(Operation::Transcription, stream)
}

#[tokio::test]
async fn a_form_is_sent_as_it_came_with_another_model() {
    for (operation, path, answer) in [
        (
            Operation::Transcription,
            "/v1/audio/transcriptions",
            r#"{"text":"x"}"#,
        ),
        (
            Operation::Translation,
            "/v1/audio/translations",
            r#"{"text":""}"#,
        ),
        (
            Operation::ImageEdit,
            "/v1/images/edits",
            r#"{"data":[{"url":"https://x"}]}"#,
        ),
        (
            Operation::ImageVariation,
            "/v1/images/variations",
            r#"{"data":[{"url":"https://x"}]}"#,
        ),
    ] {
        let client = Client::json(200, answer);
        let asked = form(operation, "");
        let response = client.call(asked.clone()).await.expect("is answered");
        assert_eq!(response.bytes().expect("is complete"), answer);
        let sent = client.sent();
        assert_eq!(sent.uri().path(), path);
        assert_eq!(
            sent.headers()["content-type"],
            "multipart/form-data; boundary=x"
        );
        let expected = String::from_utf8(asked.body().to_vec()).expect("is text");
        let expected = expected.replace("\r\ngpt\r\n", "\r\nreal-model\r\n");
        assert_eq!(sent.body(), expected.as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn speech_begins_with_its_first_byte_and_says_what_it_is() {
    let wait = || Act::Wait(Duration::from_secs(1));
    let acts = [
        wait(),
        send(""),
        wait(),
        send("ID3"),
        wait(),
        send(&b"\xff\0"[..]),
    ];
    let client = Client::new(200, "audio/mpeg", acts).header("x-ratelimit-remaining-requests", "7");
    let began = tokio::time::Instant::now();
    let response = client.call(speech()).await.expect("begins");
    assert_eq!(began.elapsed().as_secs(), 2);
    assert_eq!(response.headers()["content-type"], "audio/mpeg");
    assert_eq!(
        response.headers()["llm_provider-x-ratelimit-remaining-requests"],
        "7"
    );
    let read = Read::to_the_end(response).await;
    let chunks: Vec<_> = read.items.iter().map(|item| &item.bytes[..]).collect();
    assert_eq!(chunks, [&b"ID3"[..], b"\xff\0"]);
    assert!(read.end.is_ok());
    assert_eq!(client.open_bodies(), 0);
}

#[tokio::test]
async fn speech_that_fails_before_its_first_byte_fails_the_call_and_later_the_stream() {
    for (content_type, acts, kind) in [
        ("audio/mpeg", vec![], ErrorKind::BadAnswer),
        (
            "audio/mpeg",
            vec![Act::Break("reset")],
            ErrorKind::StreamBroken,
        ),
        ("text/html", vec![send("<html>")], ErrorKind::BadAnswer),
        (
            "application/json",
            vec![send(r#"{"error":{"code":"rate_limit_exceeded"}}"#)],
            ErrorKind::RateLimited,
        ),
    ] {
        let error = Client::new(200, content_type, acts).refusal(speech()).await;
        assert_eq!(error.kind(), kind, "{content_type}: {error}");
        assert!(error.deployment().is_some());
    }
    let client = Client::new(200, "audio/mpeg", [send("ID3"), Act::Break("reset")]);
    let read = Read::to_the_end(client.call(speech()).await.expect("begins")).await;
    assert_eq!(read.text(), "ID3");
    let error = read.end.expect_err("breaks");
    assert_eq!(error.kind(), ErrorKind::StreamBroken);
    assert!(error.deployment().is_some());
}

#[tokio::test]
async fn a_dropped_speech_hangs_up() {
    let client = Client::new(200, "audio/mpeg", [send("ID3"), hang()]);
    let response = client.call(speech()).await.expect("begins");
    assert_eq!(client.open_bodies(), 1);
    drop(response);
    assert_eq!(client.open_bodies(), 0);
}

#[tokio::test]
async fn an_error_of_an_operation_without_json_is_read_as_json() {
    let body = r#"{"error":{"message":"no such voice","type":"invalid_request_error","param":"voice","code":null}}"#;
    let error = Client::json(400, body).refusal(speech()).await;
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::BadRequest, Some("voice"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_transcript_begins_with_its_first_words_and_passes_byte_for_byte() {
    let wait = || Act::Wait(Duration::from_secs(1));
    let client = Client::stream([
        send("data: {\"type\":\"transcript.created\"}\r\n\r\n"),
        wait(),
        send(DELTA),
        wait(),
        send(LAST),
        send("data: [DONE]\r\n\r\n"),
        hang(),
    ]);
    let began = tokio::time::Instant::now();
    let response = client.call(stream()).await.expect("begins");
    assert_eq!(began.elapsed().as_secs(), 1);
    assert!(!response.headers().contains_key("content-type"));
    let read = Read::to_the_end(response).await;
    assert!(read.end.is_ok() && began.elapsed().as_secs() == 2);
    let expected = format!(
        "data: {{\"type\":\"transcript.created\"}}\r\n\r\n{DELTA}{LAST}data: [DONE]\r\n\r\n"
    );
    assert_eq!(read.text(), expected);
    assert_eq!(read.usage(), Some(Usage::new(7, 2)));
    assert_eq!(read.events(), 4);
}

#[tokio::test]
async fn a_transcript_that_was_not_asked_for_as_a_stream_is_no_answer() {
    let client = Client::stream([send(DELTA), send(LAST)]);
    let error = client.refusal(form(Operation::Transcription, "")).await;
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
}

#[test]
fn a_long_transcript_is_read_by_another_thread_and_a_short_one_at_once() {
    for (words, at_once) in [(1, true), (50_000, false)] {
        let answer = format!(r#"{{"text":"{}"}}"#, "word ".repeat(words));
        let client = Client::json(200, &answer);
        let asking = client.call(form(Operation::Transcription, ""));
        let (was_at_once, response) = OneThread::new().run_at_once(asking);
        assert_eq!(was_at_once, at_once, "the client answers at once");
        let response = response.expect("is answered");
        assert_eq!(response.bytes().expect("is whole"), &answer);
    }
}

#[tokio::test]
async fn a_transcript_in_plain_text_says_so() {
    let client = Client::new(200, "text/plain; charset=utf-8", [send("hello\n")]);
    let response = client.call(form(Operation::Transcription, "")).await;
    let response = response.expect("is answered");
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    assert_eq!(response.bytes().expect("is complete"), "hello\n");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused_but_for_speech_which_is_never_kept() {
    let long = "x".repeat(100);
    let text = Client::new(200, "text/plain", [send(long.clone())]);
    let mut service = text.service().with_max_answer(99);
    let asked = crate::support::routed(form(Operation::Transcription, ""));
    let error = service.ready().await.expect("is ready").call(asked).await;
    assert_eq!(error.expect_err("is too long").kind(), ErrorKind::BadAnswer);

    let audio = Client::new(200, "audio/mpeg", [send(long.clone())]);
    let service = audio.service().with_max_answer(99);
    let response = service.oneshot(crate::support::routed(speech())).await;
    let read = Read::to_the_end(response.expect("begins")).await;
    assert_eq!(read.text(), long);
}

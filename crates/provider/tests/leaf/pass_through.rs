//! Requests for a path: nothing is translated, and what comes back leads to who has it.

use std::{sync::Arc, time::Duration};

use crate::support::{CANARY, Client, Read, deployment, hang, send};
use http::{Method, Request};
use tower::ServiceExt;
use ziggurat_core::{
    Blame, Error, ErrorKind, LlmRequest, LlmResponse, ObjectId, Passed, Reason, Routed, Usage,
};
use ziggurat_testkit::one_thread::OneThread;

fn passed(method: Method, path: &str, is_stored: bool) -> LlmRequest {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("openai-beta", "assistants=v2");
    let request = request.body(bytes::Bytes::new()).expect("is a request");
    let passed = match is_stored {
        true => Passed::stored(&request, &[]),
        false => Passed::any(&request),
    };
    LlmRequest::pass_through("gpt", passed.expect("is valid")).expect("says for whom")
}

async fn get(client: &Client, path: &str) -> Result<LlmResponse, Error> {
    client
        .ask(deployment(), passed(Method::GET, path, true))
        .await
}

fn ours(original: &str) -> String {
    let id = ObjectId::new(&"a".into(), original);
    id.expect("is of a kind").to_string()
}

#[tokio::test]
async fn a_page_is_passed_on_with_ids_of_ours() {
    let page = r#"{ "data":[{"id":"batch_1","n":1.50}],"usage":{"input_tokens":3,"output_tokens":2},"has_more": false }"#;
    let client = Client::json(200, page)
        .header("x-request-id", "r")
        .header("set-cookie", "c");
    let response = get(&client, "/batches?limit=1").await.expect("is answered");
    let expected = page.replace("batch_1", &ours("batch_1"));
    assert_eq!(response.bytes().expect("is whole"), &expected);
    assert_eq!(response.usage(), Some(&Usage::new(3, 2)));
    assert_eq!(response.headers()["llm_provider-x-request-id"], "r");
    assert!(!response.headers().contains_key("set-cookie"));
    let sent = client.sent();
    assert_eq!(
        (sent.method(), sent.uri().to_string()),
        (
            &Method::GET,
            "http://provider.test/v1/batches?limit=1".to_owned()
        )
    );
    assert_eq!(sent.headers()["authorization"], format!("Bearer {CANARY}"));
    assert_eq!(sent.headers()["openai-beta"], "assistants=v2");
    assert!(!sent.headers().contains_key("content-type"));
}

#[test]
fn a_long_page_is_read_by_another_thread_and_a_short_one_at_once() {
    for (batches, at_once) in [(1, true), (10_000, false)] {
        let batches = vec![r#"{"id":"batch_1"}"#; batches].join(",");
        let page = format!(r#"{{"data":[{batches}],"usage":{{"input_tokens":3}}}}"#);
        let client = Client::json(200, &page);
        let getting = get(&client, "/batches");
        let (was_at_once, response) = OneThread::new().run_at_once(getting);
        assert_eq!(was_at_once, at_once, "the client answers at once");
        let response = response.expect("is answered");
        let expected = page.replace("batch_1", &ours("batch_1"));
        assert_eq!(response.bytes().expect("is whole"), &expected);
        assert_eq!(response.usage(), Some(&Usage::new(3, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_comes_as_it_is_read_and_is_not_looked_into() {
    let line = "{\"id\":\"file-1\"}\n";
    for kind in [
        "application/octet-stream",
        "application/json",
        "text/event-stream",
    ] {
        let acts = [send(line), hang()];
        let client = Client::new(200, kind, acts).header("content-disposition", "attachment");
        let response = get(&client, "/files/file-1/content").await.expect("begins");
        assert!(response.is_stream());
        assert_eq!(response.headers()["content-type"], kind);
        assert_eq!(response.headers()["content-disposition"], "attachment");
        let (_, mut items) = response.into_parts();
        let first = futures_util::StreamExt::next(&mut items).await;
        assert_eq!(first.expect("has one").expect("is one").bytes, line);
        drop(items);
        assert_eq!(client.open_bodies(), 0, "nobody reads on");
    }
}

#[tokio::test]
async fn a_file_that_breaks_off_fails_and_one_without_a_byte_does_not() {
    use crate::support::Act::Break;
    let client = Client::new(
        200,
        "application/octet-stream",
        [send("half"), Break("gone")],
    );
    let read = Read::to_the_end(get(&client, "/files/file-1/content").await.expect("begins")).await;
    assert_eq!(read.text(), "half");
    assert_eq!(
        read.end.expect_err("has failed").kind(),
        ErrorKind::StreamBroken
    );
    let client = Client::new(200, "application/octet-stream", []);
    let read = Read::to_the_end(
        get(&client, "/files/file-1/content")
            .await
            .expect("is empty"),
    )
    .await;
    assert!(read.text().is_empty() && read.end.is_ok());
}

#[tokio::test]
async fn events_are_passed_on_with_ids_of_ours_wherever_they_are_cut() {
    let events = |id: &str| {
        format!(
            "event: thread.created\r\ndata: {{\"id\":\"{id}\"}}\r\n\r\n: c\n\nevent: thread.run.completed\ndata: {{\"thread_id\":\"{id}\",\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":2}}}}\n\nevent: done\ndata: [DONE]\n\n"
        )
    };
    let (all, expected) = (events("thread_1"), events(&ours("thread_1")));
    for cut in 0..=all.len() {
        let (head, tail) = all.as_bytes().split_at(cut);
        let client = Client::stream([send(head.to_vec()), send(tail.to_vec())]);
        let read = Read::to_the_end(
            get(&client, "/threads/thread_1/runs")
                .await
                .expect("begins"),
        )
        .await;
        assert_eq!(read.text(), expected);
        assert_eq!((read.usage(), read.events()), (Some(Usage::new(3, 2)), 3));
        read.end.expect("is whole");
    }
    let error =
        "event: error\ndata: {\"error\":{\"message\":\"no\",\"type\":\"server_error\"}}\n\n";
    let client = Client::stream([send(error)]);
    let error = get(&client, "/threads/thread_1/runs")
        .await
        .expect_err("has not begun");
    assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "no"));
}

#[tokio::test]
async fn a_failure_is_told_as_it_is_and_what_is_not_there_blames_nobody() {
    let body = r#"{"error":{"message":"No such File object: file-1","type":"invalid_request_error","param":"id","code":null}}"#;
    let error = get(&Client::json(404, body), "/files/file-1")
        .await
        .expect_err("fails");
    assert_eq!(
        (error.status().as_u16(), error.code(), error.scope()),
        (404, "not_found", Blame::Request)
    );
    assert_eq!(error.message(), "No such File object: file-1");
    for (status, kind) in [
        (400, ErrorKind::BadRequest),
        (409, ErrorKind::Conflict),
        (503, ErrorKind::Unavailable),
    ] {
        let error = get(&Client::json(status, body), "/files/file-1")
            .await
            .expect_err("fails");
        assert_eq!((error.kind(), error.status().as_u16()), (kind, status));
    }
}

#[tokio::test]
async fn who_has_no_such_api_refuses_before_anything_is_sent() {
    for (provider, is_stored) in [
        ("anthropic", true),
        ("gemini", true),
        ("bedrock", true),
        ("bedrock", false),
    ] {
        let client = Client::json(200, "{}");
        let deployment = deployment().with_provider(provider);
        let request = passed(Method::GET, "/files", is_stored);
        let error = client
            .ask(deployment, request)
            .await
            .expect_err("is refused");
        let refusal = error.rejection().expect("costs nothing");
        assert_eq!(refusal.reason(), Reason::Unsupported);
        assert!(error.message().contains(provider), "{error}");
        assert_eq!(client.calls(), 0);
    }
    let client = Client::json(200, "{}");
    let anthropic = deployment().with_provider("anthropic");
    let request = passed(Method::GET, "/v1/models", false);
    client.ask(anthropic, request).await.expect("is passed on");
    let sent = client.sent();
    assert_eq!(sent.uri().path(), "/v1/models");
    assert_eq!(sent.headers()["x-api-key"], CANARY);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_none() {
    let client = Client::json(200, &format!("[{}]", " ".repeat(100)));
    let service = client.service().with_max_answer(50);
    let routed = Routed::new(passed(Method::GET, "/files", true), Arc::new(deployment()));
    let outcome = tokio::time::timeout(Duration::from_secs(5), service.oneshot(routed)).await;
    let error = outcome.expect("answers").expect_err("is too long");
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
}

//! Answers that decline, where another group could answer, and deployments whose every answer counts.

use crate::support::{
    Act, Client, DONE, Read, USAGE_EVENT, chat, chat_stream, content, deployment, event, finish,
    hang, request, role, send,
};
use ziggurat_core::{Error, ErrorKind, HasLedger, LlmRequest, LlmResponse, Operation};

/// A request of which somebody else could make more.
fn with_fallback(request: LlmRequest) -> LlmRequest {
    let ledger = request.ledger().expect("has one");
    ledger.set_takes_refusals(true);
    request
}

async fn declined(client: &Client, request: LlmRequest) -> String {
    let error = client.refusal(with_fallback(request)).await;
    assert_eq!(error.kind(), ErrorKind::ContentPolicy);
    assert_eq!(error.deployment().map(|id| id.as_str()), Some("a"));
    assert_eq!(client.open_bodies(), 0);
    error.message().to_owned()
}

fn refusal(words: &str) -> String {
    event(&format!("\"refusal\":\"{words}\""), "null")
}

fn filtered() -> String {
    event("", "\"content_filter\"")
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_that_declines_fails_if_somebody_else_could_answer() {
    let answer = r#"{"choices":[{"index":0,"message":{"content":null,"refusal":"I \"cannot\"."},"finish_reason":"stop"}]}"#;
    for request in [chat(), chat_stream()] {
        let client = Client::json(200, answer);
        let otherwise = client.call(request.clone()).await;
        otherwise.expect("is an answer");
        let words = declined(&Client::json(200, answer), request).await;
        assert_eq!(words, "I \"cannot\".");
    }
    let filtered = r#"{"choices":[{"text":"","finish_reason":"content_filter"}]}"#;
    let completion = request(Operation::Completions, r#"{"model":"gpt","prompt":"x"}"#);
    let words = declined(&Client::json(200, filtered), completion).await;
    assert!(words.contains("content filter"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_declines_fails_with_all_its_words_wherever_it_is_cut() {
    let refused = [role(), refusal("I \\\"can"), refusal("not\\\"."), finish()].concat();
    for cut in 1..refused.len() {
        let (head, tail) = refused.as_bytes().split_at(cut);
        // What comes after the finish reason is not waited for.
        let client = Client::stream([send(head.to_vec()), send(tail.to_vec()), hang()]);
        assert_eq!(declined(&client, chat_stream()).await, "I \"cannot\".");
    }
    let client = Client::stream([send(refused.clone() + DONE)]);
    let response = client
        .call(chat_stream())
        .await
        .expect("is an answer otherwise");
    assert_eq!(Read::to_the_end(response).await.text(), refused + DONE);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_a_filter_ends_at_once_fails() {
    for begin in [String::new(), role()] {
        let client = Client::stream([send([begin.as_str(), &filtered(), DONE].concat())]);
        let words = declined(&client, chat_stream()).await;
        assert!(words.contains("content filter"), "{words}");
    }
    let filtered = "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"content_filter\"}]}\n\n";
    let completion = request(
        Operation::Completions,
        r#"{"model":"gpt","stream":true,"prompt":"x"}"#,
    );
    declined(
        &Client::stream([send([filtered, DONE].concat())]),
        completion,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn after_content_nothing_is_a_refusal() {
    for end in [vec![refusal("no"), finish()], vec![filtered()]] {
        let stream = [&content("so"), &end.concat(), DONE].concat();
        let client = Client::stream([send(stream.clone())]);
        let response = client.call(with_fallback(chat_stream())).await;
        let read = Read::to_the_end(response.expect("begins")).await;
        read.end.as_ref().expect("is whole");
        assert_eq!(read.text(), stream);
    }
    // Nothing is lost of what was held until it was known.
    let stream = [&refusal("no"), &content("but"), &finish(), DONE].concat();
    let client = Client::stream([send(stream.clone())]);
    let response = client.call(with_fallback(chat_stream())).await;
    let read = Read::to_the_end(response.expect("begins")).await;
    assert_eq!(read.text(), stream);
}

#[tokio::test(start_paused = true)]
async fn one_choice_that_answers_is_an_answer() {
    let asked = r#"{"model":"gpt","n":2,"stream":true,"messages":[]}"#;
    let asked = || with_fallback(request(Operation::ChatCompletions, asked));
    let second = |event: String| event.replace("\"index\":0", "\"index\":1");
    let stream = [
        &refusal("no"),
        &finish(),
        &second(content("yes")),
        &second(finish()),
        DONE,
    ]
    .concat();
    let client = Client::stream([send(stream.clone())]);
    let response = client.call(asked()).await.expect("begins");
    assert_eq!(Read::to_the_end(response).await.text(), stream);
    let both = [&refusal("no"), &finish(), &second(filtered()), DONE].concat();
    assert_eq!(declined(&Client::stream([send(both)]), asked()).await, "no");
}

#[tokio::test(start_paused = true)]
async fn the_words_of_a_refusal_are_bounded() {
    let flood = (0..1_000).map(|_| send(refusal(&"no ".repeat(1_000))));
    let client = Client::stream(flood.chain([send(finish())]));
    let words = declined(&client, chat_stream()).await;
    assert!(words.len() <= 4096, "{}", words.len());
}

/// What a deployment answers whose every answer counts.
async fn any(client: &Client, request: LlmRequest) -> Result<LlmResponse, Error> {
    let deployment = deployment().with_any_answer(true);
    client.ask(deployment, request).await
}

#[tokio::test(start_paused = true)]
async fn a_deployment_may_stream_whatever_it_wants() {
    let nothing = USAGE_EVENT.replace(":5", ":0");
    let cut = event(
        r#""tool_calls":[{"index":0,"id":"c","function":{"arguments":"{"}}]"#,
        "\"tool_calls\"",
    );
    for stream in [
        "<p>sign in</p>\n\ndata: <b>\n\n".to_owned(),
        role() + &finish() + &nothing,
        event("\"content\":\"x\"", "\"error\""),
        "data: {\"result\":\"x\"}\n\n".to_owned(),
        "data: [DONE]\n\n".to_owned(),
        String::new(),
        cut,
    ] {
        let client = Client::stream([send(stream.clone())]);
        let response = any(&client, chat_stream()).await;
        let read = Read::to_the_end(response.expect("begins")).await;
        read.end
            .as_ref()
            .unwrap_or_else(|error| panic!("{stream}: {error}"));
        assert!(read.text().ends_with(DONE), "{stream}");
        client.refusal(chat_stream()).await;
    }
    for body in [r#"{"result":"x"}"#, "two\nlines", ""] {
        let client = Client::json(200, body);
        let response = any(&client, chat_stream()).await.expect("begins");
        let read = Read::to_the_end(response).await;
        let lines: Vec<_> = body
            .split('\n')
            .map(|line| format!("data: {line}\n"))
            .collect();
        assert_eq!(read.text(), [&lines.concat(), "\n", DONE].concat());
    }
    let client = Client::new(200, "text/html", [send("<html>")]);
    let response = any(&client, chat()).await.expect("is taken");
    assert_eq!(response.bytes().expect("is complete"), "<html>");
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_place_of_an_answer_is_one_whoever_sends_it() {
    let error = r#"{"error":{"code":503,"message":"x"}}"#;
    for (client, asked) in [
        (Client::json(200, error), chat()),
        (Client::json(200, error), chat_stream()),
        (
            Client::stream([send(format!("data: {error}\n\n"))]),
            chat_stream(),
        ),
        (
            Client::stream([send("event: error\ndata: no\n\n")]),
            chat_stream(),
        ),
    ] {
        any(&client, asked).await.expect_err("fails");
    }
    let broken = Client::stream([send(content("x")), Act::Break("reset")]);
    let response = any(&broken, chat_stream()).await.expect("begins");
    let end = Read::to_the_end(response).await.end;
    assert_eq!(end.expect_err("breaks").kind(), ErrorKind::StreamBroken);
}

#[tokio::test(start_paused = true)]
async fn a_page_or_nothing_at_all_is_no_answer() {
    let page = "<!doctype html>\n<html>\n\n<body>data: sign in</body>\n\n</html>";
    for body in [page, "", "\n\n", "data:\n\n"] {
        for content_type in [
            "text/html; charset=utf-8",
            "text/plain",
            "application/json",
            "text/event-stream",
        ] {
            for asked in [chat(), chat_stream()] {
                let client = Client::new(200, content_type, [send(body)]);
                let error = client.call(asked).await;
                let kind = error.expect_err("fails").kind();
                assert_eq!(kind, ErrorKind::BadAnswer, "{content_type} {body}");
            }
        }
    }
}

//! Streams: where they begin, what is passed on, and how they end.

use std::time::Duration;

use crate::support::{
    Act, Client, DONE, Read, USAGE_EVENT, chat_stream, chat_stream_with_usage, content, event,
    finish, hang, request, role, send,
};
use futures_util::StreamExt;
use tokio::time::Instant;
use ziggurat_core::{Error, ErrorKind, LlmRequest, Operation, Usage};

async fn read(client: &Client, request: LlmRequest) -> Read {
    let response = client.call(request).await.expect("begins");
    Read::to_the_end(response).await
}

/// How a stream of these reads fails before it begins.
async fn kind(acts: impl IntoIterator<Item = Act>) -> ErrorKind {
    let client = Client::stream(acts);
    let error = client.refusal(chat_stream()).await;
    assert_eq!(
        client.open_bodies(),
        0,
        "the failed answer is let go: {error}"
    );
    error.kind()
}

fn whole() -> String {
    [
        &role(),
        &content("one"),
        &content(" two"),
        &finish(),
        USAGE_EVENT,
        DONE,
    ]
    .concat()
}

#[tokio::test(start_paused = true)]
async fn a_stream_passes_byte_for_byte() {
    let client = Client::stream([send(whole())]);
    let read = read(&client, chat_stream_with_usage()).await;
    read.end.as_ref().expect("is whole");
    assert_eq!(read.text(), whole());
    assert_eq!((read.items.len(), read.events()), (1, 6));
    assert_eq!(read.usage(), Some(Usage::new(10, 5)));
}

#[tokio::test(start_paused = true)]
async fn it_is_the_same_wherever_the_reads_are_cut() {
    let crlf = whole().replace('\n', "\r\n");
    for stream in [whole(), crlf, format!("\u{feff}{}", whole())] {
        let expected = stream.trim_start_matches('\u{feff}').to_owned();
        for cut in 1..stream.len() {
            let (head, tail) = stream.as_bytes().split_at(cut);
            let client = Client::stream([send(head.to_vec()), send(tail.to_vec())]);
            let read = read(&client, chat_stream_with_usage()).await;
            read.end.as_ref().expect("is whole");
            assert_eq!(read.text(), expected, "cut at {cut}");
            assert_eq!(
                (read.events(), read.usage()),
                (6, Some(Usage::new(10, 5))),
                "cut at {cut}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn usage_that_nobody_asked_for_is_counted_and_not_shown() {
    let client = Client::stream([send(whole())]);
    let read = read(&client, chat_stream()).await;
    assert_eq!(read.text(), whole().replace(USAGE_EVENT, ""));
    assert_eq!((read.events(), read.usage()), (5, Some(Usage::new(10, 5))));
    let alone = Client::stream([
        send(content("x")),
        send(finish()),
        send(USAGE_EVENT),
        send(DONE),
    ]);
    let read = self::read(&alone, chat_stream()).await;
    assert_eq!(read.usage(), Some(Usage::new(10, 5)));
    assert!(read.text().ends_with(&[finish().as_str(), DONE].concat()));
}

#[tokio::test(start_paused = true)]
async fn usage_is_found_on_whatever_event_it_rides() {
    let riding = event("", "\"stop\"").replace(
        "}]}",
        "}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}",
    );
    let client = Client::stream([send([content("x").as_str(), &riding, DONE].concat())]);
    let read = read(&client, chat_stream()).await;
    assert_eq!(read.usage(), Some(Usage::new(3, 4)));
    assert!(
        read.text().contains("prompt_tokens"),
        "the event itself is passed on"
    );
}

#[tokio::test(start_paused = true)]
async fn it_begins_with_the_first_content_and_what_came_before_it() {
    let start = Instant::now();
    let pause = || Act::Wait(Duration::from_secs(1));
    let client = Client::stream([
        send(": ping\n\n"),
        pause(),
        send(role()),
        pause(),
        send(content("one")),
        pause(),
        send(": ping\n\n"),
        send(finish()),
        send(DONE),
    ]);
    let response = client.call(chat_stream()).await.expect("begins");
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    let (_, mut items) = response.into_parts();
    let first = items.next().await.expect("has an item").expect("is fine");
    assert_eq!(first.bytes, [role(), content("one")].concat());
    assert_eq!(first.events, 2);
    let second = items.next().await.expect("has an item").expect("is fine");
    assert_eq!(second.bytes, ": ping\n\n");
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_content_begins_a_stream() {
    for delta in [
        r#""reasoning_content":"hm""#,
        r#""tool_calls":[{"index":0,"id":"t"}]"#,
        r#""refusal":"no""#,
    ] {
        let client = Client::stream([send(event(delta, "null")), hang()]);
        client.call(chat_stream()).await.expect("begins");
    }
    let client = Client::stream([
        send("data: {\"choices\":[{\"text\":\"x\",\"index\":0}]}\n\n"),
        hang(),
    ]);
    client
        .call(request(
            Operation::Completions,
            r#"{"model":"gpt","stream":true}"#,
        ))
        .await
        .expect("begins");
}

#[tokio::test(start_paused = true)]
async fn what_fails_before_the_first_content_fails_the_call() {
    let error = |error: &str| send(format!("data: {{\"error\":{error}}}\n\n"));
    assert_eq!(kind([]).await, ErrorKind::BadAnswer);
    assert_eq!(
        kind([send("<html>sign in</html>")]).await,
        ErrorKind::BadAnswer
    );
    assert_eq!(kind([send(role())]).await, ErrorKind::StreamBroken);
    assert_eq!(
        kind([send(role()), Act::Break("reset")]).await,
        ErrorKind::StreamBroken
    );
    assert_eq!(kind([send(DONE)]).await, ErrorKind::BadAnswer);
    assert_eq!(
        kind([send(role()), error(r#"{"code":429,"message":"x"}"#)]).await,
        ErrorKind::RateLimited
    );
    assert_eq!(
        kind([error(r#"{"code":"context_length_exceeded"}"#), hang()]).await,
        ErrorKind::ContextWindow
    );
    assert_eq!(
        kind([send(
            "event: error\ndata: {\"message\":\"x\",\"type\":\"server_error\"}\n\n"
        )])
        .await,
        ErrorKind::Internal
    );
    assert_eq!(
        kind([send(event("", "\"error\""))]).await,
        ErrorKind::BadAnswer
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_the_read_of_the_first_content_still_fails_the_call() {
    let error = "data: {\"error\":{\"code\":503,\"message\":\"x\"}}\n\n";
    assert_eq!(
        kind([send([content("x").as_str(), error].concat())]).await,
        ErrorKind::Unavailable
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_nothing_is_no_answer() {
    let nothing = USAGE_EVENT.replace(":5", ":0");
    assert_eq!(
        kind([send([&role(), &finish(), &nothing, DONE].concat())]).await,
        ErrorKind::BadAnswer
    );
    assert_eq!(
        kind([send([role(), finish()].concat())]).await,
        ErrorKind::BadAnswer
    );
    assert_eq!(
        kind([send(role()), send(finish()), hang()]).await,
        ErrorKind::BadAnswer
    );
    // Tokens were spent, so the model did answer: it thought, and said nothing.
    let client = Client::stream([send([&role(), &finish(), USAGE_EVENT, DONE].concat())]);
    assert_eq!(read(&client, chat_stream_with_usage()).await.events(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_finish_reason_never_looks_whole() {
    for tail in [
        vec![],
        vec![send(DONE)],
        vec![Act::Break("reset")],
        vec![send("data: {\"choices\":[{\"ind")],
    ] {
        let client = Client::stream(
            [send(content("one")), send(content("two"))]
                .into_iter()
                .chain(tail),
        );
        let read = read(&client, chat_stream()).await;
        assert_eq!(read.text(), [content("one"), content("two")].concat());
        let error = read.end.expect_err("is broken");
        assert_eq!(error.kind(), ErrorKind::StreamBroken);
        assert_eq!(error.deployment().map(|id| id.as_str()), Some("a"));
    }
}

#[tokio::test(start_paused = true)]
async fn each_choice_must_finish() {
    let other = content("b").replace("\"index\":0", "\"index\":1");
    let client = Client::stream([send([&content("a"), &other, &finish(), DONE].concat())]);
    assert_eq!(
        client.refusal(chat_stream()).await.kind(),
        ErrorKind::StreamBroken
    );
    let both = finish().replace("\"index\":0", "\"index\":1");
    let client = Client::stream([send(
        [&content("a"), &other, &finish(), &both, DONE].concat(),
    )]);
    read(&client, chat_stream()).await.end.expect("is whole");
}

#[tokio::test(start_paused = true)]
async fn an_error_in_the_middle_ends_the_stream_with_its_kind() {
    let error = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],\"error\":{\"code\":502,\"message\":\"upstream\"}}\n\n";
    let client = Client::stream([
        send(content("one")),
        send([&content("two"), error, DONE].concat()),
        hang(),
    ]);
    let read = read(&client, chat_stream()).await;
    assert_eq!(read.text(), [content("one"), content("two")].concat());
    let error = read.end.expect_err("is broken");
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Internal, "upstream")
    );
    assert_eq!(client.open_bodies(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_broken_is_left_out() {
    for broken in [
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"con\n\n",
        "data: \u{fffd}\n\n",
        "data: {}}\n\n",
    ] {
        let client = Client::stream([send(
            [
                &role(),
                &content("one"),
                broken,
                &content("two"),
                &finish(),
                DONE,
            ]
            .concat(),
        )]);
        let read = read(&client, chat_stream()).await;
        read.end.as_ref().expect("is whole");
        assert_eq!(
            read.text(),
            [&role(), &content("one"), &content("two"), &finish(), DONE].concat()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_said_again_is_left_out() {
    let bare = event(r#""role":"assistant""#, "null");
    let other = role().replace("\"index\":0", "\"index\":1");
    let with_text = event(r#""role":"assistant","content":"two""#, "null");
    let last = event(r#""role":"assistant","content":"""#, "\"stop\"");
    let last_of_other = last.replace("\"index\":0", "\"index\":1");
    let parts = [
        role(),
        role(),
        content("one"),
        bare,
        role(),
        other,
        with_text,
        role(),
        last,
        last_of_other,
    ];
    let stream = parts.concat() + DONE;
    let kept = [0, 2, 5, 6, 8, 9].map(|part| parts[part].as_str());
    for cut in 1..stream.len() {
        let (head, tail) = stream.as_bytes().split_at(cut);
        let client = Client::stream([send(head.to_vec()), send(tail.to_vec())]);
        let read = read(&client, chat_stream()).await;
        read.end.as_ref().expect("is whole");
        assert_eq!(read.text(), kept.concat() + DONE, "cut at {cut}");
        assert_eq!(read.events(), 7);
    }
}

/// A stream with a call of a tool whose arguments come in these pieces.
fn calling(pieces: &[&str], reason: &str) -> String {
    let piece = |text: &&str| {
        let text = serde_json::Value::from(*text);
        event(
            &format!(r#""tool_calls":[{{"index":0,"function":{{"arguments":{text}}}}}]"#),
            "null",
        )
    };
    let begin = event(
        r#""tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":""}}]"#,
        "null",
    );
    let pieces: String = pieces.iter().map(piece).collect();
    [
        role(),
        begin,
        pieces,
        event("", &format!("\"{reason}\"")),
        DONE.to_owned(),
    ]
    .concat()
}

#[tokio::test(start_paused = true)]
async fn arguments_that_break_off_break_the_stream() {
    let cut_off = calling(&["{\"city\":", " \"Ber\\\"l"], "tool_calls");
    let finish = cut_off.find("\"tool_calls\"}").expect("finishes");
    let passed = cut_off[..finish].rfind("data:").expect("is in an event");
    for cut in 1..cut_off.len() {
        let (head, tail) = cut_off.as_bytes().split_at(cut);
        let client = Client::stream([send(head.to_vec()), send(tail.to_vec()), hang()]);
        let (text, error) = match client.call(chat_stream()).await {
            Ok(response) => {
                let read = Read::to_the_end(response).await;
                (read.text(), read.end.expect_err("is broken"))
            }
            Err(error) => (String::new(), error),
        };
        assert_eq!(error.kind(), ErrorKind::StreamBroken, "cut at {cut}");
        assert!(cut_off[..passed].starts_with(&text), "cut at {cut}: {text}");
        assert_eq!(client.open_bodies(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn arguments_that_are_wrong_or_explained_are_the_models_doing() {
    for stream in [
        calling(&[], "tool_calls"),
        calling(&["{\"city\":", "\"Berlin\"}"], "tool_calls"),
        calling(&["Berlin"], "tool_calls"),
        calling(&["{'city': \"Berlin"], "tool_calls"),
        calling(&["{\"city\":"], "length"),
        calling(&["{\"city\":"], "content_filter"),
    ] {
        let client = Client::stream([send(stream.clone())]);
        let read = read(&client, chat_stream()).await;
        read.end
            .as_ref()
            .unwrap_or_else(|error| panic!("{error}: {stream}"));
        assert_eq!(read.text(), stream);
    }
    // Two calls side by side, of which one breaks off.
    let two = calling(&["{}"], "tool_calls").replace(
        "{\"index\":0,\"function\":{\"arguments\":\"{}\"}}",
        r#"{"index":0,"function":{"arguments":"{}"}},{"index":1,"function":{"arguments":"{"}}"#,
    );
    assert_eq!(kind([send(two)]).await, ErrorKind::StreamBroken);
}

#[tokio::test(start_paused = true)]
async fn what_never_begins_is_given_up_however_it_is_dressed() {
    let comment = || send(format!(": {}\n\n", "x".repeat(1 << 20)));
    let flood = (0..100).map(|_| comment());
    assert_eq!(kind(flood).await, ErrorKind::BadAnswer);
}

#[tokio::test(start_paused = true)]
async fn a_missing_done_is_added_at_once() {
    let start = Instant::now();
    for end in [vec![], vec![Act::Break("reset")]] {
        let client = Client::stream(
            [send([content("one"), finish()].concat()), send(USAGE_EVENT)]
                .into_iter()
                .chain(end),
        );
        let read = read(&client, chat_stream()).await;
        read.end.as_ref().expect("is whole");
        assert_eq!(read.text(), [&content("one"), &finish(), DONE].concat());
        assert_eq!((read.events(), read.usage()), (3, Some(Usage::new(10, 5))));
    }
    let unterminated = finish().trim_end().to_owned();
    let client = Client::stream([send(content("one")), send(unterminated)]);
    let read = read(&client, chat_stream()).await;
    assert_eq!(read.text(), [&content("one"), &finish(), DONE].concat());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_awaited_after_the_end() {
    let start = Instant::now();
    let client = Client::stream([send([&content("one"), &finish(), DONE].concat()), hang()]);
    let done = read(&client, chat_stream()).await;
    done.end.expect("is whole");
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(client.open_bodies(), 0);

    let client = Client::stream([send([content("one"), finish()].concat()), hang()]);
    let finished = read(&client, chat_stream()).await;
    assert!(finished.text().ends_with(DONE));
    finished.end.expect("is whole");
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_passed_on_after_done() {
    let end = [&content("one"), &finish(), DONE].concat();
    let client = Client::stream([
        send(format!("{end}{}", content("late"))),
        send(content("later")),
        hang(),
    ]);
    assert_eq!(read(&client, chat_stream()).await.text(), end);
}

#[tokio::test(start_paused = true)]
async fn usage_that_comes_late_is_waited_for() {
    let late = Act::Wait(Duration::from_secs(2));
    let client = Client::stream([
        send(content("one")),
        send(finish()),
        late,
        send(USAGE_EVENT),
        send(DONE),
    ]);
    assert_eq!(
        read(&client, chat_stream()).await.usage(),
        Some(Usage::new(10, 5))
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_without_end_is_cut_off() {
    let chunk = || send("x".repeat(1 << 20));
    let client = Client::stream(
        [send("data: ")]
            .into_iter()
            .chain((0..100).map(|_| chunk())),
    );
    let error: Error = client.refusal(chat_stream()).await;
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_to_a_request_for_a_stream_becomes_one() {
    let answer = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":5}}"#;
    let client = Client::json(200, answer);
    let response = client.call(chat_stream()).await.expect("begins");
    assert!(response.is_stream());
    let read = Read::to_the_end(response).await;
    let event = r#"data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop","index":0}],"object":"chat.completion.chunk"}"#;
    assert_eq!(read.text(), format!("{event}\n\n{DONE}"));
    assert_eq!(read.usage(), Some(Usage::new(10, 5)));
    let error = Client::json(200, r#"{"error":{"code":503,"message":"x"}}"#);
    assert_eq!(
        error.refusal(chat_stream()).await.kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_call_or_the_stream_hangs_up() {
    let client = Client::stream([send(role()), hang()]);
    let call = client.call(chat_stream());
    _ = tokio::time::timeout(Duration::from_secs(1), call).await;
    assert_eq!((client.calls(), client.open_bodies()), (1, 0));

    let client = Client::stream([send(content("one")), hang()]);
    let response = client.call(chat_stream()).await.expect("begins");
    assert_eq!(client.open_bodies(), 1);
    drop(response);
    assert_eq!(client.open_bodies(), 0);
}

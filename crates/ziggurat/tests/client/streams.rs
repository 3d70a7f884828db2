use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use ziggurat::{
    ChatRequest, Client, Error, ErrorKind, Item, LlmRequest, LlmResponse, Operation,
    client::{ChatDelta, Event},
};

use crate::{Stack, chat, client, piece, streamed};

fn request() -> ChatRequest {
    ChatRequest::new("gpt").user("hi")
}

fn streaming(items: &[String]) -> Client<Stack> {
    let items = items.to_vec();
    client(move |_| {
        let items = items.clone();
        async move { Ok(streamed(items.into_iter().map(Ok))) }
    })
}

fn broken() -> Client<Stack> {
    client(async |_| {
        let error = Error::new(ErrorKind::StreamBroken, "it broke");
        Ok(streamed([
            Ok(piece(&json!({"content": "one"}), None)),
            Err(error),
        ]))
    })
}

#[tokio::test]
async fn a_stream_and_its_usage_are_asked_for() {
    let client = client(async |request: LlmRequest| {
        assert!(request.is_stream());
        let sent: Value = serde_json::from_slice(request.body()).expect("is JSON");
        let options = match request.user() {
            Some(_) => json!({"include_usage": false}),
            None => json!({"include_usage": true}),
        };
        assert_eq!(sent["stream_options"], options);
        Ok(streamed([Ok(piece(
            &json!({"content": "hi"}),
            Some("stop"),
        ))]))
    });
    client.chat_stream(&request()).await.expect("begins");
    let own = request()
        .field("user", "u")
        .field("stream", false)
        .field("stream_options", json!({"include_usage": false}));
    client.chat_stream(&own).await.expect("begins");
}

#[tokio::test]
async fn an_answer_comes_piece_by_piece() {
    let call =
        |index: u64, more: Value| json!({"tool_calls": [{"index": index, "function": more}]});
    let stream = streaming(&[
        piece(&json!({"role": "assistant", "content": ""}), None),
        piece(&json!({"reasoning_content": "hm"}), None) + &piece(&json!({"content": "one"}), None),
        piece(&call(1, json!({"name": "f", "arguments": "{"})), None),
        piece(&json!({"refusal": "no"}), None),
        piece(&json!({}), Some("stop")),
        "data: [DONE]\n\n".to_owned(),
    ]);
    let mut stream = stream.chat_stream(&request()).await.expect("begins");
    let mut deltas = Vec::new();
    while let Some(delta) = stream.next().await {
        deltas.push(delta.expect("is a piece"));
    }
    let [thought, text, tool, refusal, end] = &deltas[..] else {
        panic!("{deltas:?}");
    };
    assert_eq!(
        (thought.reasoning.as_str(), text.text.as_str()),
        ("hm", "one")
    );
    let part = &tool.tool_calls[0];
    let part = (part.index, part.name.as_deref(), part.arguments.as_str());
    assert_eq!(part, (1, Some("f"), "{"));
    assert_eq!(
        (refusal.refusal.as_str(), end.finish_reason.as_deref()),
        ("no", Some("stop"))
    );
    assert_eq!(stream.usage().map(|usage| usage.total()), Some(5));
}

#[tokio::test]
async fn the_pieces_are_the_answer_that_would_have_come_whole() {
    let calls = |calls: Value| json!({ "tool_calls": calls });
    let of_second =
        json!({"choices": [{"index": 1, "delta": {"content": "two"}, "finish_reason": "length"}]});
    let client = streaming(&[
        piece(&json!({"role": "assistant", "content": ""}), None),
        piece(&json!({"reasoning_content": "h"}), None),
        piece(
            &json!({"reasoning_content": "m", "thinking_blocks": [{"signature": "s"}]}),
            None,
        ),
        piece(&json!({"content": "on"}), None),
        piece(
            &json!({"content": "e", "thinking_blocks": [{"signature": "t"}]}),
            None,
        ),
        piece(
            &json!({"audio": {"id": "a", "data": "AA", "transcript": "x"}}),
            None,
        ),
        piece(
            &json!({"audio": {"id": "a", "data": "BB", "transcript": "y"}}),
            None,
        ),
        piece(
            &calls(json!([
                {"index": 1, "id": "d", "type": "function", "function": {"name": "g", "arguments": ""}, "extra": 1},
                {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"n\""}},
            ])),
            None,
        ),
        piece(
            &calls(json!([{"index": 0, "id": null, "function": {"arguments": ":1}"}}])),
            None,
        ),
        format!("data: {of_second}\n\n"),
        piece(&json!({}), Some("tool_calls")),
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\ndata: [DONE]\n\n".to_owned(),
    ]);
    let stream = client.chat_stream(&request()).await.expect("begins");
    let answer = stream.into_answer().await.expect("is whole");
    let whole = json!({
        "id": "x", "model": "m-1", "object": "chat.completion", "usage": {"prompt_tokens": 3},
        "choices": [
            {"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "one", "reasoning_content": "hm",
                "thinking_blocks": [{"signature": "s"}, {"signature": "t"}],
                "audio": {"id": "a", "data": "AABB", "transcript": "xy"},
                "tool_calls": [
                    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"n\":1}"}},
                    {"id": "d", "type": "function", "function": {"name": "g", "arguments": ""}, "extra": 1},
                ],
            }},
            {"index": 1, "finish_reason": "length", "message": {"content": "two"}},
        ],
    });
    assert_eq!(answer.json::<Value>().expect("is JSON"), whole);
    assert_eq!((answer.text(), answer.reasoning()), ("one", Some("hm")));
    assert_eq!(
        answer.tool_calls()[0].parse::<Value>().expect("is JSON"),
        json!({"n": 1})
    );
    assert_eq!(
        answer.tool_calls()[1].parse::<Value>().expect("is JSON"),
        json!({})
    );
    assert_eq!(answer.usage().map(|usage| usage.total()), Some(5));
}

#[tokio::test]
async fn the_text_alone_can_be_read_and_the_answer_still_has_all_of_it() {
    let client = streaming(&[
        piece(&json!({"reasoning_content": "hm"}), None),
        piece(&json!({"content": "one "}), None),
        piece(&json!({"content": "two"}), Some("stop")),
    ]);
    let mut text = client.chat_stream(&request()).await.expect("begins").text();
    assert_eq!(text.next().await.expect("is one").expect("is fine"), "one ");
    let answer = text.into_inner().into_answer().await.expect("is whole");
    assert_eq!(
        (answer.text(), answer.finish_reason()),
        ("one two", Some("stop"))
    );
    let text = client.chat_stream(&request()).await.expect("begins").text();
    assert_eq!(
        text.try_collect::<String>().await.expect("is whole"),
        "one two"
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none_even_if_the_error_was_read_before() {
    let stream = broken().chat_stream(&request()).await.expect("begins");
    let error = stream.into_answer().await.expect_err("broke");
    assert_eq!(error.kind(), ErrorKind::StreamBroken);

    let mut stream = broken().chat_stream(&request()).await.expect("begins");
    let read: Vec<Result<ChatDelta, Error>> = stream.by_ref().collect().await;
    assert!(matches!(&read[..], [Ok(one), Err(_)] if one.text == "one"));
    let error = stream.into_answer().await.expect_err("broke");
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::StreamBroken, "it broke")
    );
}

#[tokio::test]
async fn what_is_no_piece_ends_the_stream_with_an_error() {
    let good = piece(&json!({"content": "one"}), None);
    for (bad, kind, words) in [
        ("data: {oops\n\n", ErrorKind::BadAnswer, "cannot be read"),
        ("data: [1]\n\n", ErrorKind::BadAnswer, "cannot be read"),
        (
            "data: {\"error\":{\"message\":\"too busy\"}}\n\n",
            ErrorKind::StreamBroken,
            "too busy",
        ),
    ] {
        let client = streaming(&[good.clone(), bad.to_owned(), good.clone()]);
        let stream = client.chat_stream(&request()).await.expect("begins");
        let read: Vec<_> = stream.collect().await;
        let [Ok(_), Err(error)] = &read[..] else {
            panic!("{read:?}");
        };
        assert_eq!(error.kind(), kind, "{bad}");
        assert!(error.message().contains(words), "{bad}: {error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_stream_is_a_bad_one() {
    let client = client(async |_| Ok(chat("hi")));
    let error = client.chat_stream(&request()).await.expect_err("is none");
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
}

#[tokio::test]
async fn dropping_a_stream_hangs_up_and_so_does_its_first_bad_event() {
    /// Repeats an item until it is dropped.
    struct Endless(String, Arc<AtomicBool>);
    impl Stream for Endless {
        type Item = Result<Item, Error>;
        fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let bytes = self.0.clone().into();
            Poll::Ready(Some(Ok(Item {
                bytes,
                events: 1,
                ..Item::default()
            })))
        }
    }
    impl Drop for Endless {
        fn drop(&mut self) {
            self.1.store(true, SeqCst);
        }
    }
    let gone = Arc::new(AtomicBool::new(false));
    let client = {
        let gone = Arc::clone(&gone);
        client(move |request: LlmRequest| {
            let text = match request.user() {
                Some(_) => "data: oops\n\n".to_owned(),
                None => piece(&json!({"content": "more "}), None),
            };
            let items = Endless(text, Arc::clone(&gone));
            async move { Ok(LlmResponse::stream(Box::pin(items))) }
        })
    };
    let mut stream = client.chat_stream(&request()).await.expect("begins");
    assert_eq!(
        stream.next().await.expect("is one").expect("is fine").text,
        "more "
    );
    assert!(!gone.load(SeqCst));
    drop(stream);
    assert!(gone.swap(false, SeqCst));

    let mut stream = client
        .chat_stream(&request().field("user", "u"))
        .await
        .expect("begins");
    assert!(stream.next().await.expect("is one").is_err());
    assert!(gone.load(SeqCst));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn events_of_other_operations_have_their_names() {
    let client = streaming(&["event: response.created\ndata: {\"n\":1}\n\n".to_owned()]);
    let body = json!({"model": "gpt", "input": "hi"});
    let events = client
        .events(Operation::Responses, &body)
        .await
        .expect("begins");
    let events: Vec<Event> = events.try_collect().await.expect("is whole");
    assert_eq!(events[0].name.as_deref(), Some("response.created"));
    assert_eq!(events[0].json::<Value>().expect("is JSON"), json!({"n": 1}));
}

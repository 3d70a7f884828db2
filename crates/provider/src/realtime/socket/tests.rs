use futures_util::{SinkExt as _, StreamExt as _, task::noop_waker_ref};
use std::future::poll_fn;
use tokio::io::DuplexStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;

type Provider = WebSocketStream<DuplexStream>;

/// The halves of a connection whose messages have 1,000 bytes at most, and the provider at its
/// other end.
async fn connected(buffer: usize) -> (Events<DuplexStream>, impl Uplink, Provider) {
    let (ours, theirs) = tokio::io::duplex(buffer);
    let ours = WebSocketStream::from_raw_socket(ours, Role::Client, Some(config(1_000)));
    let (events, uplink) = halves(ours.await);
    let theirs = WebSocketStream::from_raw_socket(theirs, Role::Server, None);
    (events, uplink, theirs.await)
}

async fn say(uplink: &mut impl Uplink, message: Message) {
    poll_fn(|cx| uplink.poll_ready(cx)).await;
    uplink.send(message);
    poll_fn(|cx| uplink.poll_flush(cx)).await;
}

fn text(text: &'static str) -> Message {
    Message::Text(Bytes::from_static(text.as_bytes()))
}

fn close(code: u16, reason: &str) -> tungstenite::Message {
    tungstenite::Message::Close(Some(CloseFrame {
        code: code.into(),
        reason: reason.into(),
    }))
}

async fn next(events: &mut Events<DuplexStream>) -> Item {
    let item = events.next().await.expect("has not ended");
    item.expect("has not failed")
}

/// Reads, and finds nothing that is for the client.
fn waits(events: &mut Events<DuplexStream>) -> bool {
    let mut cx = Context::from_waker(noop_waker_ref());
    events.poll_event(&mut cx).is_pending()
}

#[tokio::test]
async fn messages_pass_both_ways_as_they_are() {
    let (mut events, mut uplink, mut provider) = connected(1_000).await;
    for message in [
        text("{}"),
        Message::Binary(Bytes::from_static(b"\xff")),
        Message::Ping(Bytes::new()),
    ] {
        say(&mut uplink, message).await;
    }
    // What is no text cannot be said as one.
    say(&mut uplink, Message::Text(Bytes::from_static(b"\xff"))).await;
    for expected in [
        tungstenite::Message::text("{}"),
        tungstenite::Message::binary(&b"\xff"[..]),
        tungstenite::Message::Ping(Bytes::new()),
    ] {
        let message = provider.next().await.expect("goes on");
        assert_eq!(message.expect("is one"), expected);
    }
    for message in [
        tungstenite::Message::text("[]"),
        tungstenite::Message::Ping(Bytes::from_static(b"p")),
        tungstenite::Message::binary(&b"\xfe"[..]),
    ] {
        provider.send(message).await.expect("is sent");
    }
    let item = next(&mut events).await;
    assert_eq!((&item.bytes[..], item.is_binary), (&b"[]"[..], false));
    let item = next(&mut events).await;
    assert_eq!((&item.bytes[..], item.is_binary), (&b"\xfe"[..], true));
    // The ping was answered, and is not shown.
    assert!(waits(&mut events));
    let pong = provider.next().await.expect("goes on").expect("is one");
    assert_eq!(pong, tungstenite::Message::Pong(Bytes::from_static(b"p")));
}

#[tokio::test]
async fn usage_is_summed_over_the_responses() {
    let (mut events, _uplink, mut provider) = connected(10_000).await;
    let done =
        r#"{"type":"response.done","response":{"usage":{"input_tokens":3,"output_tokens":4}}}"#;
    for said in [done, r#"{"type":"x"}"#, done] {
        let message = tungstenite::Message::text(said);
        provider.send(message).await.expect("is sent");
    }
    assert_eq!(next(&mut events).await.usage, Some(Usage::new(3, 4)));
    assert_eq!(next(&mut events).await.usage, None);
    assert_eq!(next(&mut events).await.usage, Some(Usage::new(6, 8)));
}

#[tokio::test]
async fn how_the_provider_closes_says_whether_it_failed() {
    for (code, kind) in [
        (1000, None),
        (1001, None),
        (1008, None),
        (4001, None),
        (1011, Some(ErrorKind::StreamBroken)),
        (1013, Some(ErrorKind::StreamBroken)),
    ] {
        let (mut events, uplink, mut provider) = connected(1_000).await;
        assert_eq!(uplink.closed(), None);
        provider.send(close(code, "why")).await.expect("is sent");
        let end = events.next().await.map(|end| end.expect_err("no message"));
        assert_eq!(end.map(|error| error.kind()), kind, "{code}");
        assert_eq!(uplink.closed(), Some(Close::new(code, "why")));
        assert!(events.next().await.is_none());
        let answer = provider.next().await.expect("is answered");
        assert_eq!(answer.expect("is one"), close(code, "why"));
    }
}

#[tokio::test]
async fn a_break_is_a_failure_unless_the_client_has_closed() {
    for closes in [false, true] {
        let (mut events, mut uplink, provider) = connected(1_000).await;
        if closes {
            let goodbye = Message::Close(Some(Close::new(1011, "mine")));
            say(&mut uplink, goodbye).await;
        }
        drop(provider);
        let end = events.next().await.map(|end| end.expect_err("no message"));
        let expected = (!closes).then_some(ErrorKind::StreamBroken);
        assert_eq!(end.map(|error| error.kind()), expected);
        assert_eq!(uplink.closed(), None);
        // What is said now is lost, and nobody waits for it.
        say(&mut uplink, text("x")).await;
    }
}

#[tokio::test]
async fn a_message_that_is_too_long_is_a_failure() {
    let (mut events, _uplink, mut provider) = connected(10_000).await;
    let long = tungstenite::Message::text("x".repeat(1_001));
    provider.send(long).await.expect("is sent");
    let error = events.next().await.expect("ends").expect_err("is too long");
    assert_eq!(error.kind(), ErrorKind::BadAnswer);
}

#[tokio::test]
async fn a_provider_that_does_not_read_holds_the_client_up() {
    let (_events, mut uplink, mut provider) = connected(64).await;
    let mut cx = Context::from_waker(noop_waker_ref());
    let long = Message::Binary(vec![0; BUFFER + 1].into());
    let mut taken = 0;
    while uplink.poll_ready(&mut cx).is_ready() {
        uplink.send(long.clone());
        taken += 1;
        assert!(taken < 3, "one is kept");
    }
    let reading = async {
        let message = provider.next().await.expect("comes");
        message.expect("is one").into_data().len()
    };
    let writing = poll_fn(|cx| uplink.poll_ready(cx));
    let ((), length) = tokio::join!(writing, reading);
    assert_eq!(length, BUFFER + 1);
}

#[tokio::test]
async fn to_drop_the_stream_is_to_hang_up() {
    let (events, mut uplink, mut provider) = connected(1_000).await;
    drop(events);
    assert!(provider.next().await.is_none_or(|end| end.is_err()));
    say(&mut uplink, text("x")).await;
}

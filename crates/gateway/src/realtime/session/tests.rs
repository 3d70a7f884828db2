use std::sync::Arc;

use parking_lot::Mutex;
use tokio::{io::DuplexStream, sync::mpsc};
use ziggurat::Attach as _;
use ziggurat::{BoxItems, ByteBudget, End as Ended, Error, ErrorKind, Item, LlmResponse, Observer};

use super::*;
use crate::rank::Rank;

/// What happened on the provider's side, in its order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().push(what.into());
    }

    fn entries(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

impl Observer for Log {
    fn end(&mut self, end: Ended<'_>) {
        self.add(match end {
            Ended::Complete { .. } => "complete",
            Ended::Failed(_) => "failed",
            Ended::Abandoned => "abandoned",
        });
    }
}

/// Takes messages while it is open, and closes as it is told.
struct Up {
    log: Log,
    is_open: bool,
    closed: Option<Close>,
}

impl Uplink for Up {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<()> {
        match self.is_open {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn send(&mut self, message: Message) {
        self.log.add(match message {
            Message::Text(text) => format!("text {}", text.len()),
            Message::Binary(bytes) => format!("binary {}", bytes.len()),
            Message::Ping(_) => "ping".to_owned(),
            Message::Close(close) => format!("close {}", close.map_or(0, |close| close.code)),
            _ => "other".to_owned(),
        });
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn closed(&self) -> Option<Close> {
        self.closed.clone()
    }
}

struct Provider {
    says: mpsc::UnboundedSender<Result<Item, Error>>,
    log: Log,
}

type Client = WebSocketStream<DuplexStream>;

/// A session whose messages have 1,000 bytes at most, and its two ends.
async fn session(
    is_open: bool,
    closed: Option<Close>,
) -> (Client, Provider, impl Future<Output = ()>) {
    session_of(is_open, closed, None).await
}

/// The same whose messages count in a budget.
async fn session_of(
    is_open: bool,
    closed: Option<Close>,
    budget: Option<ByteBudget>,
) -> (Client, Provider, impl Future<Output = ()>) {
    let log = Log::default();
    #[expect(clippy::disallowed_methods, reason = "a test says what it has to say")]
    let (says, mut heard) = mpsc::unbounded_channel();
    let items: BoxItems = Box::pin(futures_util::stream::poll_fn(move |cx| heard.poll_recv(cx)));
    let uplink = Up {
        log: log.clone(),
        is_open,
        closed,
    };
    let answer = LlmResponse::connection(items, Box::new(uplink)).attach(log.clone());
    let (_, mut items) = answer.into_parts();
    let uplink = items.take_uplink().expect("is a connection");
    let (client, server) = tokio::io::duplex(64 * 1024);
    let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    let provider = Provider { says, log };
    let bounds = Bounds {
        longest: 1_000,
        budget,
        time: None,
        rank: Rank::default(),
    };
    (client, provider, run(server, bounds, items, uplink, None))
}

fn item(text: &'static str) -> Item {
    Item {
        bytes: Bytes::from_static(text.as_bytes()),
        events: 1,
        ..Item::default()
    }
}

async fn code(client: &mut Client) -> Option<u16> {
    while let Some(Ok(message)) = client.next().await {
        if let tungstenite::Message::Close(frame) = message {
            return frame.map(|frame| frame.code.into());
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_silent_and_there_stays_and_one_that_is_gone_does_not() {
    let (mut client, provider, running) = session(true, None).await;
    let mut running = Box::pin(running);
    let reading = async {
        // Whoever reads answers pings.
        loop {
            client.next().await.expect("goes on").expect("is one");
        }
    };
    let hour = Duration::from_secs(3_600);
    let there = async { tokio::join!(&mut running, reading) };
    assert!(timeout(hour, there).await.is_err(), "it stands");
    assert!(provider.log.entries().is_empty(), "pings are the gateway's");
    let begun = Instant::now();
    running.await;
    assert!(begun.elapsed() <= 4 * PING);
    assert_eq!(provider.log.entries(), ["abandoned"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_read_is_not_taken_for_gone() {
    let (mut client, provider, running) = session(false, None).await;
    for _ in 0..2 {
        let text = tungstenite::Message::text("x");
        client.send(text).await.expect("is sent");
    }
    let hour = Duration::from_secs(3_600);
    assert!(timeout(hour, running).await.is_err(), "it stands");
    assert_eq!(
        provider.log.entries(),
        ["abandoned"],
        "at the end of the test"
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_messages_of_a_provider_come_before_its_close() {
    let ends = [
        (None, None, None),
        (Some(4000), None, Some(4000)),
        (None, Some(ErrorKind::StreamBroken), Some(1011)),
        (Some(1013), Some(ErrorKind::StreamBroken), Some(1013)),
    ];
    for (closed, failure, expected) in ends {
        let closed = closed.map(|code| Close::new(code, ""));
        let (mut client, provider, running) = session(true, closed).await;
        let says = provider.says;
        says.send(Ok(item("last"))).expect("is heard");
        if let Some(kind) = failure {
            let error = Error::new(kind, "it broke");
            says.send(Err(error)).expect("is heard");
        }
        drop(says);
        let reading = async {
            let last = client.next().await.expect("goes on").expect("is one");
            assert_eq!(last, tungstenite::Message::text("last"));
            let code = code(&mut client).await;
            drop(client);
            code
        };
        let ((), code) = tokio::join!(running, reading);
        assert_eq!(code, expected);
        let end = if failure.is_some() {
            "failed"
        } else {
            "complete"
        };
        assert_eq!(provider.log.entries(), [end]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_client_says_last_is_followed_to_the_providers_end() {
    let (mut client, provider, running) = session(true, None).await;
    let close = CloseFrame {
        code: 4001.into(),
        reason: "".into(),
    };
    let ping = tungstenite::Message::Ping(Bytes::new());
    client.send(ping).await.expect("is sent");
    client.close(Some(close)).await.expect("is sent");
    let says = provider.says;
    let goodbye = async {
        let code = code(&mut client).await;
        drop(says);
        code
    };
    let ((), code) = tokio::join!(running, goodbye);
    assert_eq!(code, Some(4001));
    assert_eq!(provider.log.entries(), ["ping", "close 4001", "complete"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_a_goodbye_is_left() {
    let (mut client, provider, running) = session(true, None).await;
    client.close(None).await.expect("is sent");
    let begun = Instant::now();
    running.await;
    assert_eq!(begun.elapsed(), GOODBYE);
    assert_eq!(provider.log.entries(), ["close 0", "abandoned"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_must_not_do_closes_both_sides() {
    let (mut client, provider, running) = session(true, None).await;
    let long = tungstenite::Message::text("x".repeat(1_001));
    let saying = async {
        client.send(long).await.expect("is sent");
        let code = code(&mut client).await;
        drop(client);
        code
    };
    let ((), code) = tokio::join!(running, saying);
    assert_eq!(code, Some(TOO_LONG));
    assert_eq!(provider.log.entries(), ["close 1001", "abandoned"]);
}

#[tokio::test(start_paused = true)]
async fn messages_count_until_they_are_taken_and_without_room_the_session_ends() {
    let budget = ByteBudget::new(2_000);
    let text = |length| tungstenite::Message::text("x".repeat(length));
    let (mut client, provider, running) = session_of(true, None, Some(budget.clone())).await;
    let mut running = Box::pin(running);
    for _ in 0..10 {
        client.send(text(900)).await.expect("is sent");
        let passed = timeout(Duration::from_millis(1), &mut running).await;
        assert!(passed.is_err(), "it stands");
        assert_eq!(budget.used(), 0);
    }
    assert_eq!(provider.log.entries(), ["text 900"; 10]);

    let other = budget.reserve(1_500).expect("there is room");
    client.send(text(900)).await.expect("is sent");
    let ((), code) = tokio::join!(running, code(&mut client));
    assert_eq!(code, Some(AGAIN_LATER));
    assert_eq!(budget.used(), 1_500);
    drop(other);

    // One that nobody takes counts while it waits.
    let (mut client, _provider, running) = session_of(false, None, Some(budget.clone())).await;
    client.send(text(900)).await.expect("is sent");
    let mut running = Box::pin(running);
    let waits = timeout(Duration::from_millis(1), &mut running).await;
    assert!(waits.is_err(), "it stands");
    assert!(budget.used() > 900, "{budget:?}");
    drop(running);
    assert_eq!(budget.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn pings_take_no_more_room_than_a_message_may() {
    let budget = ByteBudget::new(2_000);
    let (mut client, provider, running) = session_of(true, None, Some(budget.clone())).await;
    let mut running = Box::pin(running);
    for _ in 0..400 {
        let ping = tungstenite::Message::Ping(Bytes::from_static(b"are you?"));
        client.send(ping).await.expect("is sent");
        let passed = timeout(Duration::from_millis(1), &mut running).await;
        assert!(passed.is_err(), "it stands");
        assert!(budget.used() <= 1_000, "{budget:?}");
    }
    assert_eq!(provider.log.entries(), ["ping"; 400]);
    let text = tungstenite::Message::text("x");
    client.send(text).await.expect("is sent");
    let passed = timeout(Duration::from_millis(1), &mut running).await;
    assert!(passed.is_err(), "it stands");
    assert_eq!(budget.used(), 0);
}

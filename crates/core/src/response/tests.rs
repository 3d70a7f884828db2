use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

use crate::{
    Attach, Blame, Clock, Clocked, Drain, End, Error, ErrorKind, Item, Items, LlmResponse,
    Observer, Uplink, Usage,
};

/// Items at given times after the last poll that found one; `None` never comes.
struct Script(
    VecDeque<(Duration, Result<&'static str, ErrorKind>)>,
    Option<Pin<Box<Sleep>>>,
);

impl Script {
    fn response(
        steps: impl IntoIterator<Item = (u64, Result<&'static str, ErrorKind>)>,
    ) -> LlmResponse {
        let steps = steps
            .into_iter()
            .map(|(secs, step)| (Duration::from_secs(secs), step))
            .collect();
        LlmResponse::stream(Box::pin(Self(steps, None)))
    }
}

impl Stream for Script {
    type Item = Result<Item, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some((after, _)) = self.0.front().copied() else {
            return Poll::Ready(None);
        };
        let sleep = self
            .1
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(after)));
        ready!(sleep.as_mut().poll(cx));
        self.1 = None;
        let (_, step) = self.0.pop_front().expect("front was there");
        Poll::Ready(Some(match step {
            Ok(text) => Ok(Item {
                bytes: Bytes::from(text),
                events: 1,
                usage: Some(Usage::new(1, 2)),
                ..Item::default()
            }),
            Err(kind) => Err(Error::new(kind, "scripted")),
        }))
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn entries(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

impl Observer for Log {
    fn wants_items(&self) -> bool {
        true
    }

    fn item(&mut self, item: &Item) {
        self.0
            .lock()
            .push(String::from_utf8_lossy(&item.bytes).into_owned());
    }

    fn end(&mut self, end: End<'_>) {
        self.0.lock().push(match end {
            End::Complete { usage } => format!("complete {}", usage.map_or(0, Usage::total)),
            End::Failed(error) => format!("failed {}", error.kind()),
            End::Abandoned => "abandoned".to_owned(),
        });
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_items_and_exactly_one_end() {
    let log = Log::default();
    let (_, mut items) = Script::response([(0, Ok("a")), (0, Ok("b"))])
        .attach(log.clone())
        .into_parts();
    while items.next().await.is_some() {}
    assert!(items.next().await.is_none());
    drop(items);
    assert_eq!(log.entries(), ["a", "b", "complete 3"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_error_is_the_end_and_nothing_comes_after_it() {
    let log = Log::default();
    let script = [
        (0, Ok("a")),
        (0, Err(ErrorKind::StreamBroken)),
        (0, Ok("never")),
    ];
    let (_, mut items) = Script::response(script).attach(log.clone()).into_parts();
    assert!(items.next().await.expect("an item").is_ok());
    assert!(items.next().await.expect("an error").is_err());
    assert!(items.next().await.is_none());
    assert_eq!(log.entries(), ["a", "failed stream_broken"]);
}

#[tokio::test(start_paused = true)]
async fn observers_go_when_the_stream_ends_not_when_it_is_dropped() {
    let guard = Arc::new(());
    struct Guard(#[expect(dead_code, reason = "held for its count")] Arc<()>);
    impl Observer for Guard {}
    let (_, mut items) = Script::response([(0, Ok("a"))])
        .attach(Guard(Arc::clone(&guard)))
        .into_parts();
    while items.next().await.is_some() {}
    assert_eq!(Arc::strong_count(&guard), 1);
    assert!(items.is_ended());
}

struct Nowhere;

impl Uplink for Nowhere {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn send(&mut self, _: crate::Message) {}

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn closed(&self) -> Option<crate::Close> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_held_to_no_clock_and_neither_held_back_nor_drained() {
    struct Never;
    impl Drain for Never {
        fn drain(&self, _: Items) {
            panic!("nobody would speak");
        }
    }
    let log = Log::default();
    let day = Duration::from_secs(86_400);
    let silence = Script([(day, Ok("a"))].into(), None);
    let mut response = LlmResponse::connection(Box::pin(silence), Box::new(Nowhere));
    response.limit_idle(Duration::from_secs(1));
    response.limit_idle_for_caller(Duration::from_secs(1));
    response.limit_total(Instant::now() + Duration::from_secs(1));
    let held = std::future::poll_fn(|cx| response.poll_hold(cx, u32::MAX, usize::MAX));
    let begun = Instant::now();
    held.await.expect("does not fail");
    assert_eq!(begun.elapsed(), Duration::ZERO);
    let response = response.draining(Arc::new(Never)).attach(log.clone());
    let (_, mut items) = response.into_parts();
    assert!(items.take_uplink().is_some() && items.take_uplink().is_none());
    assert!(items.next().await.is_some_and(|item| item.is_ok()));
    assert_eq!(begun.elapsed(), day);
    drop(items);
    assert_eq!(log.entries(), ["a", "abandoned"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_response_is_abandoned() {
    let log = Log::default();
    drop(Script::response([(0, Ok("a"))]).attach(log.clone()));
    assert_eq!(log.entries(), ["abandoned"]);
}

#[tokio::test(start_paused = true)]
async fn a_complete_answer_ends_as_it_is_attached_to() {
    let log = Log::default();
    let response = LlmResponse::complete("answer", Some(Usage::new(3, 4))).attach(log.clone());
    assert_eq!(log.entries(), ["complete 7"]);
    let (_, mut items) = response.into_parts();
    assert_eq!(
        items
            .next()
            .await
            .expect("one item")
            .expect("is fine")
            .bytes,
        "answer"
    );
    assert!(items.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_long_drip_survives_and_silence_does_not() {
    let mut drip = Script::response((0..360).map(|_| (5, Ok("x"))).chain([(7, Ok("late"))]));
    drip.limit_idle(Duration::from_secs(6));
    let (_, mut items) = drip.into_parts();
    for _ in 0..360 {
        assert!(items.next().await.expect("an item").is_ok());
    }
    let error = items
        .next()
        .await
        .expect("an end")
        .expect_err("fell silent");
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Idle));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_trip_the_idle_clock() {
    let mut response = Script::response([(1, Ok("a")), (1, Ok("b"))]);
    response.limit_idle(Duration::from_secs(2));
    let (_, mut items) = response.into_parts();
    assert!(items.next().await.expect("an item").is_ok());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(items.next().await.expect("an item").is_ok());
}

#[tokio::test(start_paused = true)]
async fn silence_that_only_the_caller_minds_speaks_against_no_deployment() {
    for (ours, callers, blamed) in [
        (9, 2, Blame::Request),
        (2, 2, Blame::Deployment),
        (2, 9, Blame::Deployment),
    ] {
        let mut response = Script::response([(60, Ok("late"))]);
        response.limit_idle(Duration::from_secs(ours));
        response.limit_idle_for_caller(Duration::from_secs(callers));
        let (_, mut items) = response.into_parts();
        let error = items.next().await.expect("an end").expect_err("is silent");
        assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Idle));
        assert_eq!(error.scope(), blamed, "{ours} s and {callers} s");
    }
}

#[tokio::test(start_paused = true)]
async fn the_total_clock_cuts_a_stream() {
    let mut response = Script::response((0..100).map(|_| (1, Ok("x"))));
    response.limit_total(Instant::now() + Duration::from_millis(3500));
    let (_, items) = response.into_parts();
    let all: Vec<_> = items.collect().await;
    assert_eq!(all.len(), 4);
    let error = all.last().expect("four").as_ref().expect_err("is cut");
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Total));
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_reaches_the_reader_in_order_and_settles_when_it_is_read() {
    let log = Log::default();
    let script = [(0, Ok("a")), (1, Ok("b")), (1, Ok("c"))];
    let mut response = Script::response(script).attach(log.clone());
    std::future::poll_fn(|cx| response.poll_hold(cx, 2, usize::MAX))
        .await
        .expect("does not fail");
    assert!(log.entries().is_empty());
    let (_, items) = response.into_parts();
    let read: Vec<_> = items
        .map(|item| item.expect("is one").bytes)
        .collect()
        .await;
    assert_eq!(read, ["a", "b", "c"]);
    assert_eq!(log.entries(), ["a", "b", "c", "complete 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_what_is_held_back_is_one_of_the_response() {
    let log = Log::default();
    let script = [(0, Ok("a")), (0, Err(ErrorKind::StreamBroken))];
    let mut response = Script::response(script).attach(log.clone());
    let held = std::future::poll_fn(|cx| response.poll_hold(cx, u32::MAX, usize::MAX)).await;
    assert_eq!(held.expect_err("fails").kind(), ErrorKind::StreamBroken);
    drop(response);
    assert_eq!(log.entries(), ["failed stream_broken"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_and_never_read_is_told_before_the_end() {
    #[derive(Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);
    impl Observer for Seen {
        fn wants_items(&self) -> bool {
            true
        }

        fn unread(&mut self, item: &Item) {
            let text = String::from_utf8_lossy(&item.bytes);
            self.0.lock().push(format!("unread {text}"));
        }

        fn end(&mut self, end: End<'_>) {
            self.0.lock().push(format!("{end:?}"));
        }
    }
    let seen = Seen::default();
    let log = Arc::clone(&seen.0);
    let mut response = Script::response([(0, Ok("a")), (0, Ok("b"))]).attach(seen);
    std::future::poll_fn(|cx| response.poll_hold(cx, 2, usize::MAX))
        .await
        .expect("does not fail");
    drop(response);
    assert_eq!(*log.lock(), ["unread a", "unread b", "Abandoned"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_on_is_drained_if_somebody_wants_it() {
    #[derive(Default)]
    struct Rest(Mutex<Option<Items>>);
    impl Drain for Rest {
        fn drain(&self, items: Items) {
            *self.0.lock() = Some(items);
        }
    }
    let (log, rest) = (Log::default(), Arc::new(Rest::default()));
    let response = Script::response([(0, Ok("a")), (0, Ok("b"))]).attach(log.clone());
    let drain: Arc<dyn Drain> = Arc::clone(&rest) as _;
    let (_, mut items) = response.draining(drain).into_parts();
    assert!(items.next().await.is_some());
    drop(items);
    assert_eq!(log.entries(), ["a"]);
    let mut items = rest.0.lock().take().expect("was given");
    while items.next().await.is_some() {}
    assert_eq!(log.entries(), ["a", "b", "complete 3"]);
    drop(items);
    assert!(rest.0.lock().is_none(), "what has ended is not drained");
}

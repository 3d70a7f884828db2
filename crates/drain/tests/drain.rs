//! What the layer and its driver do, with the time paused.

use std::{num::NonZeroUsize, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::{
    task::{LocalSet, yield_now},
    time::{Instant, sleep},
};
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{Error, ErrorKind, Item, Items, LlmResponse};
use ziggurat_drain::{Always, DrainLayer, Draining};
use ziggurat_testkit::contract::{Answer, Ended, Probe};

const LIMIT: Duration = Duration::from_secs(60);

fn some(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("is over zero")
}

/// The items of a stream of which a layer made the response, the first one read.
async fn begun(layer: &DrainLayer<Always>, probe: &Probe) -> Items {
    let service = layer.layer(probe.clone());
    let response = service.oneshot("request").await.expect("answers");
    let (_, mut items) = response.into_parts();
    items.next().await.expect("is one").expect("is fine");
    items
}

/// A driver that runs, in a set of tasks that is driven by hand.
async fn running(draining: Draining, max_in_flight: usize) -> LocalSet {
    let tasks = LocalSet::new();
    tasks.spawn_local(draining.run(some(max_in_flight), LIMIT));
    tasks.run_until(yield_now()).await;
    tasks
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_client_hangs_up_is_read_to_its_end() {
    let (layer, draining) = DrainLayer::new(some(10));
    let tasks = running(draining, 4).await;
    let probe = Probe::new().with_answer(Answer::stream(5));
    let items = begun(&layer, &probe).await;
    drop(items);
    assert!(probe.ends().is_empty());
    let counts = layer.counts();
    drop(layer);
    tasks.await;
    assert_eq!((probe.ends(), probe.live()), (vec![Ended::Complete], 0));
    assert_eq!((counts.drained(), counts.dropped()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_read_to_its_end_is_not_drained() {
    let (layer, draining) = DrainLayer::new(some(10));
    let tasks = running(draining, 4).await;
    let probe = Probe::new().with_answer(Answer::stream(5));
    let mut items = begun(&layer, &probe).await;
    while items.next().await.is_some() {}
    drop(items);
    let counts = layer.counts();
    drop(layer);
    tasks.await;
    assert_eq!((counts.drained(), counts.dropped()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_hung_up_before_the_first_token_is_closed() {
    let (layer, draining) = DrainLayer::new(some(10));
    let tasks = running(draining, 4).await;
    let probe = Probe::new().with_answer(Answer::stream(5).after(LIMIT));
    let mut waiting = layer.layer(probe.clone()).oneshot("request").boxed();
    assert!((&mut waiting).now_or_never().is_none());
    drop(waiting);
    assert_eq!((probe.calls(), probe.live()), (1, 0));
    drop(layer);
    tasks.await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_finds_no_room_is_closed_at_once() {
    let (layer, draining) = DrainLayer::new(some(2));
    let tasks = running(draining, 1).await;
    let probe = Probe::new().with_answer(Answer::stream(2));
    for _ in 0..5 {
        drop(begun(&layer, &probe).await);
    }
    assert_eq!(layer.dropped(), 3);
    assert_eq!((probe.ends().len(), probe.live()), (3, 2));
    let counts = layer.counts();
    drop(layer);
    tasks.await;
    assert_eq!((counts.drained(), counts.dropped()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_a_stream_is_closed_at_once() {
    let probe = Probe::new().with_answer(Answer::stream(2));
    let (layer, idle) = DrainLayer::new(some(10));
    drop(begun(&layer, &probe).await);
    assert_eq!((layer.dropped(), probe.live()), (1, 0), "it does not run");
    drop(idle);
    drop(begun(&layer, &probe).await);
    assert_eq!((layer.dropped(), probe.live()), (2, 0), "it is gone");
    assert_eq!(probe.ends(), [Ended::Abandoned, Ended::Abandoned]);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_is_dropped_closes_what_it_reads_and_what_waits() {
    let (layer, draining) = DrainLayer::new(some(10));
    let tasks = running(draining, 1).await;
    let probe = Probe::new().with_answer(Answer::stream(2).hanging());
    for _ in 0..3 {
        drop(begun(&layer, &probe).await);
    }
    tasks.run_until(yield_now()).await;
    assert_eq!(probe.live(), 3);
    drop(tasks);
    assert_eq!((probe.live(), layer.dropped()), (0, 3));
    drop(begun(&layer, &probe).await);
    assert_eq!((probe.live(), layer.dropped()), (0, 4));
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_counts_from_the_hang_up_and_includes_the_wait() {
    let (layer, draining) = DrainLayer::new(some(10));
    let tasks = running(draining, 1).await;
    let probe = Probe::new().with_answer(Answer::stream(2).hanging());
    for _ in 0..3 {
        drop(begun(&layer, &probe).await);
    }
    let (counts, began) = (layer.counts(), Instant::now());
    drop(layer);
    tasks.await;
    assert_eq!(began.elapsed().as_secs(), LIMIT.as_secs());
    assert_eq!((counts.drained(), counts.dropped()), (0, 3));
    assert_eq!(probe.ends(), [Ended::Abandoned; 3]);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_read_at_a_time_than_allowed() {
    let (layer, draining) = DrainLayer::new(some(10));
    let tasks = running(draining, 2).await;
    let service = layer.layer(service_fn(|_: &'static str| async {
        let items = stream::iter(0..2).then(|_| async {
            sleep(Duration::from_secs(10)).await;
            Ok(Item::default())
        });
        Ok::<_, Error>(LlmResponse::stream(Box::pin(items)))
    }));
    for _ in 0..6 {
        drop(service.clone().oneshot("request").await.expect("answers"));
    }
    let (counts, began) = (layer.counts(), Instant::now());
    drop((service, layer));
    tasks.await;
    assert_eq!(began.elapsed().as_secs(), 60, "20 s each, two at a time");
    assert_eq!(counts.drained() + counts.dropped(), 6);
    assert!(counts.drained() >= 4);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_is_settled_as_broken() {
    let (layer, draining) = DrainLayer::new(some(10));
    let tasks = running(draining, 1).await;
    let probe = Probe::new().with_answer(Answer::stream(2).breaking(ErrorKind::StreamBroken));
    drop(begun(&layer, &probe).await);
    let counts = layer.counts();
    drop(layer);
    tasks.await;
    assert_eq!(probe.ends(), [Ended::Failed(ErrorKind::StreamBroken)]);
    assert_eq!(counts.drained(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_stream_ends_that_stream_alone() {
    let (layer, draining) = DrainLayer::new(some(10));
    let tasks = running(draining, 1).await;
    let service = layer.layer(service_fn(|panics: &'static str| async move {
        let items = stream::iter(0..2).map(move |_| {
            assert_ne!(panics, "panics", "a panic of the stream");
            Ok(Item::default())
        });
        Ok::<_, Error>(LlmResponse::stream(Box::pin(items)))
    }));
    for request in ["panics", "does not"] {
        drop(service.clone().oneshot(request).await.expect("answers"));
    }
    let counts = layer.counts();
    drop((service, layer));
    tasks.await;
    assert_eq!((counts.drained(), counts.dropped()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_may_say_that_its_stream_is_not_drained() {
    let (layer, draining) = DrainLayer::new(some(10));
    let tasks = running(draining, 1).await;
    let layer = layer.per_request(|request: &&str| *request == "billed");
    let probe = Probe::new().with_answer(Answer::stream(2));
    for request in ["billed", "free"] {
        let answer = layer.layer(probe.clone()).oneshot(request).await;
        drop(answer.expect("answers"));
    }
    assert_eq!((probe.ends(), probe.live()), (vec![Ended::Abandoned], 1));
    drop(layer);
    tasks.await;
    assert_eq!(probe.ends(), [Ended::Abandoned, Ended::Complete]);
}

#[tokio::test(start_paused = true)]
async fn the_driver_ends_when_the_last_stream_is_gone_and_not_before() {
    let (layer, draining) = DrainLayer::new(some(10));
    let tasks = LocalSet::new();
    let driver = tasks.spawn_local(draining.run(some(1), LIMIT));
    tasks.run_until(yield_now()).await;
    let probe = Probe::new().with_answer(Answer::stream(2));
    let items = begun(&layer, &probe).await;
    drop(layer);
    tasks.run_until(yield_now()).await;
    assert!(!driver.is_finished(), "a stream may still be hung up");
    drop(items);
    tasks.run_until(driver).await.expect("ends");
    assert_eq!(probe.ends(), [Ended::Complete]);
}

#[tokio::test(start_paused = true)]
async fn it_is_idle_when_nothing_waits_and_nothing_is_read() {
    let (layer, draining) = DrainLayer::new(some(10));
    let counts = layer.counts();
    counts.idle().await;
    let tasks = running(draining, 1).await;
    let probe = Probe::new().with_answer(Answer::stream(2));
    // One is read, and one waits for its turn.
    let items = [begun(&layer, &probe).await, begun(&layer, &probe).await];
    assert!(counts.idle().now_or_never().is_some(), "clients read them");
    drop(items);
    assert!(counts.idle().now_or_never().is_none());
    tasks.run_until(counts.idle()).await;
    assert_eq!((counts.drained(), counts.dropped()), (2, 0));
    // Without its driver a stream is closed at once.
    drop(tasks);
    drop(begun(&layer, &probe).await);
    counts.idle().await;
    assert_eq!(counts.dropped(), 1);
}

//! What the layer does, with the time paused.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use ziggurat_core::{
    Clock, Clocked, Deployment, Error, ErrorKind, Item, LlmRequest, LlmResponse, Routed,
};
use ziggurat_hold_back::{HoldBack, HoldBackLayer};
use ziggurat_testkit::contract::{Answer, Ended, Probe, item};

fn routed() -> Routed<LlmRequest> {
    let deployment = Arc::new(Deployment::new("a", "gpt", "m"));
    Routed::new(LlmRequest::chat("gpt", "hi"), deployment)
}

async fn ask(hold: HoldBack, probe: &Probe) -> Result<LlmResponse, Error> {
    let service = HoldBackLayer::new(hold).layer(probe.clone());
    service.oneshot(routed()).await
}

/// A stream of items of four bytes, one a second.
fn a_second_each(items: u32) -> LlmResponse {
    let items = stream::iter(0..items).then(|number| async move {
        if number > 0 {
            sleep(Duration::from_secs(1)).await;
        }
        Ok(Item {
            bytes: format!("{number:04}").into(),
            events: 1,
            usage: None,
            ..Item::default()
        })
    });
    LlmResponse::stream(Box::pin(items))
}

/// After how many seconds an answer of ten such items begins.
async fn begins_after(hold: HoldBack) -> u64 {
    let service = HoldBackLayer::new(hold).layer(service_fn(|_: Routed<LlmRequest>| async {
        Ok::<_, Error>(a_second_each(10))
    }));
    let began = Instant::now();
    let response = service.oneshot(routed()).await.expect("answers");
    let after = began.elapsed().as_secs();
    let (_, items) = response.into_parts();
    let read: Vec<_> = items
        .map(|item| item.expect("is one").bytes)
        .collect()
        .await;
    let all: Vec<_> = (0..10).map(|number| format!("{number:04}")).collect();
    assert_eq!(read, all, "all of it, in order");
    after
}

#[tokio::test(start_paused = true)]
async fn an_answer_begins_when_its_events_or_bytes_or_its_end_are_there() {
    for (hold, after) in [
        (HoldBack::none(), 0),
        (HoldBack::events(1), 0),
        (HoldBack::events(4), 3),
        (HoldBack::events(99), 9),
        (HoldBack::all(), 9),
        (HoldBack::all().max_bytes(8), 1),
        (HoldBack::all().max_bytes(0), 0),
    ] {
        assert_eq!(begins_after(hold).await, after, "{hold:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_in_what_is_held_back_is_a_failed_attempt() {
    let probe = Probe::new().with_answer(Answer::stream(2).breaking(ErrorKind::StreamBroken));
    for hold in [HoldBack::events(3), HoldBack::all()] {
        let error = ask(hold, &probe).await.expect_err("breaks");
        assert_eq!(error.kind(), ErrorKind::StreamBroken);
    }
    assert_eq!(probe.live(), 0, "it is closed");
    let broken = Ended::Failed(ErrorKind::StreamBroken);
    assert_eq!(probe.ends(), [broken, broken]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_later_breaks_for_its_reader() {
    let probe = Probe::new().with_answer(Answer::stream(2).breaking(ErrorKind::StreamBroken));
    let response = ask(HoldBack::events(2), &probe).await.expect("answers");
    let (_, items) = response.into_parts();
    let read: Vec<_> = items.collect().await;
    assert_eq!(read.len(), 3);
    let error = read[2].as_ref().expect_err("breaks");
    assert_eq!(error.kind(), ErrorKind::StreamBroken);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_in_what_is_held_back_is_ended_by_its_idle_clock() {
    let service = ServiceBuilder::new()
        .layer(HoldBackLayer::new(HoldBack::all()))
        .map_response(|mut response: LlmResponse| {
            response.limit_idle(Duration::from_secs(30));
            response
        })
        .service(Probe::new().with_answer(Answer::stream(2).hanging()));
    let began = Instant::now();
    let error = service.oneshot(routed()).await.expect_err("is silent");
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Idle));
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_while_it_is_held_back_closes_the_stream() {
    let probe = Probe::new().with_answer(Answer::stream(2).hanging());
    let mut waiting = Box::pin(ask(HoldBack::all(), &probe));
    assert!((&mut waiting).now_or_never().is_none());
    assert_eq!((probe.live(), probe.ends().len()), (1, 0));
    drop(waiting);
    assert_eq!((probe.live(), probe.ends()), (0, vec![Ended::Abandoned]));
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_settles_when_it_has_been_read() {
    let probe = Probe::new().with_answer(Answer::stream(2));
    let response = ask(HoldBack::all(), &probe).await.expect("answers");
    assert!(probe.ends().is_empty());
    let (_, mut items) = response.into_parts();
    for number in 0..2 {
        let read = items.next().await.expect("is there").expect("is fine");
        assert_eq!(read.bytes, item(number, 2).bytes);
    }
    assert!(items.next().await.is_none());
    assert_eq!(probe.ends(), [Ended::Complete]);
    assert_eq!(items.usage(), item(1, 2).usage.as_ref());
}

#[tokio::test(start_paused = true)]
async fn each_request_says_how_much() {
    let layer = HoldBackLayer::with_extractor(|request: &Routed<LlmRequest>| {
        match request.request().group().as_str() {
            "careful" => HoldBack::all(),
            _ => HoldBack::none(),
        }
    });
    let probe = Probe::new().with_answer(Answer::stream(1).breaking(ErrorKind::Internal));
    for (group, begins) in [("careful", false), ("quick", true)] {
        let deployment = Arc::new(Deployment::new("a", group, "m"));
        let request = Routed::new(LlmRequest::chat(group, "hi"), deployment);
        let answer = layer.layer(probe.clone()).oneshot(request).await;
        assert_eq!(answer.is_ok(), begins, "{group}");
    }
}

#[tokio::test]
async fn what_is_no_stream_is_not_held_back() {
    let probe = Probe::new();
    let response = ask(HoldBack::all(), &probe).await.expect("answers");
    assert!(!response.is_stream());
    let plain = HoldBackLayer::new(HoldBack::all());
    let plain = plain.layer(service_fn(|_: Routed<&'static str>| async {
        Ok::<_, Error>("plain")
    }));
    let request = Routed::new("any", Arc::clone(routed().deployment()));
    assert_eq!(plain.oneshot(request).await.expect("answers"), "plain");
}

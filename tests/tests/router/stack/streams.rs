//! A stream is an attempt until its end.

use futures_util::{StreamExt as _, future::join_all};
use tokio::time::sleep;
use ziggurat::{Clock, ErrorKind, Outcome, cooldown::State};

use crate::stack::{
    leaf::{Leaf, Step},
    support::{read, router, secs, send, streamed},
};

const FIRST_THEN_SECOND: [(&str, &[&str]); 1] = [("gpt", &["a order: 1", "b order: 2"])];

fn is_closed(router: &ziggurat::Router, id: &str) -> bool {
    router.cooldown().state(&id.into()) == State::Closed
}

#[tokio::test(start_paused = true)]
async fn streams_that_break_after_their_first_item_rest_the_deployment() {
    let leaf = Leaf::default();
    leaf.always("a", Step::breaking(1));
    leaf.always("b", Step::stream(3));
    let router = router(&leaf, &FIRST_THEN_SECOND, "");
    for _ in 0..3 {
        assert!(is_closed(&router, "a"));
        let sent = send(&router, streamed()).await;
        let end = read(sent.result.expect("answers")).await;
        assert_eq!(end, (1, Some(ErrorKind::StreamBroken)));
    }
    assert!(!is_closed(&router, "a"), "three in a row are enough");
    let sent = send(&router, streamed()).await;
    assert_eq!(read(sent.result.expect("answers")).await, (3, None));
    assert_eq!(leaf.order().concat(), "aaab", "nothing was sent again");
}

#[tokio::test(start_paused = true)]
async fn streams_that_fall_silent_rest_the_deployment_too() {
    let leaf = Leaf::default();
    leaf.always("a", Step::silent(2));
    let router = router(
        &leaf,
        &FIRST_THEN_SECOND,
        "ziggurat_settings: {idle_timeout: 5}",
    );
    for _ in 0..3 {
        let sent = send(&router, streamed()).await;
        let end = read(sent.result.expect("answers")).await;
        assert_eq!(end, (2, Some(ErrorKind::Timeout(Clock::Idle))));
    }
    assert!(!is_closed(&router, "a"));
    assert_eq!((router.in_flight(), leaf.live()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn streams_that_nobody_reads_to_their_end_speak_against_no_deployment() {
    let leaf = Leaf::default();
    leaf.always("a", Step::breaking(5));
    let router = router(&leaf, &FIRST_THEN_SECOND, "");
    for _ in 0..20 {
        let sent = send(&router, streamed()).await;
        let (_, mut items) = sent.result.expect("answers").into_parts();
        assert!(items.next().await.is_some_and(|item| item.is_ok()));
    }
    assert!(is_closed(&router, "a"));
    assert_eq!(leaf.order().concat(), "a".repeat(20));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_in_flight_until_its_end_and_not_longer() {
    let leaf = Leaf::default();
    leaf.always("a", Step::stream(4));
    let router = router(&leaf, &[("gpt", &["a"])], "");
    let sent = send(&router, streamed()).await;
    let (_, mut items) = sent.result.expect("answers").into_parts();
    for _ in 0..4 {
        assert_eq!(router.in_flight(), 1);
        assert!(items.next().await.is_some());
    }
    assert_eq!(router.in_flight(), 1, "the end has not been seen");
    assert!(items.next().await.is_none());
    assert_eq!((router.in_flight(), leaf.live()), (0, 0));
    drop(items);
    assert_eq!(router.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_is_settled_as_it_breaks() {
    let leaf = Leaf::default();
    leaf.always("a", Step::breaking(2));
    let router = router(&leaf, &[("gpt", &["a"])], "");
    let request = streamed();
    let ledger = crate::stack::support::ledger(&request);
    let sent = send(&router, request).await;
    let (_, mut items) = sent.result.expect("answers").into_parts();
    while items.next().await.is_some_and(|item| item.is_ok()) {}
    assert_eq!((router.in_flight(), leaf.live()), (0, 0));
    let outcome = ledger.trail().entries()[0].outcome();
    assert_eq!(outcome, Outcome::Failed(ErrorKind::StreamBroken));
}

#[tokio::test(start_paused = true)]
async fn a_stream_keeps_its_turn_in_the_queue_until_its_end() {
    let leaf = Leaf::default();
    leaf.always("a", Step::stream(6));
    let router = router(
        &leaf,
        &[("gpt", &["a"])],
        "ziggurat_settings: {queue: {capacity: 1}}",
    );
    let one = async || {
        let sent = send(&router, streamed()).await;
        read(sent.result.expect("answers")).await
    };
    let all = join_all((0..3).map(|_| one())).await;
    assert!(all.iter().all(|end| *end == (6, None)));
    let calls = leaf.calls();
    for two in calls.windows(2) {
        assert!(two[1].at - two[0].at >= secs(5), "{calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_item_is_tried_again_and_never_seen() {
    let leaf = Leaf::default();
    leaf.always("a", Step::fail(ErrorKind::StreamBroken).after(700));
    leaf.always("b", Step::stream(3));
    let router = router(&leaf, &FIRST_THEN_SECOND, "");
    for _ in 0..5 {
        let sent = send(&router, streamed()).await;
        assert_eq!(read(sent.result.expect("answers")).await, (3, None));
        sleep(secs(60)).await;
    }
}

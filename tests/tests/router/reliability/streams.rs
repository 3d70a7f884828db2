//! What is done about streams that break, and those that nobody reads on.

use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use ziggurat_testkit::provider::{Step, healthy_text};
use ziggurat_tests::VirtualWorld;

use crate::{
    reliability::support::{asked, assert_idle, counts, streams},
    support::{millis, secs, world},
};

const TIERS: [(&str, &[&str]); 1] = [("gpt", &["a order: 1", "b order: 2"])];

fn streaming(settings: &str) -> VirtualWorld {
    world(
        &TIERS,
        &format!("ziggurat_settings: {{idle_timeout: 5, streams: {{{settings}}}}}"),
    )
}

/// The ways in which a stream may break after so many events.
fn broken(events: usize) -> [Step; 4] {
    let error = json!({"message": "overloaded", "type": "server_error"});
    let step = || Step::ok().words(30).chunk_delay(millis(50));
    [
        step().cut_after(events),
        step().end_after(events),
        step().stall_after(events, None),
        step().stream_error_after(events, error),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_breaks_while_it_is_held_back_is_never_seen() {
    for (path, body) in streams() {
        for (hold, events) in [("4", 1), ("4", 3), ("all", 1), ("all", 29)] {
            for step in broken(events) {
                let world = streaming(&format!("on_break: fail, hold_back: {hold}"));
                world.providers.script("a", step);
                world.providers.script("b", Step::ok().words(30));
                let reply = world.post(path, &body).await;
                assert!(reply.is_whole_stream(), "{path}: {}", reply.text);
                assert_eq!(asked(&reply), "ab", "{path}, {hold}, {events}");
                assert!(!reply.text.contains("from a"), "{}", reply.text);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_breaks_after_that_ends_in_an_error() {
    for (path, body) in streams() {
        for step in broken(6) {
            let world = streaming("on_break: fail, hold_back: 4");
            world.providers.script("a", step);
            let reply = world.post(path, &body).await;
            assert!(reply.ends_in_error(), "{path}: {}", reply.text);
            assert!(reply.text.contains("w5") && !reply.text.contains("[DONE]"));
            assert_eq!(counts(&world, ["a", "b"]), [1, 0]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_shorter_than_what_is_held_back_comes_whole() {
    for (path, body) in streams() {
        for hold in ["2", "100", "all"] {
            let world = streaming(&format!("hold_back: {hold}"));
            world.providers.script("a", Step::ok().words(3));
            let reply = world.post(path, &body).await;
            assert!(reply.is_whole_stream(), "{path}: {}", reply.text);
            assert!(reply.text.contains("from a") && reply.text.contains("w2"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_client_hangs_up_is_read_to_its_end_where_that_is_wanted() {
    for (path, body) in streams() {
        for drained in [true, false] {
            let world = streaming(&format!("drain_on_cancel: {drained}"));
            let mut background = JoinSet::new();
            background.spawn(world.router.background().expect("is there once"));
            let step = Step::ok().words(20).chunk_delay(secs(1));
            world.providers.script("a", step);
            let mut answer = world.begin(path, &body, &[]).await;
            assert!(answer.next().await.is_some());
            sleep(secs(3)).await;
            drop(answer);
            if !drained {
                assert_idle(&world, &["a"]).await;
            } else {
                assert_eq!(world.router.in_flight(), 1, "it counts until its end");
                sleep(secs(30)).await;
                assert_idle(&world, &["a"]).await;
            }
            let call = world.providers.calls("a").remove(0);
            assert_eq!((call.finished, call.hung_up.is_none()), (drained, drained));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_drained_keeps_to_its_clocks() {
    let world = streaming("drain_on_cancel: true, on_break: fail");
    let mut background = JoinSet::new();
    background.spawn(world.router.background().expect("is there once"));
    world.providers.script("a", Step::ok().stall_after(2, None));
    let (path, body) = streams().remove(0);
    let mut answer = world.begin(path, &body, &[]).await;
    let (_, first) = answer.next().await.expect("has begun");
    assert!(first.contains(&healthy_text("a", 1)));
    drop(answer);
    sleep(secs(6)).await;
    assert_idle(&world, &["a"]).await;
    assert_eq!(
        world.providers.hung_up("a"),
        1,
        "after five seconds of silence"
    );
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_is_drained_is_waited_for_so_long() {
    for (limit, is_whole) in [(100, true), (5, false)] {
        let world = streaming("drain_on_cancel: true");
        let mut background = JoinSet::new();
        background.spawn(world.router.background().expect("is there once"));
        let step = Step::ok().words(20).chunk_delay(secs(1));
        world.providers.script("a", step);
        let (path, body) = streams().remove(0);
        let mut answer = world.begin(path, &body, &[]).await;
        assert!(answer.next().await.is_some());
        drop(answer);
        let began = Instant::now();
        world.router.end_background(secs(limit)).await;
        let took = began.elapsed().as_secs();
        assert_eq!(took >= 15, is_whole, "{took} s");
        let ended = background.join_next().await;
        ended.expect("ran").expect("does not panic");
        assert!(began.elapsed() < secs(limit + 5));
        let call = world.providers.calls("a").remove(0);
        assert_eq!(
            (call.finished, call.hung_up.is_none()),
            (is_whole, is_whole)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_run_has_ended() {
    let world = streaming("drain_on_cancel: true");
    let began = Instant::now();
    world.router.end_background(secs(100)).await;
    assert!(began.elapsed() < secs(1));
}

//! Whoever hangs up closes the call to the provider, wherever the request is.

use std::future::Future;

use tokio::time::{Instant, sleep, timeout};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::VirtualWorld;

use crate::{
    reliability::support::{assert_idle, shapes, streams},
    support::{secs, world},
};

/// Waits for so long and hangs up; then the call to `a` is closed at once.
async fn hang_up_after<T>(world: &VirtualWorld, time: u64, request: impl Future<Output = T>) {
    let waited = timeout(secs(time), request).await;
    assert!(waited.is_err(), "it is not answered");
    assert_closed(world, Instant::now()).await;
}

/// The only call to `a` was closed at that time.
async fn assert_closed(world: &VirtualWorld, at: Instant) {
    assert_idle(world, &["a"]).await;
    let calls = world.providers.calls("a");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].hung_up, Some(at), "at once");
    assert!(!calls[0].finished);
}

#[tokio::test(start_paused = true)]
async fn in_the_queue_nothing_is_sent() {
    for (path, body) in shapes() {
        let settings = "ziggurat_settings: {queue: {capacity: 1}, streams: {keep_alive: off}}";
        let world = world(&[("gpt", &["a"])], settings);
        world.providers.script("a", [Step::ok().hang(), Step::ok()]);
        let mut holder = Box::pin(world.begin(path, &body, &[]));
        assert!(timeout(secs(1), &mut holder).await.is_err());
        let waited = timeout(secs(1), world.begin(path, &body, &[])).await;
        assert!(waited.is_err(), "it waits for its turn");
        assert_eq!(world.providers.count("a"), 1);
        drop(holder);
        assert_closed(&world, Instant::now()).await;
        // Its place is free.
        let next = timeout(secs(1), world.post(path, &body)).await;
        assert_eq!(next.expect("comes at once").status, 200);
        assert_eq!(world.providers.count("a"), 2, "who hung up was not sent");
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_back_off_nothing_is_sent_any_more() {
    for (path, body) in shapes() {
        let world = world(&[("gpt", &["a"])], "");
        let throttled = Step::status(429).retry_after(7);
        world.providers.script("a", throttled);
        let waited = timeout(secs(4), world.begin(path, &body, &[])).await;
        assert!(waited.is_err(), "it waits to try again");
        assert_idle(&world, &["a"]).await;
        sleep(secs(600)).await;
        assert_eq!(world.providers.count("a"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_headers_the_call_is_closed() {
    for (path, body) in shapes() {
        let world = world(&[("gpt", &["a"])], "");
        world.providers.script("a", Step::ok().delay(secs(60)));
        hang_up_after(&world, 4, world.begin(path, &body, &[])).await;
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_first_token_the_call_is_closed() {
    for (path, body) in streams() {
        let world = world(&[("gpt", &["a"])], "");
        let step = Step::ok().role_chunk_first().first_token_delay(secs(60));
        world.providers.script("a", step);
        hang_up_after(&world, 4, world.begin(path, &body, &[])).await;
    }
}

#[tokio::test(start_paused = true)]
async fn while_comments_keep_the_connection_alive_the_call_is_closed() {
    for (path, body) in streams() {
        for pieces in 0..3 {
            let world = world(&[("gpt", &["a"])], "");
            world.providers.script("a", Step::ok().hang());
            let mut answer = world.begin(path, &body, &[]).await;
            for _ in 0..pieces {
                let (_, piece) = answer.next().await.expect("there is a comment");
                assert_eq!(piece, ": keep-alive\n\n");
            }
            sleep(secs(1)).await;
            assert_eq!(world.providers.in_flight("a"), 1);
            drop(answer);
            assert_closed(&world, Instant::now()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn in_the_body_the_call_is_closed() {
    for (path, body) in streams() {
        for pieces in 0..4 {
            let world = world(&[("gpt", &["a"])], "");
            let step = Step::ok().words(100).chunk_delay(secs(1));
            world.providers.script("a", step);
            let mut answer = world.begin(path, &body, &[]).await;
            for _ in 0..pieces {
                assert!(answer.next().await.is_some());
            }
            drop(answer);
            assert_closed(&world, Instant::now()).await;
        }
    }
}

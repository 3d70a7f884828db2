//! What the layer and its driver do, with the time paused.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    task::{LocalSet, yield_now},
    time::{Instant, sleep},
};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use ziggurat_core::{
    Clock, Deployment, Error, ErrorKind, HasLedger, LlmRequest, LlmResponse, Operation,
    ReadOptions, Routed, Scope,
};
use ziggurat_mirror::{IsMirrored, MirrorLayer, MirrorService, Mirrored};
use ziggurat_testkit::contract::{Answer, Ended, Probe};

fn some(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("is over zero")
}

fn mirror(capacity: usize) -> (MirrorLayer<LlmRequest>, Mirrored<LlmRequest>) {
    MirrorLayer::new(some(capacity))
}

fn routed(mirrors: &[&str]) -> Routed<LlmRequest> {
    let deployment = Deployment::new("a", "gpt", "m").with_mirrors(mirrors.iter().copied());
    Routed::new(LlmRequest::chat("gpt", "hi"), Arc::new(deployment))
}

fn over(layer: &MirrorLayer<LlmRequest>, answer: Answer) -> MirrorService<Probe, LlmRequest> {
    ServiceBuilder::new()
        .layer(layer.clone())
        .service(Probe::new().with_answer(answer))
}

/// Sends requests that are mirrored, and waits for nothing but their answers.
async fn send(layer: &MirrorLayer<LlmRequest>, requests: usize) {
    let service = over(layer, Answer::complete());
    for _ in 0..requests {
        let request = routed(&["b"]);
        service.clone().oneshot(request).await.expect("answers");
    }
}

/// Takes every copy out of a queue whose layer is gone.
async fn copies(mirrored: Mirrored<LlmRequest>) -> Vec<LlmRequest> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|copy: LlmRequest| {
        seen.lock().push(copy);
        std::future::ready(Ok::<_, Error>(LlmResponse::complete("{}", None)))
    });
    mirrored.run(service, some(4)).await;
    std::mem::take(&mut *seen.lock())
}

#[tokio::test]
async fn each_mirror_gets_a_copy_of_a_request_that_was_answered() {
    let (layer, mirrored) = mirror(10);
    let request = routed(&["b", "c"]);
    let service = over(&layer, Answer::complete());
    service.oneshot(request.clone()).await.expect("answers");
    drop(layer);
    let copies = copies(mirrored).await;
    let groups: Vec<_> = copies.iter().map(|copy| copy.group().as_str()).collect();
    assert_eq!(groups, ["b", "c"]);
    assert!(
        copies
            .iter()
            .all(|copy| copy.body() == request.request().body())
    );
    assert_eq!(request.request().group().as_str(), "gpt");
}

#[tokio::test]
async fn a_copy_draws_on_nothing_of_the_original_and_says_that_it_is_one() {
    let (layer, mirrored) = mirror(10);
    let original = routed(&["b"]);
    let ledger = original.request().ledger().expect("has one");
    ledger.set_attempts(0);
    ledger.limit(Instant::now());
    let service = over(&layer, Answer::complete());
    service.oneshot(original.clone()).await.expect("answers");
    drop(layer);
    let copies = copies(mirrored).await;
    let fresh = copies[0].ledger().expect("has one");
    assert_eq!(fresh.deadline(), None);
    assert!(fresh.attempts_left() > 0);
    assert_eq!(
        copies[0].extensions().get::<IsMirrored>(),
        Some(&IsMirrored)
    );
    assert_eq!(original.request().extensions().get::<IsMirrored>(), None);
}

#[tokio::test]
async fn a_copy_has_nothing_of_the_credentials_that_a_client_brought() {
    let (layer, mirrored) = mirror(10);
    let body = r#"{"model":"gpt","api_key":"sk-canary","api_base":"https://x.example.com"}"#;
    let options = ReadOptions::new().client_credentials(true);
    let request = LlmRequest::read(Operation::ChatCompletions, body, options).expect("is valid");
    assert!(request.controls().client.is_some());
    let request = Routed::new(request, Arc::clone(routed(&["b"]).deployment()));
    let service = over(&layer, Answer::complete());
    service.oneshot(request).await.expect("answers");
    drop(layer);
    assert_eq!(copies(mirrored).await[0].controls().client, None);
}

#[tokio::test]
async fn a_copy_is_not_copied_again() {
    let (layer, mirrored) = mirror(10);
    let service = over(&layer, Answer::complete());
    let mut request = routed(&["b"]).request().clone();
    request.extensions_mut().insert(IsMirrored);
    let request = Routed::new(request, Arc::clone(routed(&["b"]).deployment()));
    service.oneshot(request).await.expect("answers");
    drop(layer);
    assert!(copies(mirrored).await.is_empty());
}

#[tokio::test]
async fn without_mirrors_or_without_an_answer_nothing_is_copied() {
    let (layer, mirrored) = mirror(10);
    for (answer, mirrors) in [
        (Answer::complete(), &[][..]),
        (Answer::error(ErrorKind::Overloaded), &["b"]),
        (Answer::busy(Scope::Deployment), &["b"]),
    ] {
        let _ = over(&layer, answer).oneshot(routed(mirrors)).await;
    }
    drop(layer);
    assert!(copies(mirrored).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_cancelled_before_its_answer_is_not_copied() {
    let (layer, mirrored) = mirror(10);
    let slow = over(&layer, Answer::complete().after(Duration::from_secs(60)));
    let cut = tokio::time::timeout(Duration::from_secs(1), slow.oneshot(routed(&["b"])));
    cut.await.expect_err("is cancelled");
    drop(layer);
    assert!(copies(mirrored).await.is_empty());
}

#[tokio::test]
async fn a_stream_is_copied_when_it_begins() {
    let (layer, mirrored) = mirror(10);
    let response = over(&layer, Answer::stream(2))
        .oneshot(routed(&["b"]))
        .await;
    drop(layer);
    assert_eq!(copies(mirrored).await.len(), 1);
    assert!(response.expect("answers").is_stream());
}

#[tokio::test]
async fn a_full_queue_drops_copies_and_counts_them_and_nobody_waits() {
    let (layer, mirrored) = mirror(3);
    send(&layer, 10).await;
    assert_eq!(layer.dropped(), 7);
    drop(layer);
    assert_eq!(copies(mirrored).await.len(), 3);
}

#[tokio::test]
async fn without_a_driver_every_copy_is_dropped() {
    let (layer, mirrored) = mirror(3);
    drop(mirrored);
    send(&layer, 10).await;
    assert_eq!(layer.dropped(), 10);
}

#[tokio::test]
async fn only_the_share_is_mirrored_within_three_sigma() {
    fastrand::seed(12);
    let (layer, mirrored) = mirror(10_000);
    let layer = layer.share(0.3).expect("is a share");
    send(&layer, 5_000).await;
    drop(layer);
    let share = copies(mirrored).await.len() as f64;
    let sigma = (5_000.0_f64 * 0.3 * 0.7).sqrt();
    assert!((share - 1_500.0).abs() <= 3.0 * sigma, "{share}");

    let (layer, mirrored) = mirror(10);
    send(&layer.share(0.0).expect("is a share"), 100).await;
    assert!(copies(mirrored).await.is_empty());
}

#[test]
fn a_share_is_from_0_to_1() {
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        mirror(1).0.share(share).expect_err("is no share");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_copies_are_in_flight_than_allowed() {
    let (layer, mirrored) = mirror(100);
    send(&layer, 20).await;
    drop(layer);
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let service = service_fn(|_: LlmRequest| async {
        most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
        sleep(Duration::from_secs(1)).await;
        now.fetch_sub(1, Relaxed);
        Ok::<_, Error>(LlmResponse::complete("{}", None))
    });
    let began = Instant::now();
    mirrored.run(service, some(4)).await;
    assert_eq!(most.load(Relaxed), 4);
    assert_eq!(began.elapsed().as_secs(), 5, "20 copies, 4 at a time");
}

#[tokio::test(start_paused = true)]
async fn answers_are_read_to_their_end() {
    let (layer, mirrored) = mirror(10);
    send(&layer, 3).await;
    drop(layer);
    let probe = Probe::new().with_script([
        Answer::stream(5),
        Answer::complete(),
        Answer::stream(1).breaking(ErrorKind::StreamBroken),
    ]);
    mirrored.run(probe.clone(), some(1)).await;
    let broken = Ended::Failed(ErrorKind::StreamBroken);
    assert_eq!(probe.ends(), [Ended::Complete, Ended::Complete, broken]);
    assert_eq!(probe.live(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_copy_ends_at_its_time_limit_also_in_the_middle_of_a_stream() {
    let (layer, mirrored) = mirror(10);
    send(&layer, 2).await;
    drop(layer);
    let probe = Probe::new().with_script([
        Answer::complete().after(Duration::from_secs(3_600)),
        Answer::stream(1).hanging(),
    ]);
    let began = Instant::now();
    let mirrored = mirrored.time_limit(Duration::from_secs(30));
    mirrored.run(probe.clone(), some(1)).await;
    assert_eq!(began.elapsed().as_secs(), 60);
    assert_eq!((probe.calls(), probe.live()), (2, 0));
    assert_eq!(probe.ends().last(), Some(&Ended::Abandoned));
}

#[tokio::test]
async fn neither_a_failure_nor_a_panic_of_the_mirror_ends_the_driver() {
    let (layer, mirrored) = mirror(10);
    send(&layer, 4).await;
    drop(layer);
    let calls = AtomicUsize::new(0);
    let service = service_fn(|_: LlmRequest| {
        let call = calls.fetch_add(1, Relaxed);
        assert_ne!(call, 0, "a panic in the call");
        async move {
            assert_ne!(call, 1, "a panic in the future");
            match call {
                2 => Err(Error::timeout(Clock::Total)),
                _ => Ok(LlmResponse::complete("{}", None)),
            }
        }
    });
    mirrored.run(service, some(1)).await;
    assert_eq!(calls.load(Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn the_original_neither_waits_for_the_mirror_nor_sees_it_fail() {
    let tasks = LocalSet::new();
    let (layer, mirrored) = mirror(10);
    let hangs = service_fn(|_: LlmRequest| std::future::pending::<Result<LlmResponse, Error>>());
    let driver = tasks.spawn_local(mirrored.run(hangs, some(1)));
    tasks
        .run_until(async {
            let began = Instant::now();
            send(&layer, 5).await;
            yield_now().await;
            send(&layer, 20).await;
            assert_eq!(began.elapsed(), Duration::ZERO);
            assert_eq!(layer.dropped(), 25 - 11, "one hangs and ten wait");
        })
        .await;
    assert!(!driver.is_finished());
}

#[tokio::test]
async fn the_driver_ends_when_the_layer_and_its_services_are_gone() {
    let (layer, mirrored) = mirror(10);
    let service = over(&layer, Answer::complete());
    drop(layer);
    let tasks = LocalSet::new();
    let probe = Probe::new();
    let driver = tasks.spawn_local(mirrored.run(probe.clone(), some(1)));
    tasks.run_until(yield_now()).await;
    assert!(!driver.is_finished(), "a service is still there");
    drop(service);
    tasks.run_until(driver).await.expect("ends");
}

#[tokio::test]
async fn a_closed_layer_lets_the_driver_end_after_what_is_in_the_queue() {
    let (layer, mirrored) = mirror(10);
    send(&layer, 2).await;
    layer.close();
    // The copies go through the layer itself, which keeps the queue open.
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let stack = over(&layer, Answer::complete());
    let stack = ServiceBuilder::new()
        .map_request(move |copy: LlmRequest| {
            count.fetch_add(1, Relaxed);
            Routed::new(copy, Arc::clone(routed(&["c"]).deployment()))
        })
        .service(stack);
    mirrored.run(stack, some(1)).await;
    assert_eq!(sent.load(Relaxed), 2);
    send(&layer, 1).await;
    assert_eq!(layer.dropped(), 1, "it is closed");
}

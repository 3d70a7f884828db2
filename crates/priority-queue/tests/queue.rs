//! The layer on a mock, with paused time.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{StreamExt, future::join_all, stream};
use parking_lot::Mutex;
use tokio::time::{Instant, advance, sleep};
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::{assert_request_eq, mock};
use ziggurat_core::{
    Clock, Error, ErrorKind, HasLedger, Item, Ledger, LlmRequest, LlmResponse, Priority, Reason,
};
use ziggurat_priority_queue::{PriorityQueueLayer, Rules};

#[tokio::test]
async fn what_has_high_priority_goes_second_after_fifty_low_ones() {
    let queue = queue(1);
    let served = Arc::new(Mutex::new(Vec::new()));
    let service = queue.layer(service_fn({
        let served = Arc::clone(&served);
        move |request: LlmRequest| {
            served.lock().push(priority(&request));
            async {
                tokio::task::yield_now().await;
                Ok::<_, Error>(LlmResponse::complete("{}", None))
            }
        }
    }));
    let low = (0..50).map(|_| with_priority(10));
    let requests = low.chain([with_priority(0)]);
    for answer in join_all(requests.map(|request| service.clone().oneshot(request))).await {
        answer.expect("is served");
    }
    assert_eq!(served.lock()[..3], [10, 0, 10]);
    assert_eq!(served.lock().len(), 51);
}

#[tokio::test(start_paused = true)]
async fn the_ledger_knows_how_long_a_request_has_waited() {
    let service = queue(1).layer(service_fn(|_: LlmRequest| async {
        sleep(Duration::from_secs(3)).await;
        Ok::<_, Error>(LlmResponse::complete("{}", None))
    }));
    let requests = [with_priority(0), with_priority(0)];
    let sent = requests
        .iter()
        .map(|it| service.clone().oneshot(it.clone()));
    for answer in join_all(sent).await {
        drop(answer.expect("is served"));
    }
    let waited = requests.map(|it| it.ledger().expect("has one").queued().as_secs());
    assert_eq!(waited, [0, 3]);
}

#[tokio::test]
async fn the_uncontended_go_at_once_and_the_others_when_one_is_settled() {
    let (mut service, mut inner) =
        mock::spawn_layer::<&str, &str, _>(queue(1).priority_by(no_priority));
    assert_ready_ok!(service.poll_ready());
    let mut first = task::spawn(service.call("first"));
    assert_pending!(first.poll());
    assert_ready_ok!(service.poll_ready(), "a full queue is ready all the same");
    let mut second = task::spawn(service.call("second"));
    assert_pending!(second.poll());

    assert_request_eq!(inner, "first").send_response("answer");
    assert_eq!(assert_ready_ok!(first.poll()), "answer");
    assert!(second.is_woken());
    assert_pending!(second.poll());
    assert_request_eq!(inner, "second").send_error(Error::new(ErrorKind::Internal, "down"));
    assert_eq!(assert_ready_err!(second.poll()).kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_failure_gives_the_turn_back_while_its_future_is_kept() {
    let layer = queue(1).priority_by(no_priority);
    let (mut service, mut inner) = mock::spawn_layer::<&str, &str, _>(layer.clone());
    let mut call = task::spawn(service.call("x"));
    assert_pending!(call.poll());
    assert_request_eq!(inner, "x").send_error(Error::new(ErrorKind::Internal, "down"));
    assert_ready_err!(call.poll());
    assert_eq!(layer.in_flight(), 0);
}

#[tokio::test]
async fn a_stream_keeps_its_turn_to_its_end_or_its_drop() {
    let layer = queue(1);
    let service = layer.layer(service_fn(|_: LlmRequest| async {
        let items = stream::iter([Ok(Item::default()), Ok(Item::default())]);
        Ok::<_, Error>(LlmResponse::stream(Box::pin(items)))
    }));
    for read_to_the_end in [true, false] {
        let request = LlmRequest::chat("gpt", "hi");
        let response = service.clone().oneshot(request).await.expect("answers");
        let (_, mut items) = response.into_parts();
        items.next().await;
        assert_eq!(layer.in_flight(), 1);
        if read_to_the_end {
            while items.next().await.is_some() {}
        } else {
            drop(items);
        }
        assert_eq!(layer.in_flight(), 0);
    }
}

#[tokio::test]
async fn who_hangs_up_in_the_queue_leaves_it_at_once() {
    let layer = queue(1).priority_by(no_priority);
    let (mut service, mut inner) = mock::spawn_layer::<&str, &str, _>(layer.clone());
    let mut first = task::spawn(service.call("first"));
    let mut gone = task::spawn(service.call("gone"));
    let mut third = task::spawn(service.call("third"));
    for call in [&mut first, &mut gone, &mut third] {
        assert_pending!(call.poll());
    }
    assert_eq!((layer.in_flight(), layer.waiting()), (1, 2));
    drop(gone);
    assert_eq!((layer.in_flight(), layer.waiting()), (1, 1));
    drop(first);
    assert!(third.is_woken());
    assert_pending!(third.poll());
    inner.next_request().await.expect("the first had begun");
    assert_request_eq!(inner, "third").send_response("answer");
    assert_ready_ok!(third.poll());
}

#[tokio::test]
async fn a_turn_given_to_one_that_has_just_hung_up_goes_to_the_next() {
    let layer = queue(1).priority_by(no_priority);
    let (mut service, _inner) = mock::spawn_layer::<&str, &str, _>(layer.clone());
    let mut holder = task::spawn(service.call("holder"));
    let mut gone = task::spawn(service.call("gone"));
    let mut next = task::spawn(service.call("next"));
    for call in [&mut holder, &mut gone, &mut next] {
        assert_pending!(call.poll());
    }
    drop(holder);
    assert!(gone.is_woken() && !next.is_woken());
    drop(gone);
    assert!(next.is_woken());
    assert_pending!(next.poll());
    assert_eq!((layer.in_flight(), layer.waiting()), (1, 0));
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let layer = by_rules(1, Rules::new().max_waiting(1)).priority_by(no_priority);
    let (mut service, _inner) = mock::spawn_layer::<&str, &str, _>(layer);
    let mut calls = ["runs", "waits", "refused"].map(|name| task::spawn(service.call(name)));
    let [runs, waits, refused] = &mut calls;
    assert_pending!(runs.poll());
    assert_pending!(waits.poll());
    let error = assert_ready_err!(refused.poll());
    assert_eq!(
        error.rejection().map(|r| r.reason()),
        Some(Reason::QueueFull)
    );
    assert_eq!(error.status(), 429);
}

#[tokio::test(start_paused = true)]
async fn who_would_come_too_late_is_told_at_once_and_when_to_come_again() {
    let service = queue(1).layer(answer_after(Duration::from_secs(2)));
    service
        .clone()
        .oneshot(LlmRequest::chat(
            "gpt",
            "teaches the queue how long a turn is",
        ))
        .await
        .expect("is served");
    let mut running = task::spawn(service.clone().oneshot(LlmRequest::chat("gpt", "hi")));
    assert_pending!(running.poll());

    let request = LlmRequest::chat("gpt", "hi");
    deadline_in(&request, Duration::from_secs(1));
    let mut late = task::spawn(service.clone().oneshot(request));
    let error = assert_ready!(late.poll()).expect_err("is refused");
    assert_eq!(
        error.rejection().map(|r| r.reason()),
        Some(Reason::Deadline)
    );
    assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));

    let request = LlmRequest::chat("gpt", "hi");
    deadline_in(&request, Duration::from_secs(3));
    let mut in_time = task::spawn(service.oneshot(request));
    assert_pending!(in_time.poll());
    running.await.expect("is served");
    in_time.await.expect("is served");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_in_the_queue_ends_the_wait() {
    let layer = queue(1);
    let service = layer.layer(answer_after(Duration::from_secs(60)));
    let mut running = task::spawn(service.clone().oneshot(LlmRequest::chat("gpt", "hi")));
    assert_pending!(running.poll());
    let request = LlmRequest::chat("gpt", "hi");
    deadline_in(&request, Duration::from_secs(1));
    let mut waits = task::spawn(service.oneshot(request));
    assert_pending!(waits.poll());
    advance(Duration::from_secs(1)).await;
    assert!(waits.is_woken());
    let error = assert_ready!(waits.poll()).expect_err("its time is up");
    assert_eq!(error.kind(), ErrorKind::Timeout(Clock::Total));
    assert_eq!(
        layer.waiting(),
        0,
        "its place is free while its future is kept"
    );
    drop(running);
    assert_eq!(layer.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_three_times_the_capacity_is_served_without_an_error() {
    let most = Arc::new(AtomicUsize::new(0));
    let layer = queue(10);
    let service = layer.layer(answer_after(Duration::from_secs(1)));
    let calls = (0..30).map(|_| {
        let request = LlmRequest::chat("gpt", "hi");
        deadline_in(&request, Duration::from_secs(5));
        let (service, layer, most) = (service.clone(), layer.clone(), Arc::clone(&most));
        async move {
            let answer = service.oneshot(request).await;
            most.fetch_max(layer.in_flight(), Relaxed);
            answer
        }
    });
    let start = Instant::now();
    for answer in join_all(calls).await {
        answer.expect("is served");
    }
    assert_eq!(start.elapsed().as_secs(), 3);
    assert!(most.load(Relaxed) <= 10);
    let stats = layer.stats();
    assert_eq!((stats.waits, stats.waited.as_secs()), (20, 30));
}

#[tokio::test]
async fn growing_lets_the_first_in_line_go_and_shrinking_cuts_nobody_short() {
    let layer = queue(1).priority_by(no_priority);
    let (mut service, mut inner) = mock::spawn_layer::<&str, &str, _>(layer.clone());
    let mut calls = ["a", "b", "c", "d"].map(|name| task::spawn(service.call(name)));
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    layer.set_capacity(NonZeroUsize::new(3).expect("is not zero"));
    assert_eq!(
        calls.each_ref().map(|call| call.is_woken()),
        [false, true, true, false]
    );
    for call in &mut calls[1..3] {
        assert_pending!(call.poll());
    }

    layer.set_capacity(NonZeroUsize::MIN);
    assert_eq!((layer.in_flight(), layer.waiting()), (3, 1));
    for (i, name) in ["a", "b", "c"].into_iter().enumerate() {
        assert!(!calls[3].is_woken());
        assert_request_eq!(inner, name).send_response("answer");
        assert_ready_ok!(calls[i].poll());
    }
    assert!(calls[3].is_woken());
}

#[tokio::test]
async fn services_of_one_layer_share_its_capacity() {
    let layer = queue(1).priority_by(no_priority);
    let (mut one, _inner) = mock::spawn_layer::<&str, &str, _>(layer.clone());
    let (mut other, _inner) = mock::spawn_layer::<&str, &str, _>(layer.clone());
    let mut first = task::spawn(one.call("first"));
    let mut second = task::spawn(other.call("second"));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_eq!((layer.in_flight(), layer.waiting()), (1, 1));
}

#[tokio::test]
async fn a_request_is_not_put_to_a_service_that_is_not_ready_and_keeps_its_turn() {
    let layer = queue(1).priority_by(no_priority);
    let (mut service, mut inner) = mock::spawn_layer::<&str, &str, _>(layer.clone());
    inner.allow(0);
    let mut call = task::spawn(service.call("x"));
    assert_pending!(call.poll());
    assert_eq!(layer.in_flight(), 1);
    inner.allow(1);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    assert_request_eq!(inner, "x").send_response("answer");
    assert_ready_ok!(call.poll());
}

fn queue(capacity: usize) -> PriorityQueueLayer {
    PriorityQueueLayer::new(NonZeroUsize::new(capacity).expect("is not zero"))
}

fn by_rules(capacity: usize, rules: Rules) -> PriorityQueueLayer {
    let capacity = NonZeroUsize::new(capacity).expect("is not zero");
    PriorityQueueLayer::with_rules(capacity, rules)
}

fn no_priority(_: &&'static str) -> Priority {
    Priority::default()
}

fn with_priority(priority: i64) -> LlmRequest {
    let mut request = LlmRequest::chat("gpt", "hi");
    request.controls_mut().priority = Some(priority);
    request
}

fn priority(request: &LlmRequest) -> i64 {
    request.controls().priority.expect("was set")
}

fn deadline_in(request: &LlmRequest, time: Duration) {
    request
        .ledger()
        .map(|ledger: &Ledger| ledger.limit(Instant::now() + time))
        .expect("has a ledger");
}

fn answer_after(
    time: Duration,
) -> impl Service<LlmRequest, Response = LlmResponse, Error = Error, Future: Send> + Clone {
    service_fn(move |_: LlmRequest| async move {
        sleep(time).await;
        Ok(LlmResponse::complete("{}", None))
    })
}

//! A gate for each key, capacities that change, and what the place in the stack means.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, assert_ready, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use ziggurat_core::{
    Deployment, DeploymentId, Error, HasLedger, LlmRequest, LlmResponse, ModelGroup, Reason,
    Routed, Scope,
};
use ziggurat_priority_queue::{Capacity, Class, PriorityQueueLayer, Rules};

const SECOND: Duration = Duration::from_secs(1);

fn group(request: &LlmRequest) -> ModelGroup {
    request.group().clone()
}

/// Two at a time for each group.
fn two(_: &ModelGroup) -> Option<Capacity> {
    Some(Capacity::new(2))
}

#[tokio::test(start_paused = true)]
async fn when_group_a_hangs_the_latency_of_group_b_is_unchanged() {
    let slowest_of_b = async |hangs: bool| {
        let queue = PriorityQueueLayer::keyed(group, two, Rules::new());
        let service = queue.layer(service_fn(move |request: LlmRequest| async move {
            let hangs = hangs && request.group().as_str() == "a";
            sleep(if hangs { 3_600 * SECOND } else { SECOND }).await;
            Ok::<_, Error>(LlmResponse::complete("{}", None))
        }));
        let mut hanging: Vec<_> = (0..50)
            .map(|_| task::spawn(service.clone().oneshot(LlmRequest::chat("a", "hi"))))
            .collect();
        for call in &mut hanging {
            assert_pending!(call.poll());
        }
        let calls = (0..20_u32).map(|number| {
            let service = service.clone();
            async move {
                sleep(number * SECOND / 2).await;
                let came = Instant::now();
                let request = LlmRequest::chat("b", "hi");
                service.oneshot(request).await.expect("is served");
                came.elapsed()
            }
        });
        join_all(calls).await.into_iter().max()
    };
    assert_eq!(slowest_of_b(true).await, slowest_of_b(false).await);
    assert_eq!(slowest_of_b(true).await, Some(SECOND));
}

#[tokio::test]
async fn each_key_has_a_gate_and_those_without_a_capacity_do_not_wait() {
    let queue = PriorityQueueLayer::keyed(
        group,
        |group: &ModelGroup| (group.as_str() != "open").then(|| Capacity::new(1)),
        Rules::new(),
    );
    let mut service = queue.layer(service_fn(never));
    let mut calls = ["a", "a", "b", "open", "open"]
        .map(|it| task::spawn(service.call(LlmRequest::chat(it, "hi"))));
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    let mut each: Vec<_> = queue
        .each()
        .into_iter()
        .map(|(group, stats)| (group.as_str().to_owned(), stats.in_flight, stats.waiting))
        .collect();
    each.sort_unstable();
    assert_eq!(each, [("a".to_owned(), 1, 1), ("b".to_owned(), 1, 0)]);
    assert_eq!((queue.in_flight(), queue.waiting()), (2, 1));
    let (stats, classes) = queue.overview();
    assert_eq!((stats.in_flight, stats.waiting), (2, 1));
    assert_eq!((stats, &classes), (queue.stats(), &queue.classes()));
    let [(None, of_all)] = classes[..] else {
        panic!("there is one, of no name")
    };
    assert_eq!(of_all.waiting, 1);
}

#[tokio::test]
async fn a_capacity_that_grows_lets_go_who_waits_and_one_may_lead_several_gates() {
    let capacity = Capacity::new(1);
    let led = capacity.clone();
    let queue =
        PriorityQueueLayer::keyed(group, move |_: &ModelGroup| Some(led.clone()), Rules::new());
    let mut service = queue.layer(service_fn(never));
    let mut calls =
        ["a", "a", "a", "b", "b"].map(|it| task::spawn(service.call(LlmRequest::chat(it, "hi"))));
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    capacity.set(2);
    let woken = calls.each_ref().map(|call| call.is_woken());
    assert_eq!(woken, [false, true, false, false, true]);
    for call in &mut calls {
        assert_pending!(call.poll());
    }
    assert_eq!((queue.in_flight(), queue.waiting()), (4, 1));
    capacity.set(0);
    assert_eq!((queue.in_flight(), queue.waiting()), (4, 1));
}

#[tokio::test]
async fn gates_that_nobody_uses_are_forgotten_and_others_are_not() {
    let queue = PriorityQueueLayer::keyed(group, two, Rules::new());
    let mut service = queue.layer(service_fn(never));
    let mut held = task::spawn(service.call(LlmRequest::chat("held", "hi")));
    assert_pending!(held.poll());
    for number in 0..10_000 {
        let mut call = task::spawn(service.call(LlmRequest::chat(&number.to_string(), "hi")));
        assert_pending!(call.poll());
    }
    assert!(queue.each().len() <= 4_096);
    assert_eq!(queue.in_flight(), 1);
    queue.retain(|group| group.as_str() == "held");
    assert_eq!(queue.each().len(), 1);
}

#[tokio::test]
async fn under_the_balancer_a_full_gate_refuses_the_attempt_and_not_the_request() {
    let rules = Rules::new().max_wait(Duration::ZERO);
    let queue = PriorityQueueLayer::keyed(
        |request: &Routed<LlmRequest>| request.deployment().id().clone(),
        |_: &DeploymentId| Some(Capacity::new(1)),
        rules,
    );
    let mut service = queue.layer(service_fn(|_: Routed<LlmRequest>| async {
        std::future::pending::<Result<LlmResponse, Error>>().await
    }));
    let to = |id: &str| {
        let deployment = Arc::new(Deployment::new(id, "gpt", "m"));
        Routed::new(LlmRequest::chat("gpt", "hi"), deployment)
    };
    let mut runs = task::spawn(service.call(to("one")));
    assert_pending!(runs.poll());
    let mut refused = task::spawn(service.call(to("one")));
    let error = assert_ready!(refused.poll()).expect_err("is full");
    let rejection = error.rejection().expect("is a refusal");
    assert_eq!(
        (rejection.reason(), rejection.scope()),
        (Reason::Busy, Scope::Attempt)
    );
    let mut other = task::spawn(service.call(to("other")));
    assert_pending!(other.poll());
    assert_eq!(queue.in_flight(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_try_again_of_an_admitted_request_goes_before_new_ones() {
    let queue =
        PriorityQueueLayer::keyed(group, |_: &ModelGroup| Some(Capacity::new(1)), Rules::new());
    let served = Arc::new(Mutex::new(Vec::new()));
    let service = queue.layer(service_fn({
        let served = Arc::clone(&served);
        move |request: LlmRequest| {
            served.lock().push(request.user().map(str::to_owned));
            async {
                sleep(SECOND).await;
                Ok::<_, Error>(LlmResponse::complete("{}", None))
            }
        }
    }));
    let from = |user: &str| {
        let body = format!(
            r#"{{"model": "gpt", "user": "{user}", "messages": [{{"role": "user", "content": "hi"}}]}}"#
        );
        LlmRequest::from_bytes(ziggurat_core::Operation::ChatCompletions, body)
            .expect("is a request")
    };
    let fallen_back = from("again");
    let ledger = fallen_back.ledger().expect("has one");
    let elsewhere = Arc::new(Deployment::new("elsewhere", "other", "m"));
    let attempt = ledger.attempt(&elsewhere).expect("may make one");
    attempt.fail(&Error::new(ziggurat_core::ErrorKind::Internal, "down"));
    ledger.note_fallback();
    let requests = [from("first"), from("second"), from("third"), fallen_back];
    let calls = requests.map(|request| service.clone().oneshot(request));
    for answer in join_all(calls).await {
        answer.expect("is served");
    }
    let served: Vec<String> = served.lock().drain(..).flatten().collect();
    assert_eq!(served, ["first", "again", "second", "third"]);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_for_as_long_as_its_class_may_leaves_with_a_time_to_come_again() {
    let classes = [Class::new("all", 0).max_wait(3 * SECOND)];
    let rules = Rules::new().classes(classes).expect("is one");
    let queue = PriorityQueueLayer::with_rules(NonZeroUsize::MIN, rules);
    let service = queue.layer(service_fn(|_: LlmRequest| async {
        sleep(60 * SECOND).await;
        Ok::<_, Error>(LlmResponse::complete("{}", None))
    }));
    let mut runs = task::spawn(service.clone().oneshot(LlmRequest::chat("gpt", "hi")));
    assert_pending!(runs.poll());
    // Nothing is known yet of how long a turn is, so it waits.
    let came = Instant::now();
    let request = LlmRequest::chat("gpt", "hi");
    let waits = service.clone().oneshot(request.clone());
    let error = waits.await.expect_err("has waited for too long");
    assert_eq!(came.elapsed(), 3 * SECOND);
    assert_eq!(error.rejection().map(|it| it.reason()), Some(Reason::Busy));
    assert_eq!(error.status(), 429);
    let queued = request.ledger().expect("has one").queued();
    assert_eq!(queued, 3 * SECOND);
    let (name, class) = &queue.classes()[0];
    assert_eq!(
        (name.as_deref(), class.expired, class.waiting),
        (Some("all"), 1, 0)
    );
    drop(runs);
    assert_eq!(queue.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_is_pushed_out_is_told_at_once_and_when_to_come_again() {
    let rules = Rules::new().max_waiting(1);
    let queue = PriorityQueueLayer::with_rules(NonZeroUsize::MIN, rules);
    let mut service = queue.layer(service_fn(|_: LlmRequest| async {
        sleep(2 * SECOND).await;
        Ok::<_, Error>(LlmResponse::complete("{}", None))
    }));
    service
        .call(with_priority(0))
        .await
        .expect("teaches the queue how long a turn is");
    let mut runs = task::spawn(service.call(with_priority(9)));
    let mut low = task::spawn(service.call(with_priority(5)));
    let mut high = task::spawn(service.call(with_priority(0)));
    for call in [&mut runs, &mut low, &mut high] {
        assert_pending!(call.poll());
    }
    assert!(low.is_woken());
    let error = assert_ready!(low.poll()).expect_err("was pushed out");
    let reason = error.rejection().map(|it| it.reason());
    assert_eq!(reason, Some(Reason::QueueFull));
    assert!(error.retry_after().is_some_and(|time| time >= 2 * SECOND));
    runs.await.expect("is never cut short");
    high.await.expect("is served");
}

async fn never(_: LlmRequest) -> Result<LlmResponse, Error> {
    std::future::pending().await
}

fn with_priority(priority: i64) -> LlmRequest {
    let mut request = LlmRequest::chat("gpt", "hi");
    request.controls_mut().priority = Some(priority);
    request
}

//! What is in flight, and how the load is spread.

use std::{
    future::pending,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::advance;
use tokio_test::{assert_pending, task};
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{
    Deployments, Error, HasLedger, Item, LlmRequest, LlmResponse, Outcome, Scope, Snapshot, Usage,
};
use ziggurat_load_balance::{Candidates, LeastBusy, LoadBalanceLayer, SimpleShuffle};

use crate::support::{Asked, Sent, balanced_with, in_order, member, refusal, request};

#[tokio::test(start_paused = true)]
async fn a_stream_is_in_flight_until_its_end() {
    let layer = LoadBalanceLayer::new(in_order(&["a"]), SimpleShuffle);
    let stack = balanced_with(&layer, &Asked::default(), async |_| {
        let items = stream::iter([Ok(Item::default()), Ok(Item::default())]);
        Ok(LlmResponse::stream(Box::pin(items)))
    });
    let in_flight = || layer.in_flight(&"a".into());
    let request = request();
    let response = stack
        .clone()
        .oneshot(request.clone())
        .await
        .expect("a serves");
    let trail = || request.ledger().map(|ledger| ledger.trail().to_string());
    assert_eq!(trail().as_deref(), Some("a=ok/0ms"));
    let (_, mut items) = response.into_parts();
    items.next().await;
    assert_eq!(in_flight(), 1);
    while items.next().await.is_some() {}
    assert_eq!(in_flight(), 0, "the end counts, not the drop");

    let response = stack.oneshot(self::request()).await.expect("a serves");
    assert_eq!(in_flight(), 1);
    drop(response);
    assert_eq!(in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_after_any_number_of_polls_a_request_leaves_nothing_behind() {
    for polls in 0..6 {
        let layer = LoadBalanceLayer::new(in_order(&["a", "b"]), SimpleShuffle);
        let stack = balanced_with(&layer, &Asked::default(), async |sent: Sent| {
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
            match sent.deployment().order() {
                Some(0) => Err(refusal(Scope::Attempt)),
                _ => Ok(LlmResponse::complete("fine", None)),
            }
        });
        let request = request();
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut answer = pin!(stack.oneshot(request.clone()));
            for _ in 0..polls {
                if answer.as_mut().poll(&mut context).is_ready() {
                    break;
                }
            }
        }
        let in_flight = [layer.in_flight(&"a".into()), layer.in_flight(&"b".into())];
        assert_eq!(in_flight, [0, 0], "after {polls} polls");
        let ledger = request.ledger().expect("it has one");
        let pending = ledger.with_trail(|trail| {
            let mut entries = trail.entries().iter();
            entries.any(|entry| entry.outcome() == Outcome::Pending)
        });
        assert!(!pending, "after {polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_in_flight_from_the_choice_so_that_a_burst_is_spread() {
    let deployments = Deployments::from_iter([member("a"), member("b"), member("c")]);
    let layer = LoadBalanceLayer::new(deployments, LeastBusy);
    let stack = layer.layer(service_fn(|_: Sent| {
        pending::<Result<LlmResponse, Error>>()
    }));
    let mut held = Vec::new();
    for _ in 0..9 {
        let mut answer = task::spawn(stack.clone().oneshot(request()));
        assert_pending!(answer.poll());
        held.push(answer);
    }
    for id in ["a", "b", "c"] {
        assert_eq!(layer.in_flight(&id.into()), 3, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_is_in_flight() {
    let deployments = Deployments::from_iter([member("a"), member("b")]);
    let layer = LoadBalanceLayer::new(deployments.clone(), LeastBusy);
    let stack = layer.layer(service_fn(|_: Sent| {
        pending::<Result<LlmResponse, Error>>()
    }));
    let mut held: Vec<_> = (0..4)
        .map(|_| task::spawn(stack.clone().oneshot(request())))
        .collect();
    for answer in &mut held {
        assert_pending!(answer.poll());
    }
    deployments.swap(Snapshot::new([member("new"), member("b")]));
    assert_eq!(layer.in_flight(&"b".into()), 2);
    let chosen = layer.choose(&request()).expect("one is chosen");
    assert_eq!(chosen.id().as_str(), "new");
    drop(held);
    assert_eq!(layer.in_flight(&"b".into()), 0);
}

#[tokio::test(start_paused = true)]
async fn all_services_of_a_layer_share_what_is_in_flight() {
    let deployments = Deployments::from_iter([member("a"), member("b")]);
    let layer = LoadBalanceLayer::new(deployments, LeastBusy);
    let mut held = Vec::new();
    for _ in 0..4 {
        let stack = layer.layer(service_fn(|_: Sent| {
            pending::<Result<LlmResponse, Error>>()
        }));
        let mut answer = task::spawn(stack.oneshot(request()));
        assert_pending!(answer.poll());
        held.push(answer);
    }
    assert_eq!(layer.in_flight(&"a".into()), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_used_counts_for_a_minute_and_refused_requests_do_not() {
    let used = Arc::new(Mutex::new(Vec::new()));
    let first_and_note = {
        let used = Arc::clone(&used);
        move |_: &LlmRequest, candidates: &Candidates<'_>| {
            let each = candidates.iter();
            *used.lock() = each.map(|c| (c.requests_used(), c.tokens_used())).collect();
            candidates.iter().next().map(|c| c.index())
        }
    };
    let deployments = Deployments::from_iter([member("a"), member("b")]);
    let layer = LoadBalanceLayer::new(deployments, first_and_note);
    let stack = layer.layer(service_fn(async |sent: Sent| {
        match sent.deployment().id().as_str() {
            "a" => Err(refusal(Scope::Attempt)),
            _ => Ok(LlmResponse::complete("fine", Some(Usage::new(3, 4)))),
        }
    }));
    for _ in 0..2 {
        stack.clone().oneshot(request()).await.expect("b serves");
    }
    layer.choose(&request()).expect("one is chosen");
    assert_eq!(*used.lock(), [(0, 0), (2, 14)]);
    advance(Duration::from_secs(60)).await;
    layer.choose(&request()).expect("one is chosen");
    assert_eq!(*used.lock(), [(0, 0), (0, 0)]);
}

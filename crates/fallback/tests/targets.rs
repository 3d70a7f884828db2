//! Targets that change the request.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use tower::{ServiceBuilder, ServiceExt};
use ziggurat_core::{
    Error,
    ErrorKind::{BadRequest, Internal},
    FallbackTarget, HasLedger, Ledger, LlmRequest, ReadOptions, Unrouted,
};
use ziggurat_fallback::{FallbackLayer, FallbackLists, Redirect};

fn target(fields: serde_json::Value) -> FallbackTarget {
    FallbackTarget::from_json(fields, ReadOptions::new()).expect("is a target")
}

/// Fails as every group, and keeps what it was asked.
async fn bodies(lists: FallbackLists, request: &LlmRequest) -> Vec<(String, String)> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keeps = Arc::clone(&seen);
    let inner = tower::service_fn(move |request: LlmRequest| {
        let group = request.group().to_string();
        let body = String::from_utf8(request.body().to_vec()).expect("is text");
        keeps.lock().push((group, body));
        async { Err::<(), _>(Error::new(Internal, "failed")) }
    });
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(lists))
        .service(inner);
    assert!(service.oneshot(request.clone()).await.is_err());
    std::mem::take(&mut *seen.lock())
}

#[tokio::test]
async fn a_target_changes_the_request_and_the_next_one_sees_nothing_of_it() {
    let targets = [
        target(json!({"model": "b", "temperature": 0, "timeout": 3})),
        target(json!({"model": "a", "top_k": 1})),
        target(json!("c")),
    ];
    let lists = FallbackLists::new().general([("a", targets)]);
    let seen = bodies(lists, &LlmRequest::chat("a", "hi")).await;
    let has = |at: usize, name: &str| seen[at].1.contains(name);
    let groups: Vec<_> = seen.iter().map(|(group, _)| &**group).collect();
    assert_eq!(groups, ["a", "b", "a", "c"]);
    assert!(has(1, "temperature") && !has(1, "top_k"));
    assert!(has(2, "top_k") && !has(2, "temperature"));
    assert_eq!(seen[3].1, seen[0].1);
}

/// A request that has no fields to override.
#[derive(Clone)]
struct Plain(Arc<str>, Ledger);

impl HasLedger for Plain {
    fn ledger(&self) -> Option<&Ledger> {
        Some(&self.1)
    }
}

impl Unrouted for Plain {}

impl Redirect for Plain {
    fn group(&self) -> &str {
        &self.0
    }

    fn redirect(self, group: &Arc<str>) -> Self {
        Self(Arc::clone(group), self.1)
    }
}

#[tokio::test]
async fn a_target_whose_overrides_do_not_fit_is_skipped() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let keeps = Arc::clone(&asked);
    let inner = tower::service_fn(move |request: Plain| {
        keeps.lock().push(request.0.to_string());
        async move { Err::<(), _>(Error::new(Internal, request.0.to_string())) }
    });
    let targets = [
        target(json!({"model": "b", "temperature": 0})),
        "c".into(),
        "d".into(),
    ];
    let lists = FallbackLists::new()
        .general([("a", targets.to_vec()), ("b", vec!["x".into()])])
        .max_fallbacks(1);
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::new(lists))
        .service(inner);
    let ledger = Ledger::new();
    let answer = service.oneshot(Plain(Arc::from("a"), ledger.clone())).await;
    assert_eq!(answer.expect_err("all fail").message(), "a");
    assert_eq!(*asked.lock(), ["a", "c"], "what is skipped is not counted");
    assert_eq!(ledger.fallbacks(), 1);
    let failures: Vec<_> = ledger.failures().iter().map(Error::kind).collect();
    assert_eq!(failures, [Internal, BadRequest, Internal]);
}

//! Questions that mean the same.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use ziggurat_cache::{
    Keys, MemorySemanticStore, SIMILARITY, SemanticCacheLayer, Tenants, Threshold,
};
use ziggurat_core::{
    Caller, Error, ErrorKind, HasLedger, LlmRequest, LlmResponse, Maker, Operation,
};
use ziggurat_testkit::one_thread::OneThread;

type Stack = BoxCloneSyncService<LlmRequest, LlmResponse, Error>;

/// A model for embeddings that knows a few texts, and has a bad day now and then.
fn embedder(seen: Arc<Mutex<Vec<LlmRequest>>>) -> Stack {
    BoxCloneSyncService::new(service_fn(move |request: LlmRequest| {
        seen.lock().push(request.clone());
        async move {
            let body: Value = serde_json::from_slice(request.body()).expect("is JSON");
            assert_eq!(
                (request.operation(), request.model()),
                (Operation::Embeddings, "e")
            );
            let embedding = match body["input"].as_str().expect("is a text") {
                "is it warm?" => json!([1.0, 0.0, 0.0]),
                "is it warm today?" => json!([1.0, 0.2, 0.0]),
                "is it cold?" => json!([1.0, 0.6, 0.0]),
                "never" => {
                    std::future::pending::<()>().await;
                    json!([])
                }
                "zero" => json!([0.0, 0.0, 0.0]),
                _ => return Err(Error::new(ErrorKind::Overloaded, "not now")),
            };
            let answer = json!({"object": "list", "data": [{"index": 0, "embedding": embedding}]});
            Ok::<_, Error>(LlmResponse::complete(answer.to_string(), None))
        }
    }))
}

struct World {
    stack: Stack,
    store: MemorySemanticStore,
    embedded: Arc<Mutex<Vec<LlmRequest>>>,
}

fn world(
    threshold: f32,
    change: impl FnOnce(
        SemanticCacheLayer<Stack, MemorySemanticStore>,
    ) -> SemanticCacheLayer<Stack, MemorySemanticStore>,
) -> World {
    let embedded = Arc::<Mutex<Vec<_>>>::default();
    let store = MemorySemanticStore::new(1 << 20, 100);
    let threshold = Threshold::new(threshold).expect("is one");
    let embedder = embedder(Arc::clone(&embedded));
    let layer = change(SemanticCacheLayer::new(
        store.clone(),
        embedder,
        "e",
        threshold,
    ));
    let leaf = service_fn(|request: LlmRequest| async move {
        if request.user() == Some("falls back") {
            request.ledger().expect("has one").note_fallback();
        }
        Ok::<_, Error>(LlmResponse::complete(request.prompt().to_owned(), None))
    });
    World {
        stack: BoxCloneSyncService::new(layer.layer(leaf)),
        store,
        embedded,
    }
}

impl World {
    async fn ask(&self, request: LlmRequest) -> LlmResponse {
        self.stack
            .clone()
            .oneshot(request)
            .await
            .expect("is answered")
    }

    async fn is_hit(&self, request: LlmRequest) -> bool {
        self.ask(request).await.maker() == Maker::Cache
    }
}

fn asks(text: &str) -> LlmRequest {
    LlmRequest::chat("gpt", text)
}

fn with(text: &str, more: &Value) -> LlmRequest {
    let mut body = json!({"model": "gpt", "messages": [{"role": "user", "content": text}]});
    let more = more.as_object().expect("is one").clone();
    body.as_object_mut().expect("is one").extend(more);
    LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is a request")
}

fn of(caller: Caller) -> LlmRequest {
    asks("is it warm?").with_caller(caller)
}

#[tokio::test]
async fn a_question_that_means_the_same_gets_the_same_answer_and_one_that_does_not_its_own() {
    // The opposite is at 0.857, the same at 0.981.
    let world = world(0.9, |layer| layer);
    assert!(!world.is_hit(asks("is it warm?")).await);
    assert!(!world.is_hit(asks("is it cold?")).await);
    let again = world.ask(asks("is it warm today?")).await;
    assert_eq!(again.maker(), Maker::Cache);
    let answer = String::from_utf8_lossy(again.bytes().expect("is whole"));
    assert!(answer.contains("is it warm?"));
    assert_eq!(again.headers()[SIMILARITY], "0.9806");

    let lax = self::world(0.8, |layer| layer);
    assert!(!lax.is_hit(asks("is it warm?")).await);
    assert!(lax.is_hit(asks("is it cold?")).await);
}

#[tokio::test]
async fn two_tenants_never_share_the_answer_to_the_same_question() {
    let key = |name: &str| Caller::new().with_key(name);
    for tenants in [Tenants::Keys, Tenants::Everybody] {
        let world = world(0.9, |layer| layer.with_keys(Keys::new().tenants(tenants)));
        assert!(!world.is_hit(of(key("a").with_team("t"))).await);
        assert!(!world.is_hit(of(key("b").with_team("t"))).await);
        assert!(!world.is_hit(asks("is it warm?")).await);
        assert!(world.is_hit(of(key("a").with_team("t"))).await);
    }
    let world = world(0.9, |layer| {
        layer.with_keys(Keys::new().tenants(Tenants::Teams))
    });
    assert!(!world.is_hit(of(key("a").with_team("t"))).await);
    assert!(world.is_hit(of(key("b").with_team("t"))).await);
    assert!(!world.is_hit(of(key("a").with_team("u"))).await);
    assert!(!world.is_hit(of(key("a"))).await);
}

#[tokio::test]
async fn whatever_else_a_request_says_must_be_the_same() {
    let world = world(0.9, |layer| layer);
    let question = "is it warm?";
    assert!(!world.is_hit(asks(question)).await);
    for more in [
        json!({"temperature": 0}),
        json!({"model": "claude"}),
        json!({"user": "u"}),
        json!({"nobody_knows_it": true}),
        json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": question}]}),
        json!({"cache": {"namespace": "n"}}),
        json!({"cache": {"no-cache": true}}),
    ] {
        assert!(!world.is_hit(with(question, &more)).await);
    }
    assert!(world.is_hit(asks(question)).await);
}

#[tokio::test(start_paused = true)]
async fn without_a_vector_a_request_goes_on_as_if_there_were_no_cache() {
    let world = world(0.9, |layer| layer.with_patience(Duration::from_secs(2)));
    for question in ["never", "zero", "fails"] {
        let began = tokio::time::Instant::now();
        for _ in 0..2 {
            assert!(!world.is_hit(asks(question)).await);
        }
        let waited = if question == "never" { 4 } else { 0 };
        assert_eq!(began.elapsed().as_secs(), waited, "{question}");
    }
    assert!(world.store.is_empty());
    assert_eq!(world.embedded.lock().len(), 6);
}

#[tokio::test]
async fn what_another_group_answered_or_may_not_be_kept_is_not_kept() {
    let world = world(0.9, |layer| layer);
    for more in [
        json!({"user": "falls back"}),
        json!({"cache": {"no-store": true}}),
        json!({"cache": {"use-cache": false}}),
    ] {
        world.ask(with("is it warm?", &more)).await;
    }
    assert!(world.store.is_empty());
}

#[tokio::test]
async fn the_vector_is_asked_for_in_the_name_of_who_asks_and_in_its_time() {
    let world = world(0.9, |layer| layer);
    let request = of(Caller::new().with_key("a").with_access_groups(["beta"]));
    let ledger = request.ledger().expect("has one").clone();
    ledger.set_name("call-7");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
    ledger.limit(deadline);
    world.ask(request).await;
    let embedded = world.embedded.lock();
    let caller = embedded[0].caller().expect("is told");
    assert_eq!(caller.key.as_deref(), Some("a"));
    assert_eq!(caller.access_groups, None);
    let own = embedded[0].ledger().expect("has one");
    assert_eq!(own.request_id().to_string(), "call-7");
    assert!(own.deadline().is_some_and(|at| at <= deadline));
    assert_eq!(ledger.attempts(), 0);
}

#[test]
fn what_a_very_long_request_asks_is_read_by_another_thread() {
    let threads = OneThread::new();
    let world = world(0.9, |layer| layer);
    let about = json!({"messages": [
        {"role": "system", "content": "word ".repeat(100_000)},
        {"role": "user", "content": "is it warm?"},
    ]});
    let (at_once, hit) = threads.run_at_once(world.is_hit(with("", &about)));
    assert!(!at_once, "it is read elsewhere");
    assert!(!hit);
    assert!(threads.run(world.is_hit(with("", &about))));
    let rest = world.is_hit(asks("is it warm?"));
    assert!(!threads.run(rest), "the rest is another");
}

//! Embeddings, text by text.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_cache::{EmbeddingCacheLayer, MemoryStore};
use ziggurat_core::{Error, HasLedger, LlmRequest, LlmResponse, Maker, Operation, Usage};
use ziggurat_testkit::one_thread::OneThread;

#[derive(Clone, Default)]
struct World {
    store: Option<MemoryStore>,
    /// The texts that each call asked for.
    asked: Arc<Mutex<Vec<Value>>>,
}

impl World {
    fn new() -> Self {
        Self {
            store: Some(MemoryStore::new(1 << 20)),
            ..Self::default()
        }
    }

    async fn ask(&self, body: Value) -> (Value, Maker, Option<Usage>) {
        let asked = Arc::clone(&self.asked);
        let leaf = service_fn(move |request: LlmRequest| {
            let asked = Arc::clone(&asked);
            async move {
                let body: Value = serde_json::from_slice(request.body()).expect("is JSON");
                asked.lock().push(body["input"].clone());
                if body["user"] == "falls back" {
                    request.ledger().expect("has one").note_fallback();
                }
                let texts = match &body["input"] {
                    Value::Array(texts) if texts[0].is_string() => texts.clone(),
                    text => vec![text.clone()],
                };
                // Out of order, which is allowed.
                let data: Vec<_> = texts
                    .iter()
                    .enumerate()
                    .rev()
                    .map(|(at, text)| {
                        let length = text.as_str().map_or(0, str::len);
                        json!({"object": "embedding", "index": at, "embedding": [length, 0.10]})
                    })
                    .collect();
                let usage = json!({"prompt_tokens": texts.len(), "total_tokens": texts.len()});
                let answer =
                    json!({"object": "list", "data": data, "model": "m-1", "usage": usage});
                let used = Usage::new(texts.len() as u64, 0);
                Ok::<_, Error>(LlmResponse::complete(answer.to_string(), Some(used)))
            }
        });
        let store = self.store.clone().expect("has one");
        let request = LlmRequest::from_value(Operation::Embeddings, &body).expect("is a request");
        let response = EmbeddingCacheLayer::new(store).layer(leaf).oneshot(request);
        let response = response.await.expect("is answered");
        let answer = serde_json::from_slice(response.bytes().expect("is whole"));
        (
            answer.expect("is JSON"),
            response.maker(),
            response.usage().copied(),
        )
    }

    fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut *self.asked.lock())
    }
}

fn body(input: &Value) -> Value {
    json!({"model": "e", "input": input})
}

fn lengths(answer: &Value) -> Vec<u64> {
    let mut data: Vec<_> = answer["data"]
        .as_array()
        .expect("is a list")
        .iter()
        .collect();
    data.sort_by_key(|it| it["index"].as_u64());
    data.iter()
        .filter_map(|it| it["embedding"][0].as_u64())
        .collect()
}

#[tokio::test]
async fn only_what_is_new_is_asked_for() {
    let world = World::new();
    let (first, ..) = world.ask(body(&json!(["a", "bb"]))).await;
    assert_eq!(lengths(&first), [1, 2]);
    let (second, maker, usage) = world.ask(body(&json!(["bb", "ccc", "a", "dddd"]))).await;
    assert_eq!(lengths(&second), [2, 3, 1, 4]);
    assert_eq!((maker, usage), (Maker::Provider, Some(Usage::new(2, 0))));
    assert_eq!(
        (&second["model"], &second["usage"]["prompt_tokens"]),
        (&json!("m-1"), &json!(2))
    );
    assert_eq!(world.asked(), [json!(["a", "bb"]), json!(["ccc", "dddd"])]);

    let (third, maker, _) = world.ask(body(&json!(["dddd", "a"]))).await;
    assert_eq!((lengths(&third), maker), (vec![4, 1], Maker::Cache));
    assert_eq!(third["usage"]["total_tokens"], 0);
    assert_eq!(
        lengths(&world.ask(body(&json!("ccc"))).await.0),
        [3],
        "one text is a list of one"
    );
    assert!(world.asked().is_empty());
}

#[tokio::test]
async fn a_text_that_is_asked_for_twice_is_answered_twice() {
    let world = World::new();
    world.ask(body(&json!(["a"]))).await;
    let (answer, ..) = world.ask(body(&json!(["bb", "a", "bb"]))).await;
    assert_eq!(lengths(&answer), [2, 1, 2]);
}

#[tokio::test]
async fn another_encoding_or_length_is_another_text() {
    let world = World::new();
    world.ask(body(&json!(["a"]))).await;
    for more in [
        json!({"encoding_format": "base64"}),
        json!({"dimensions": 2}),
    ] {
        let mut other = body(&json!(["a"]));
        other
            .as_object_mut()
            .expect("is one")
            .extend(more.as_object().expect("is one").clone());
        assert_eq!(world.ask(other).await.1, Maker::Provider);
    }
    let tokens = body(&json!([1, 2]));
    world.ask(tokens.clone()).await;
    assert_eq!(
        world.ask(tokens).await.1,
        Maker::Cache,
        "a list of tokens is one text"
    );
}

#[tokio::test]
async fn what_another_group_answered_or_may_not_be_kept_is_asked_for_again() {
    for more in [
        json!({"user": "falls back"}),
        json!({"cache": {"no-store": true}}),
    ] {
        let world = World::new();
        for _ in 0..2 {
            let mut body = body(&json!(["a"]));
            body.as_object_mut()
                .expect("is one")
                .extend(more.as_object().expect("is one").clone());
            assert_eq!(world.ask(body).await.1, Maker::Provider);
        }
    }
}

#[test]
fn very_long_texts_are_named_by_another_thread_and_found_again_as_any_other() {
    let threads = OneThread::new();
    let world = World::new();
    let long = "word ".repeat(100_000);
    let texts = body(&json!([long, "short"]));
    let (at_once, (answer, maker, _)) = threads.run_at_once(world.ask(texts.clone()));
    assert!(!at_once, "it is named elsewhere");
    assert_eq!(
        (lengths(&answer), maker),
        (vec![500_000, 5], Maker::Provider)
    );
    assert_eq!(world.asked().len(), 1);
    let (answer, maker, _) = threads.run(world.ask(texts));
    assert_eq!((lengths(&answer), maker), (vec![500_000, 5], Maker::Cache));
    assert!(world.asked().is_empty());
}

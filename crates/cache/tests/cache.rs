//! What is answered from the cache, and what is not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::join_all, stream};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, service_fn, util::BoxCloneSyncService};
use ziggurat_cache::{AGE, CACHE_KEY, CacheLayer, Keys, MemoryStore, SharedStore, Tenants, Tiered};
use ziggurat_core::{
    Caller, Deployment, Error, ErrorKind, HasLedger, Item, LlmRequest, LlmResponse, Maker, Money,
    Operation, Usage,
};
use ziggurat_testkit::one_thread::OneThread;

type Stack = BoxCloneSyncService<LlmRequest, LlmResponse, Error>;

/// A cache over somebody who counts, and answers with the number of the call.
struct World {
    stack: Stack,
    calls: Arc<AtomicU32>,
    store: MemoryStore,
}

fn world(change: impl FnOnce(CacheLayer<MemoryStore>) -> CacheLayer<MemoryStore>) -> World {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let leaf = service_fn(move |request: LlmRequest| {
        let n = counted.fetch_add(1, Relaxed);
        async move {
            let text = request.prompt().to_owned();
            let has = |word: &str| text.contains(word);
            if has("slow") {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            if has("fails") {
                return Err(Error::new(ErrorKind::Overloaded, "too much"));
            }
            if !request.is_stream() {
                let body = format!(
                    "answer {n}{}",
                    "!".repeat(if has("long") { 5000 } else { 0 })
                );
                return Ok(LlmResponse::complete(body, None));
            }
            let piece = move |at: u32| {
                Ok(Item {
                    bytes: Bytes::from(format!("data: {n} {at}\n\n")),
                    events: 1,
                    ..Item::default()
                })
            };
            let broken = has("breaks").then(|| Err(Error::new(ErrorKind::StreamBroken, "gone")));
            let items = stream::iter((0..3).map(piece).chain(broken));
            let slow = has("slow");
            let items = items.then(move |item| async move {
                if slow {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                item
            });
            Ok(LlmResponse::stream(Box::pin(items)))
        }
    });
    let store = MemoryStore::new(1 << 20);
    let layer = change(CacheLayer::new(store.clone()));
    World {
        stack: BoxCloneSyncService::new(layer.layer(leaf)),
        calls,
        store,
    }
}

impl World {
    async fn call(&self, request: LlmRequest) -> Result<LlmResponse, Error> {
        self.stack.clone().ready().await?.call(request).await
    }

    /// The pieces of an answer, and whether it came from the cache.
    async fn ask(&self, request: LlmRequest) -> Result<(Vec<Bytes>, bool), Error> {
        let response = self.call(request).await?;
        let cached = response.maker() == Maker::Cache;
        assert!(response.headers().contains_key(CACHE_KEY));
        assert_eq!(response.headers().contains_key(AGE), cached);
        let (_, mut items) = response.into_parts();
        let mut pieces = Vec::new();
        while let Some(item) = items.next().await {
            pieces.push(item?.bytes);
        }
        Ok((pieces, cached))
    }

    async fn is_hit(&self, request: LlmRequest) -> bool {
        self.ask(request).await.expect("is answered").1
    }

    fn calls(&self) -> u32 {
        self.calls.load(Relaxed)
    }
}

fn says(text: &str, more: Value) -> LlmRequest {
    let mut body = json!({"model": "gpt", "messages": [{"role": "user", "content": text}]});
    if let Value::Object(more) = more {
        for (name, value) in more {
            body[name] = value;
        }
    }
    LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is a request")
}

#[tokio::test]
async fn the_same_request_is_answered_once_whatever_the_order_of_its_members() {
    let world = world(|layer| layer);
    let text = |body: &str| LlmRequest::from_bytes(Operation::ChatCompletions, body.to_owned());
    let one = text(r#"{"model":"gpt","messages":[],"x":{"a":1,"b":2}}"#).expect("is valid");
    let two =
        text(r#"{"x":{"b":2, "a":1},"num_retries":3,"messages":[],"model":"gpt","tags":["t"]}"#);
    let first = world.ask(one).await.expect("is answered");
    let again = world
        .ask(two.expect("is valid"))
        .await
        .expect("is answered");
    assert_eq!((first.1, again.1), (false, true));
    assert_eq!(first.0, again.0);
    assert_eq!(world.calls(), 1);
}

#[test]
fn a_long_request_is_named_by_another_thread_and_answered_again_as_any_other() {
    let threads = OneThread::new();
    let world = world(|layer| layer);
    let long = "word ".repeat(100_000);
    let request = || says(&long, json!({}));
    let (at_once, first) = threads.run_at_once(world.ask(request()));
    assert!(!at_once, "nothing else waits");
    assert!(!first.expect("is answered").1);
    assert!(threads.run(world.is_hit(request())));
    assert!(!threads.run(world.is_hit(says(&long, json!({"n": 2})))));
    assert_eq!(world.calls(), 2);
}

#[tokio::test]
async fn a_long_request_that_has_no_name_waits_for_none() {
    let keys = Keys::new().operations([Operation::Embeddings]);
    let world = world(|layer| layer.with_keys(keys));
    let answer = world.call(says(&"word ".repeat(100_000), json!({})));
    assert!(answer.now_or_never().is_some(), "it is answered at once");
}

#[tokio::test]
async fn any_other_field_or_operation_or_group_is_another_request() {
    let world = world(|layer| layer);
    let requests = [
        says("hi", json!({})),
        says("hi", json!({"temperature": 0})),
        says("hi", json!({"temperature": 0.5})),
        says("hi", json!({"nobody_knows_it": [1]})),
        says("hi", json!({"user": "u"})),
        says("hi", json!({"stream": true})),
        says(
            "hi",
            json!({"stream": true, "stream_options": {"include_usage": true}}),
        ),
        says("hi ", json!({})),
        says("hi", json!({"model": "gpt2"})),
        says("hi", json!({"cache": {"namespace": "mine"}})),
        LlmRequest::from_value(
            Operation::Messages,
            &json!({"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}),
        )
        .expect("is a request"),
    ];
    for request in &requests {
        assert!(!world.is_hit(request.clone()).await, "{request:?}");
    }
    for request in requests {
        assert!(world.is_hit(request).await);
    }
}

proptest! {
    #[test]
    fn a_request_that_differs_in_any_field_is_another(
        members in prop::collection::btree_map("[a-c]{1,2}_x", 0_i32..3, 0..4),
        others in prop::collection::btree_map("[a-c]{1,2}_x", 0_i32..3, 0..4),
    ) {
        let key = |members: &std::collections::BTreeMap<String, i32>| {
            let request = says("hi", json!(members));
            Keys::new().key(&request, "gpt")
        };
        prop_assert_eq!(key(&members) == key(&others), members == others);
    }
}

#[tokio::test]
async fn two_tenants_never_share() {
    let of = |key: &str, team: Option<&str>| {
        let caller = Caller::new().with_key(key);
        let caller = match team {
            Some(team) => caller.with_team(team),
            None => caller,
        };
        says("hi", json!({})).with_caller(caller)
    };
    let by_key = world(|layer| layer);
    assert!(!by_key.is_hit(of("a", Some("t"))).await);
    assert!(!by_key.is_hit(of("b", Some("t"))).await);
    assert!(!by_key.is_hit(says("hi", json!({}))).await);
    assert!(by_key.is_hit(of("a", Some("t"))).await);

    let by_team = world(|layer| layer.with_keys(Keys::new().tenants(Tenants::Teams)));
    assert!(!by_team.is_hit(of("a", Some("t"))).await);
    assert!(by_team.is_hit(of("b", Some("t"))).await);
    assert!(!by_team.is_hit(of("a", Some("u"))).await);
    assert!(
        !by_team.is_hit(of("t", None)).await,
        "a key is no team of its name"
    );

    let by_nobody = world(|layer| layer.with_keys(Keys::new().tenants(Tenants::Everybody)));
    assert!(!by_nobody.is_hit(of("a", None)).await);
    assert!(by_nobody.is_hit(of("b", Some("u"))).await);
}

#[tokio::test]
async fn a_stream_is_played_again_piece_by_piece() {
    let world = world(|layer| layer);
    let stream = || says("hi", json!({"stream": true}));
    let (first, _) = world.ask(stream()).await.expect("is answered");
    let (again, cached) = world.ask(stream()).await.expect("is answered");
    assert!(cached && first == again && again.len() == 3);
}

#[tokio::test]
async fn what_fails_breaks_off_is_left_or_is_too_long_is_not_kept() {
    let world = world(|layer| layer.with_max_bytes(1000));
    for _ in 0..2 {
        let error = world
            .ask(says("fails", json!({})))
            .await
            .expect_err("fails");
        assert_eq!(error.kind(), ErrorKind::Overloaded);
        let broken = says("breaks", json!({"stream": true}));
        world.ask(broken).await.expect_err("breaks");
        let left = world.call(says("left", json!({"stream": true}))).await;
        let (_, mut items) = left.expect("begins").into_parts();
        items.next().await.expect("has more").expect("is fine");
        drop(items);
        assert!(!world.is_hit(says("long", json!({}))).await);
    }
    assert_eq!(world.calls(), 8);
    assert!(world.store.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_client_has_a_say() {
    let world = world(|layer| layer.with_ttl(Duration::from_secs(100)));
    let with = |cache: Value| says("hi", json!({ "cache": cache }));
    assert!(!world.is_hit(with(json!({"no-store": true}))).await);
    assert!(!world.is_hit(with(json!({"ttl": 10}))).await);
    assert!(world.is_hit(with(json!({}))).await);
    assert!(
        !world.is_hit(with(json!({"no-cache": true}))).await,
        "and is kept anew"
    );
    tokio::time::advance(Duration::from_secs(50)).await;
    assert!(world.is_hit(with(json!({"s-maxage": 50}))).await);
    assert!(
        !world
            .is_hit(with(json!({"s-maxage": 49, "no-store": true})))
            .await
    );
    tokio::time::advance(Duration::from_secs(50)).await;
    assert!(!world.is_hit(with(json!({"ttl": 0}))).await);
    assert!(!world.is_hit(with(json!({}))).await);

    let off = self::world(|layer| layer.with_keys(Keys::new().only_if_asked()));
    for use_cache in [Value::Null, json!(false)] {
        let request = with(json!({ "use-cache": use_cache }));
        assert_eq!(
            off.call(request).await.expect("is answered").maker(),
            Maker::Provider
        );
    }
    assert!(!off.is_hit(with(json!({"use-cache": true}))).await);
    assert!(off.is_hit(with(json!({"use-cache": true}))).await);
}

/// A stack in which every request is answered by a deployment of another group, perhaps by other
/// words.
fn falls_back(altered: bool) -> (Stack, MemoryStore) {
    let store = MemoryStore::new(1 << 20);
    let leaf = service_fn(move |request: LlmRequest| async move {
        let ledger = request.ledger().expect("has one");
        if request.group().as_str() == "gpt" {
            ledger.note_fallback();
            if altered {
                ledger.note_altered();
            }
        }
        let deployment = Arc::new(Deployment::new("c", "claude", "m"));
        let attempt = ledger.attempt(&deployment).expect("may be made");
        attempt.answering();
        drop(attempt);
        Ok::<_, Error>(LlmResponse::complete("from claude", None))
    });
    let stack = CacheLayer::new(store.clone()).layer(leaf);
    (BoxCloneSyncService::new(stack), store)
}

#[tokio::test]
async fn the_answer_of_a_fallback_is_kept_as_that_of_its_own_group() {
    for altered in [false, true] {
        let (stack, store) = falls_back(altered);
        let ask = async |model: &str| {
            let response = stack
                .clone()
                .oneshot(says("hi", json!({"model": model})))
                .await;
            response.expect("is answered").maker()
        };
        assert_eq!(ask("gpt").await, Maker::Provider);
        assert_eq!(store.len(), usize::from(!altered));
        assert_eq!(
            ask("gpt").await,
            Maker::Provider,
            "the first group has not answered"
        );
        let expected = if altered {
            Maker::Provider
        } else {
            Maker::Cache
        };
        assert_eq!(ask("claude").await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_who_ask_the_same_at_once_are_one_call() {
    for stream in [false, true] {
        let world = world(CacheLayer::single_flight);
        let asks = (0..100).map(|_| world.ask(says("slow", json!({ "stream": stream }))));
        let answers = join_all(asks).await;
        assert_eq!(world.calls(), 1);
        let first = &answers[0].as_ref().expect("is answered").0;
        for answer in &answers {
            assert_eq!(&answer.as_ref().expect("is answered").0, first);
        }
    }
}

/// Nobody is left to wait for ever.
async fn all_end<T>(waiting: impl Future<Output = T>) -> T {
    let ended = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    ended.expect("each has its answer within a minute")
}

#[tokio::test(start_paused = true)]
async fn if_who_calls_leaves_the_next_one_calls() {
    for stream in [false, true] {
        let world = world(CacheLayer::single_flight);
        let request = || says("slow", json!({ "stream": stream }));
        let leader = async {
            tokio::time::timeout(Duration::from_millis(1500), async {
                if let Ok(response) = world.call(request()).await {
                    let (_, mut items) = response.into_parts();
                    while items.next().await.is_some() {}
                    std::future::pending::<()>().await;
                }
            })
            .await
        };
        let followers = join_all((0..20).map(|_| world.ask(request())));
        let (_, answers) = tokio::join!(biased; leader, all_end(followers));
        // What is no stream was complete when its client left.
        assert_eq!(world.calls(), 1 + u32::from(stream));
        assert!(answers.iter().all(Result::is_ok));
    }
    let world = world(CacheLayer::single_flight);
    let leader = tokio::time::timeout(
        Duration::from_millis(500),
        world.ask(says("slow", json!({}))),
    );
    let followers = join_all((0..20).map(|_| world.ask(says("slow", json!({})))));
    let (left, answers) = tokio::join!(biased; leader, all_end(followers));
    left.expect_err("leaves");
    assert_eq!(world.calls(), 2);
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_fallback_is_not_shared_by_those_who_wait() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let leaf = service_fn(move |request: LlmRequest| {
        let n = counted.fetch_add(1, Relaxed);
        async move {
            let ledger = request.ledger().expect("has one");
            if n == 0 {
                ledger.note_fallback();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            let group = if n == 0 { "claude" } else { "gpt" };
            let deployment = Arc::new(Deployment::new("d", group, "m"));
            ledger
                .attempt(&deployment)
                .expect("may be made")
                .answering();
            Ok::<_, Error>(LlmResponse::complete(group, None))
        }
    });
    let store = MemoryStore::new(1 << 20);
    let stack = CacheLayer::new(store).single_flight().layer(leaf);
    let asks = (0..3).map(|_| stack.clone().oneshot(says("hi", json!({}))));
    let answers: Vec<_> = join_all(asks).await;
    let answers: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().expect("is answered").bytes())
        .map(|bytes| String::from_utf8_lossy(bytes.expect("is whole")))
        .collect();
    assert_eq!(answers, ["claude", "gpt", "gpt"]);
}

#[tokio::test]
async fn an_answer_from_the_cache_costs_nothing_and_tells_what_it_used_when_it_was_new() {
    let leaf = service_fn(async |request: LlmRequest| {
        let used = Usage::new(7, 2);
        let item = Item {
            bytes: Bytes::from("data: x\n\n"),
            events: 1,
            usage: Some(used),
            ..Item::default()
        };
        Ok::<_, Error>(match request.is_stream() {
            true => LlmResponse::stream(Box::pin(stream::iter([Ok(item)]))),
            false => LlmResponse::complete("x", Some(used)),
        })
    });
    let stack = CacheLayer::new(MemoryStore::new(1 << 20)).layer(leaf);
    for stream in [false, true] {
        for cached in [false, true] {
            let response = stack
                .clone()
                .oneshot(says("hi", json!({ "stream": stream })));
            let response = response.await.expect("is answered");
            let free = cached.then_some(Some(Money::ZERO));
            assert_eq!(response.charge().map(|charge| charge.cost), free);
            let (_, mut items) = response.into_parts();
            let mut used = None;
            while let Some(item) = items.next().await {
                used = item.expect("is fine").usage.or(used);
            }
            assert_eq!(used, Some(Usage::new(7, 2)));
        }
    }
}

#[tokio::test]
async fn a_store_of_whatever_type_behind_another_one_is_asked_second() {
    let far = MemoryStore::new(1 << 20);
    let near = MemoryStore::new(1 << 20);
    let tiered = Tiered::new(
        near.clone(),
        SharedStore::new(far.clone()),
        Duration::from_secs(5),
    );
    let leaf = service_fn(async |_: LlmRequest| Ok::<_, Error>(LlmResponse::complete("x", None)));
    let stack = CacheLayer::new(tiered).layer(leaf);
    let ask = async || {
        let response = stack.clone().oneshot(says("hi", json!({}))).await;
        response.expect("is answered").maker()
    };
    assert_eq!(ask().await, Maker::Provider);
    assert_eq!((near.len(), far.len()), (1, 1));
    near.clear();
    assert_eq!(ask().await, Maker::Cache);
    assert_eq!(near.len(), 1, "what is found far away is kept near");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_shared() {
    let world = world(CacheLayer::single_flight);
    let asks = (0..5).map(|_| world.ask(says("slow fails", json!({}))));
    assert!(join_all(asks).await.iter().all(Result::is_err));
    assert_eq!(world.calls(), 5);
}

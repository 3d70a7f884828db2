//! A cache over a stack: many who ask the same at once make one call, and a second instance finds the
//! answer in the store that both share.
//!
//! Run with `cargo run -p ziggurat-examples --bin cache`.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use futures_util::{StreamExt as _, future::join_all, stream};
use serde_json::json;
use tower::{ServiceBuilder, ServiceExt as _, service_fn, util::BoxCloneSyncService};
use ziggurat::{
    Caller, Error, Item, LlmRequest, LlmResponse, Maker, Operation,
    cache::{AGE, CacheLayer, Keys, MemoryStore, Tenants, Tiered},
};

type Stack = BoxCloneSyncService<LlmRequest, LlmResponse, Error>;

static CALLS: AtomicU32 = AtomicU32::new(0);

/// An instance with a memory of its own before the store that all share.
fn instance(far: MemoryStore) -> Stack {
    let near = MemoryStore::new(16 << 20);
    let store = Tiered::new(near, far, Duration::from_secs(30));
    let cache = CacheLayer::new(store)
        .with_keys(Keys::new().tenants(Tenants::Teams))
        .single_flight();
    let model = service_fn(async |_: LlmRequest| {
        CALLS.fetch_add(1, Relaxed);
        let words = ["Lisbon", " is", " on", " the", " Tagus."];
        let events = stream::iter(words).then(async |word| {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let event = json!({"choices": [{"index": 0, "delta": {"content": word}}]});
            Ok(Item {
                bytes: format!("data: {event}\n\n").into(),
                events: 1,
                ..Item::default()
            })
        });
        Ok::<_, Error>(LlmResponse::stream(Box::pin(events)))
    });
    // In a stack for providers, limits, the queue and all that follows stand here.
    let stack = ServiceBuilder::new().layer(cache).service(model);
    BoxCloneSyncService::new(stack)
}

/// Asks for a stream as a key of a team. Returns what came, and whether it was made anew.
async fn ask(stack: &Stack, key: &str, team: &str) -> Result<(String, bool), Error> {
    let question = [json!({"role": "user", "content": "Where is Lisbon?"})];
    let body = json!({"model": "gpt", "stream": true, "messages": question});
    let request = LlmRequest::from_value(Operation::ChatCompletions, &body)?
        .with_caller(Caller::new().with_key(key).with_team(team));
    let response = stack.clone().oneshot(request).await?;
    let is_new = response.maker() == Maker::Provider;
    assert_eq!(is_new, !response.headers().contains_key(AGE));
    let (_, mut items) = response.into_parts();
    let mut text = String::new();
    while let Some(item) = items.next().await {
        text += &String::from_utf8_lossy(&item?.bytes);
    }
    Ok((text, is_new))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let shared = MemoryStore::new(64 << 20);
    let (lisbon, porto) = (instance(shared.clone()), instance(shared));

    let answers = join_all((0..100).map(|_| ask(&lisbon, "laptop", "red"))).await;
    let (text, _) = answers.into_iter().next().expect("there are a hundred")?;
    println!("a hundred who asked at once: {} call", CALLS.load(Relaxed));
    assert_eq!(CALLS.load(Relaxed), 1);

    let (again, is_new) = ask(&porto, "server", "red").await?;
    println!("the other instance, another key of the team: from the cache, byte for byte");
    assert!(!is_new && again == text);

    let (_, is_new) = ask(&porto, "server", "blue").await?;
    println!("another team: its own call");
    assert!(is_new);
    Ok(())
}

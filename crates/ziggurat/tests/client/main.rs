//! The client over leaves that answer what a test says.

mod batch;
mod chat;
mod operations;
mod streams;

use futures_util::stream;
use serde_json::{Value, json};
use tower::{service_fn, util::BoxCloneSyncService};
use ziggurat::{Client, Error, Item, LlmRequest, LlmResponse, Usage};

type Stack = BoxCloneSyncService<LlmRequest, LlmResponse, Error>;

/// A client of a leaf that is a function.
fn client<F>(answer: impl Fn(LlmRequest) -> F + Clone + Send + Sync + 'static) -> Client<Stack>
where
    F: Future<Output = Result<LlmResponse, Error>> + Send + 'static,
{
    Client::new(BoxCloneSyncService::new(service_fn(answer)))
}

/// A client of a leaf that answers everything with this.
fn answering(body: &Value) -> Client<Stack> {
    let body = body.to_string();
    client(move |_| {
        let body = body.clone();
        async move { Ok(LlmResponse::complete(body, Some(Usage::new(3, 2)))) }
    })
}

/// The answer to a chat with that text.
fn chat(text: &str) -> LlmResponse {
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    let body = json!({"id": "x", "model": "m-1", "choices": [choice]});
    LlmResponse::complete(body.to_string(), Some(Usage::new(3, 2)))
}

/// A stream of items; the last has usage with it.
fn streamed(items: impl IntoIterator<Item = Result<String, Error>>) -> LlmResponse {
    let items: Vec<_> = items.into_iter().collect();
    let last = items.len() - 1;
    let items = items.into_iter().enumerate().map(move |(i, item)| {
        item.map(|text| Item {
            bytes: text.into(),
            events: 1,
            usage: (i == last).then(|| Usage::new(3, 2)),
            ..Item::default()
        })
    });
    LlmResponse::stream(Box::pin(stream::iter(items)))
}

/// An event with a piece of the first choice.
fn piece(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    let event =
        json!({"id": "x", "model": "m-1", "object": "chat.completion.chunk", "choices": [choice]});
    format!("data: {event}\n\n")
}

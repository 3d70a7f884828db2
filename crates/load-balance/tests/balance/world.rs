//! Requests that come one after the other, and deployments that take their time, in paused time.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream, stream::FuturesUnordered};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};
use ziggurat_core::{
    Deployments, Error, ErrorKind, Item, LlmRequest, LlmResponse, Operation, Usage,
};
use ziggurat_load_balance::{LoadBalanceLayer, Strategy};

use crate::support::{Sent, member};

pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// How often each deployment was asked.
pub(crate) type Asked = Arc<Mutex<HashMap<String, u32>>>;

/// The part of the requests that each of `ids` got.
pub(crate) fn shares<const N: usize>(asked: &Asked, ids: [&str; N]) -> [f64; N] {
    let asked = asked.lock();
    let all: u32 = asked.values().sum();
    ids.map(|id| f64::from(asked.get(id).copied().unwrap_or(0)) / f64::from(all))
}

pub(crate) fn equal(ids: &[&str]) -> Deployments {
    ids.iter().map(|id| member(id)).collect()
}

/// A request of a user of its own, streamed or not.
pub(crate) fn request(user: u32, stream: bool) -> LlmRequest {
    let body = format!(
        r#"{{"model":"gpt","user":"{user}","stream":{stream},"max_tokens":50,
            "messages":[{{"role":"user","content":"hello"}}]}}"#
    );
    LlmRequest::from_bytes(Operation::ChatCompletions, body).expect("it is a request")
}

/// What a deployment does with a request: after so long it answers, or fails.
pub(crate) type Does = (Duration, Result<(), ErrorKind>);

pub(crate) async fn answer(sent: Sent, does: Does) -> Result<LlmResponse, Error> {
    let (time, result) = does;
    sleep(time).await;
    result.map_err(|kind| Error::new(kind, "broken"))?;
    let usage = Some(Usage::new(10, 40));
    if !sent.request().is_stream() {
        return Ok(LlmResponse::complete("fine", usage));
    }
    let end = stream::once(async move {
        sleep(time).await;
        Ok(Item {
            usage,
            ..Item::default()
        })
    });
    let first = stream::iter([Ok(Item::default())]);
    Ok(LlmResponse::stream(Box::pin(first.chain(end))))
}

/// Sends so many requests, one every `every`, of which some are cancelled; then waits for the rest.
pub(crate) async fn drive<P: Strategy<LlmRequest>>(
    layer: &LoadBalanceLayer<P>,
    requests: u32,
    every: Duration,
    patience: impl Fn() -> Duration,
    does: impl Fn(&str) -> Does,
) -> Asked {
    let asked = Asked::default();
    let stack = layer.layer(service_fn(|sent: Sent| {
        let id = sent.deployment().id().as_str();
        *asked.lock().entry(id.to_owned()).or_default() += 1;
        answer(sent.clone(), does(id))
    }));
    let one = async |number| {
        let read = async {
            let answer = stack
                .clone()
                .oneshot(request(number, number % 2 == 0))
                .await;
            if let Ok(answer) = answer {
                let (_, mut items) = answer.into_parts();
                while items.next().await.is_some() {}
            }
        };
        let _ = timeout(patience(), read).await;
    };
    let mut running = FuturesUnordered::new();
    for number in 0..requests {
        running.push(one(number));
        meanwhile(&mut running, sleep(every)).await;
    }
    while running.next().await.is_some() {}
    drop(running);
    asked
}

/// Polls what is running until something else is over.
async fn meanwhile<F: Future>(running: &mut FuturesUnordered<F>, over: impl Future) {
    let mut over = std::pin::pin!(over);
    loop {
        tokio::select! {
            biased;
            _ = &mut over => return,
            Some(_) = running.next() => {}
        }
    }
}

//! Prices and clients.

use serde_json::{Value, json};
use ziggurat_tests::{Reply, VirtualWorld, chat};

use crate::support::{CHAT, secs};

/// Keys of callers by a number, long enough to be some.
pub(crate) fn key(n: usize) -> String {
    format!("sk-caller-{n:032}")
}

/// A dollar for each token, in and out.
pub(crate) const DEAR: &str = "input_cost_per_token: 1, output_cost_per_token: 1";

/// Sends a chat with a key.
pub(crate) async fn send(world: &VirtualWorld, key: &str, model: &str, more: Value) -> Reply {
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", &*bearer)];
    let answer = world.begin(CHAT, &chat(model, more), &headers).await;
    answer.read().await
}

/// Sends so many chats at once, and gives how many were answered.
pub(crate) async fn answered(world: &VirtualWorld, model: &str, requests: usize) -> usize {
    let all = (0..requests).map(|_| world.chat(model, json!({})));
    let replies = futures_util::future::join_all(all).await;
    replies.iter().filter(|reply| reply.status == 200).count()
}

pub(crate) async fn pass(seconds: u64) {
    tokio::time::advance(secs(seconds)).await;
}

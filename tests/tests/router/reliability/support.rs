//! Requests, and what is asked of replies.

use serde_json::{Value, json};
use ziggurat_testkit::provider::Simulator;
use ziggurat_tests::{Reply, VirtualWorld, chat};

use crate::support::{CHAT, millis};

const COMPLETIONS: &str = "/v1/completions";
const EMBEDDINGS: &str = "/v1/embeddings";

/// A request of every shape that is served, for the group `gpt`.
pub(crate) fn shapes() -> Vec<(&'static str, Value)> {
    let embedded = json!({"model": "gpt", "input": ["hello"]});
    let mut shapes = streams();
    for (path, stream) in streams() {
        let mut whole = stream;
        whole["stream"] = false.into();
        shapes.push((path, whole));
    }
    shapes.push((EMBEDDINGS, embedded));
    shapes
}

/// A request of every shape that streams, for the group `gpt`.
pub(crate) fn streams() -> Vec<(&'static str, Value)> {
    let text = json!({"model": "gpt", "prompt": "hello", "stream": true});
    vec![(CHAT, streamed("gpt")), (COMPLETIONS, text)]
}

/// A chat request for a stream.
pub(crate) fn streamed(model: &str) -> Value {
    chat(model, json!({"stream": true}))
}

/// The deployments that were asked, in order, by the trail that the reply tells.
pub(crate) fn asked(reply: &Reply) -> String {
    let trail = reply.header("x-ziggurat-trail");
    let ids = trail.split(", ").map(|attempt| attempt.split('=').next());
    ids.flatten().collect()
}

/// How many requests each of these providers got.
pub(crate) fn counts<const N: usize>(world: &VirtualWorld, names: [&str; N]) -> [u64; N] {
    names.map(|name| world.providers.count(name))
}

/// Waits until no provider is busy, for which no time passes.
pub(crate) async fn assert_idle(world: &VirtualWorld, names: &[&str]) {
    let idle = |it: &Simulator| names.iter().all(|name| it.in_flight(name) == 0);
    let waiting = world.providers.wait_until(idle);
    let waited = tokio::time::timeout(millis(1), waiting).await;
    assert!(waited.is_ok(), "a provider is still busy");
    assert_eq!(world.router.in_flight(), 0);
}

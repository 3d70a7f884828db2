//! Worlds, requests and what is asked of replies.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};
use ziggurat_testkit::provider::Simulator;
use ziggurat_tests::{Reply, VirtualWorld, chat};

/// A configuration of groups with their deployments, each of which has a provider and a credential
/// of its own, and further sections.
pub(crate) fn config(groups: &[(&str, &[&str])], sections: &str) -> String {
    let mut text = "model_list:\n".to_owned();
    for (group, members) in groups {
        for member in *members {
            // `a order: 1` is the deployment `a` with `order: 1` among its parameters.
            let (id, params) = member.split_once(' ').unwrap_or((member, ""));
            let comma = if params.is_empty() { "" } else { ", " };
            let _ = writeln!(
                text,
                "  - {{model_name: {group}, litellm_params: {{model: openai/m, api_base: '{{{id}}}', api_key: key-{id}{comma}{params}}}, model_info: {{id: {id}}}}}",
            );
        }
    }
    text.push_str(sections);
    text
}

/// The world of such a configuration. Its random choices are the same in every run.
pub(crate) fn world(groups: &[(&str, &[&str])], sections: &str) -> VirtualWorld {
    fastrand::seed(7);
    VirtualWorld::new(&config(groups, sections))
}

pub(crate) const CHAT: &str = "/v1/chat/completions";
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
    let waited = tokio::time::timeout(Duration::from_millis(1), waiting).await;
    assert!(waited.is_ok(), "a provider is still busy");
    assert_eq!(world.router.in_flight(), 0);
}

/// So many seconds.
pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// So many milliseconds.
pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

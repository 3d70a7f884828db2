//! Worlds with a cache.

use std::sync::Arc;

use serde_json::{Value, json};
use tower::ServiceExt as _;
use ziggurat::{Caller, LlmRequest, LlmResponse, Maker, Operation, settle::Recent};
use ziggurat_tests::{Reply, VirtualWorld, chat};

use crate::support::settled;

/// What turns the cache on.
pub(crate) const ON: &str = "litellm_settings: {cache: true}\n";

/// A configuration of groups with one deployment each, which is called as the group is.
pub(crate) fn config(groups: &[&str], sections: &str) -> String {
    let list: String = groups
        .iter()
        .map(|group| {
            format!("  - {{model_name: {group}, litellm_params: {{model: openai/m, api_base: '{{{group}}}', api_key: key-{group}, input_cost_per_token: 1.0e-6, output_cost_per_token: 1.0e-6}}, model_info: {{id: id-{group}}}}}\n")
        })
        .collect();
    format!("model_list:\n{list}{sections}")
}

/// Its world, and what settles in it.
pub(crate) fn world(groups: &[&str], sections: &str) -> (VirtualWorld, Arc<Recent>) {
    let world = VirtualWorld::new(&config(groups, sections));
    let recent = settled(&world);
    (world, recent)
}

pub(crate) fn is_hit(reply: &Reply) -> bool {
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("x-litellm-cache-key").len(), 64);
    reply.headers.contains_key("age")
}

/// A chat with the group `a`.
pub(crate) async fn ask(world: &VirtualWorld, more: Value) -> Reply {
    world.chat("a", more).await
}

/// A chat that says something else.
pub(crate) fn says(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

/// Sends a chat in code, as somebody.
pub(crate) async fn ask_as(world: &VirtualWorld, caller: Caller) -> bool {
    let body = chat("a", json!({}));
    let request = LlmRequest::from_value(Operation::ChatCompletions, &body);
    let request = request.expect("is a request").with_caller(caller);
    let answer: LlmResponse = world
        .router
        .clone()
        .oneshot(request)
        .await
        .expect("is answered");
    answer.maker() == Maker::Cache
}

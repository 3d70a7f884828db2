//! Gateways, and who answered.

use ziggurat_tests::{Reply, World};

use crate::support::config;

/// A gateway over the deployments of one group, `gpt`, and further sections.
pub(crate) async fn world(members: &[&str], sections: &str) -> World {
    World::start(&config(&[("gpt", members)], sections)).await
}

/// The deployment that answered; panics if none did.
pub(crate) fn served(reply: &Reply) -> &str {
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.header("x-litellm-model-id")
}

/// The message of an error in the shape of OpenAI, which must be of that status.
pub(crate) fn refused(reply: &Reply, status: u16) -> String {
    assert_eq!(reply.status, status, "{}", reply.text);
    let body = reply.json();
    let error = &body["error"];
    for field in ["message", "type", "param", "code"] {
        assert!(error.get(field).is_some(), "`{field}` is missing in {body}");
    }
    error["message"].as_str().unwrap_or_default().to_owned()
}

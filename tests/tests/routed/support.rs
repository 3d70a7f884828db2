//! Configurations, and who answered.

use std::fmt::Write as _;

use ziggurat_tests::{Reply, World};

/// A gateway over the deployments of one group, `gpt`, each with the id of its provider, and further
/// sections. `"b order: 2"` is the deployment `b` with `order: 2` among its parameters, and
/// `"b order: 2; team_id: red"` has `team_id: red` in its `model_info` besides.
pub(crate) async fn world(members: &[&str], sections: &str) -> World {
    World::start(&config("gpt", members, sections)).await
}

/// The text of such a configuration, for a group of that name.
pub(crate) fn config(group: &str, members: &[&str], sections: &str) -> String {
    let mut text = format!("model_list:\n{}", group_of(group, members));
    text.push_str(sections);
    text
}

/// The entries of a group in a `model_list`.
pub(crate) fn group_of(group: &str, members: &[&str]) -> String {
    let mut text = String::new();
    for member in members {
        let (id, more) = member.split_once(' ').unwrap_or((member, ""));
        let (params, info) = more.split_once(';').unwrap_or((more, ""));
        let [params, info] = [params, info].map(|it| match it.trim() {
            "" => String::new(),
            it => format!(", {it}"),
        });
        let _ = writeln!(
            text,
            "  - {{model_name: \"{group}\", litellm_params: {{model: openai/m, api_base: \"{{{id}}}\", api_key: key-{id}{params}}}, model_info: {{id: {id}{info}}}}}",
        );
    }
    text
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

//! Configurations of deployments, worlds of them, and units of time.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use ziggurat::settle::Recent;
use ziggurat_tests::VirtualWorld;

pub(crate) const CHAT: &str = "/v1/chat/completions";

/// Groups with their deployments. A deployment is its id, with what else is in its `litellm_params`,
/// and after a semicolon in its `model_info`: `b`, `b order: 2`, `b order: 2; team_id: red`.
pub(crate) type Groups<'a> = &'a [(&'a str, &'a [&'a str])];

/// A `model_list` of groups. Each deployment has a credential of its own, and the parameters besides
/// that are made of its place in its group and its id.
pub(crate) fn model_list(groups: Groups<'_>, more: impl Fn(usize, &str) -> String) -> String {
    let mut text = "model_list:\n".to_owned();
    for (group, members) in groups {
        for (place, member) in members.iter().enumerate() {
            let (id, own) = member.split_once(' ').unwrap_or((member, ""));
            let (params, info) = own.split_once(';').unwrap_or((own, ""));
            let more = more(place, id);
            let _ = writeln!(
                text,
                "  - {{model_name: '{group}', litellm_params: {{model: openai/m, api_key: key-{id}{}{}}}, model_info: {{id: {id}{}}}}}",
                after_a_comma(&more),
                after_a_comma(params),
                after_a_comma(info),
            );
        }
    }
    text
}

fn after_a_comma(entries: &str) -> String {
    match entries.trim() {
        "" => String::new(),
        entries => format!(", {entries}"),
    }
}

/// Such a configuration in which each deployment has a provider of its own, and further sections.
pub(crate) fn config(groups: Groups<'_>, sections: &str) -> String {
    model_list(groups, |_, id| at_provider(id)) + sections
}

fn at_provider(id: &str) -> String {
    format!("api_base: '{{{id}}}'")
}

/// The world of such a configuration. Its random choices are the same in every run.
pub(crate) fn world(groups: Groups<'_>, sections: &str) -> VirtualWorld {
    fastrand::seed(7);
    VirtualWorld::new(&config(groups, sections))
}

/// A world in which all tokens have this price and deployments are asked in the order in which they
/// stand, and what settles in it.
pub(crate) fn priced(
    groups: Groups<'_>,
    price: &str,
    sections: &str,
) -> (VirtualWorld, Arc<Recent>) {
    fastrand::seed(7);
    let list = model_list(groups, |place, id| {
        format!("{}, order: {place}, {price}", at_provider(id))
    });
    let world = VirtualWorld::new(&(list + sections));
    let recent = settled(&world);
    (world, recent)
}

/// What settles in a world from now on.
pub(crate) fn settled(world: &VirtualWorld) -> Arc<Recent> {
    let recent = Arc::new(Recent::new(1_000));
    world.router.on_settlement(Arc::clone(&recent));
    recent
}

/// So many seconds.
pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// So many milliseconds.
pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

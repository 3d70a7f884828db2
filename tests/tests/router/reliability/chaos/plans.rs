//! Random configurations.

use std::{fmt::Write as _, time::Duration};

use fastrand::Rng;

/// The providers, each of which has one deployment.
pub(crate) const PROVIDERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// The groups and their deployments; the first one of each group is always there.
pub(crate) const GROUPS: [(&str, &[&str]); 3] = [
    ("gpt", &["a", "b", "c"]),
    ("claude", &["d", "e"]),
    ("llama", &["f"]),
];

/// How long a request may take that says nothing itself.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// How many requests may run at a time, at least.
pub(crate) const CAPACITY: usize = 40;

/// Everybody is there and nothing is limited that need not be.
pub(crate) fn all() -> String {
    let members = GROUPS.iter().flat_map(|(group, ids)| {
        let member = |id: &&str| (*group, id.to_string(), 1);
        ids.iter().map(member).collect::<Vec<_>>()
    });
    plan(members, "", "", CAPACITY)
}

/// Some deployments with some weights and some settings.
pub(crate) fn some(rng: &mut Rng) -> String {
    let mut members = Vec::new();
    for (group, ids) in GROUPS {
        let (first, others) = ids.split_first().expect("has a member");
        let kept = others.iter().filter(|_| rng.u8(..4) > 0);
        let ids: Vec<_> = std::iter::once(first).chain(kept).collect();
        members.extend(ids.iter().map(|id| (group, id.to_string(), rng.u32(1..10))));
    }
    let strategies = ["simple-shuffle", "least-busy", "latency-based-routing"];
    let router = format!(
        ", num_retries: {}, routing_strategy: {}, disable_cooldowns: {}, enable_weighted_failover: {}",
        rng.u32(..4),
        strategies[rng.usize(..strategies.len())],
        rng.u8(..8) == 0,
        rng.bool(),
    );
    let own = format!(
        ", hedge: {}, streams: {{on_break: {}, hold_back: {}, drain_on_cancel: {}, keep_alive: {}}}",
        ["off", "{percentile: 80, budget: 20}"][rng.usize(..2)],
        ["fail", "continue"][rng.usize(..2)],
        ["off", "3", "all"][rng.usize(..3)],
        rng.bool(),
        ["off", "15", "2"][rng.usize(..3)],
    );
    let capacity = CAPACITY + rng.usize(..40);
    plan(members, &router, &own, capacity)
}

fn plan(
    members: impl IntoIterator<Item = (&'static str, String, u32)>,
    router: &str,
    own: &str,
    capacity: usize,
) -> String {
    let mut text = "model_list:\n".to_owned();
    for (group, id, weight) in members {
        let more = match &*id {
            "b" => ", order: 1",
            "e" => ", max_parallel_requests: 8",
            _ => "",
        };
        let continues = id == "d" || id == "c";
        let _ = writeln!(
            text,
            "  - {{model_name: {group}, litellm_params: {{model: openai/m, api_base: '{{{id}}}', api_key: key-{id}, weight: {weight}{more}}}, model_info: {{id: {id}, supports_assistant_prefill: {continues}}}}}",
        );
    }
    let _ = writeln!(
        text,
        "router_settings: {{timeout: 20, fallbacks: [{{gpt: [claude]}}, {{claude: [llama, gpt]}}], content_policy_fallbacks: [{{gpt: [llama]}}]{router}}}",
    );
    let deadline = DEADLINE.as_secs();
    let _ = writeln!(
        text,
        "ziggurat_settings: {{deadline: {deadline}, idle_timeout: 5, queue: {{capacity: {capacity}, max_waiting: 30}}{own}}}",
    );
    text
}

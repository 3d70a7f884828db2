//! Who plays in the demo.

use std::{fmt::Write as _, time::Duration};

use ziggurat_testkit::provider::{Script, Simulator, Step};

/// Name, model group, and what is wrong with it.
pub(crate) const CAST: [(&str, &str, &str); 7] = [
    ("steady", "chat", "healthy, 60 ms"),
    ("slow", "chat", "healthy, 400 ms"),
    ("flaky", "chat", "every third answer is a 500"),
    (
        "throttled",
        "chat",
        "429 with Retry-After: 2, every other time",
    ),
    (
        "cutting",
        "chat",
        "breaks one stream in four before a token",
    ),
    (
        "down",
        "fragile",
        "always 503; the group falls back to chat",
    ),
    (
        "silent",
        "thinking",
        "never answers; the group falls back to chat",
    ),
];

pub(crate) fn script(simulator: &Simulator) {
    let ms = Duration::from_millis;
    let healthy = || Step::ok().delay(ms(60)).chunks(8).chunk_delay(ms(10));
    simulator.script("steady", healthy());
    simulator.script(
        "slow",
        Step::ok().delay(ms(400)).chunks(8).chunk_delay(ms(20)),
    );
    simulator.script(
        "flaky",
        Script::sequence(
            [healthy(), healthy(), Step::status(500)]
                .into_iter()
                .cycle()
                .take(999),
        ),
    );
    let throttled = Step::status(429)
        .retry_after(2)
        .error_message("too many requests");
    simulator.script(
        "throttled",
        Script::random(7, [(1, healthy()), (1, throttled)]),
    );
    simulator.script(
        "cutting",
        Script::random(
            11,
            [(3, healthy()), (1, Step::ok().delay(ms(60)).cut_after(0))],
        ),
    );
    simulator.script("down", Step::status(503).error_message("no capacity"));
    simulator.script("silent", Step::ok().hang());
}

pub(crate) fn config(simulator: &Simulator) -> String {
    let mut text = String::from("model_list:\n");
    for (name, group, _) in CAST {
        let extra = if name == "silent" { ", timeout: 1" } else { "" };
        let base = simulator.base_url(name);
        let _ = write!(
            text,
            "  - model_name: {group}\n    litellm_params: {{model: openai/demo, api_base: \"{base}\", api_key: none{extra}}}\n    model_info: {{id: {name}}}\n",
        );
    }
    text.push_str(
        "router_settings:\n  routing_strategy: least-busy\n  num_retries: 3\n  fallbacks: [{fragile: [chat]}, {thinking: [chat]}]\n",
    );
    text
}

pub(crate) fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

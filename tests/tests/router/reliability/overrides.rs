//! A fallback may be the request with other values, for itself alone.

use serde_json::{Value, json};
use ziggurat_testkit::provider::{Call, Step};
use ziggurat_tests::VirtualWorld;

use crate::{
    reliability::support::{asked, counts},
    support::world,
};

const GROUPS: [(&str, &[&str]); 3] = [("gpt", &["a"]), ("claude", &["b"]), ("llama", &["c"])];

fn down(world: &VirtualWorld, names: &[&str]) {
    for name in names {
        world.providers.script(name, Step::status(500));
    }
}

fn last(world: &VirtualWorld, name: &str) -> Call {
    world.providers.calls(name).pop().expect("was asked")
}

#[tokio::test(start_paused = true)]
async fn overrides_of_a_target_reach_that_target_and_no_other() {
    let settings = "
router_settings:
  num_retries: 0
  fallbacks:
    - gpt:
        - {model: claude, temperature: 0, seed: 7, messages: [{role: user, content: short}], api_base: '{d}', api_key: other}
        - llama
";
    let world = world(&GROUPS, settings);
    down(&world, &["a", "d"]);
    let asked_for = json!({"temperature": 0.5, "user": "bob"});
    let reply = world.chat("gpt", asked_for).await;
    assert_eq!((reply.status, asked(&reply).as_str()), (200, "abc"));
    assert_eq!(counts(&world, ["a", "b", "c", "d"]), [1, 0, 1, 1]);
    let original = json!([{"role": "user", "content": "hello"}]);
    for name in ["a", "c"] {
        let call = last(&world, name);
        let sent = call.json();
        assert_eq!(sent["messages"], original, "{name}");
        assert_eq!(
            (&sent["temperature"], &sent["seed"]),
            (&json!(0.5), &Value::Null)
        );
        let own = format!("Bearer key-{name}");
        assert_eq!(call.headers["authorization"], own.as_str());
    }
    let call = last(&world, "d");
    let sent = call.json();
    assert_eq!(sent["messages"][0]["content"], "short");
    assert_eq!(
        (&sent["temperature"], &sent["seed"]),
        (&json!(0), &json!(7))
    );
    assert_eq!(sent["user"], "bob", "what is not overridden stays");
    assert_eq!(call.headers["authorization"], "Bearer other");

    // Nor does anything stay for the next request.
    let reply = world.chat("claude", json!({"temperature": 0.5})).await;
    assert_eq!((reply.status, asked(&reply).as_str()), (200, "b"));
    let sent = last(&world, "b").json();
    assert_eq!(
        (&sent["messages"], &sent["temperature"]),
        (&original, &json!(0.5))
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_may_stand_in_for_itself_with_other_values() {
    let settings = "router_settings: {num_retries: 0, context_window_fallbacks: [{gpt: [{model: gpt, messages: [{role: user, content: short}]}]}]}";
    let world = world(&GROUPS, settings);
    let too_long = Step::status(400).error_code("context_length_exceeded");
    world.providers.script("a", [too_long, Step::ok()]);
    let reply = world.chat("gpt", json!({})).await;
    assert_eq!((reply.status, asked(&reply).as_str()), (200, "aa"));
    assert_eq!(last(&world, "a").json()["messages"][0]["content"], "short");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_override_what_it_could_have_sent_and_no_credential() {
    let world = world(&GROUPS, "router_settings: {num_retries: 0}");
    down(&world, &["a", "b"]);
    let list = json!([{"model": "claude", "temperature": 1, "max_tokens": 5}, {"model": "llama"}]);
    let reply = world.chat("gpt", json!({"fallbacks": list})).await;
    assert_eq!((reply.status, asked(&reply).as_str()), (200, "abc"));
    assert_eq!(last(&world, "b").json()["max_tokens"], 5);
    assert_eq!(last(&world, "c").json()["max_tokens"], Value::Null);
    let base = world.providers.base_url("d");
    let list = json!([{"model": "claude", "api_base": base, "api_key": "mine"}]);
    let reply = world.chat("gpt", json!({"fallbacks": list})).await;
    assert_eq!(reply.status, 400, "{}", reply.text);
    assert_eq!(world.providers.count("d"), 0);
}

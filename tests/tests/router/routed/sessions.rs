//! Conversations that stay where they began.

use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::json;
use ziggurat_testkit::provider::Step;

use crate::routed::support::{served, world};

const TURNS: usize = 50;
const SESSIONS: usize = 8;

#[tokio::test]
async fn sessions_of_fifty_turns_stay_on_one_deployment_under_load() {
    let sections = "router_settings: {optional_pre_call_checks: [session_affinity]}\n";
    let world = world(&["a", "b", "c", "d"], sections).await;
    for id in ["a", "b", "c", "d"] {
        // So that as many are in flight as there are clients.
        let step = Step::ok().delay(Duration::from_millis(15));
        world.providers.script(id, step);
    }
    let session = async |n: usize| {
        let name = format!("session-{n}");
        let (mut kept, mut last) = (0, String::new());
        for turn in 0..TURNS {
            let header = ("x-litellm-session-id", name.as_str());
            let more = json!({"stream": turn % 2 == 0});
            let reply = world.chat_with(header, "gpt", more).await;
            // One whose deployment is far busier than the others moves there, and stays.
            kept += usize::from(turn == 0 || served(&reply) == last);
            served(&reply).clone_into(&mut last);
        }
        kept
    };
    let other = async || {
        for _ in 0..TURNS {
            served(&world.chat("gpt", json!({})).await);
        }
    };
    let sessions = join_all((0..SESSIONS).map(session));
    let others = join_all((0..SESSIONS).map(|_| other()));
    let (each, _) = join(sessions, others).await;
    let kept: usize = each.iter().sum();
    let turns = SESSIONS * TURNS;
    assert!(
        kept * 100 >= turns * 95,
        "{kept} of {turns} turns, by session: {each:?}"
    );
    for id in ["a", "b", "c", "d"] {
        let calls = world.providers.count(id);
        assert!(calls > 0, "{id} got nothing");
    }
}

#[tokio::test]
async fn a_session_moves_once_when_its_deployment_fails_and_does_not_flap() {
    let sections = "
router_settings:
  optional_pre_call_checks: [session_affinity]
  cooldown_time: 600
";
    let world = world(&["a", "b", "c"], sections).await;
    let turn = async || {
        let header = ("x-litellm-session-id", "one");
        let reply = world.chat_with(header, "gpt", json!({})).await;
        served(&reply).to_owned()
    };
    let first = turn().await;
    for _ in 0..5 {
        assert_eq!(turn().await, first);
    }
    world
        .providers
        .script(&first, Step::status(429).retry_after(600));
    let second = turn().await;
    assert_ne!(second, first);
    world.providers.script(&first, Step::ok());
    for _ in 0..20 {
        assert_eq!(turn().await, second);
    }
}

#[tokio::test]
async fn a_session_in_the_body_is_the_same_as_one_in_the_header() {
    let sections = "router_settings: {optional_pre_call_checks: [session_affinity]}\n";
    let world = world(&["a", "b", "c", "d"], sections).await;
    for n in 0..6 {
        let name = format!("s{n}");
        let reply = world
            .chat_with(("x-litellm-session-id", &name), "gpt", json!({}))
            .await;
        let first = served(&reply).to_owned();
        for more in [
            json!({"litellm_session_id": name}),
            json!({"metadata": {"session_id": name}}),
        ] {
            assert_eq!(served(&world.chat("gpt", more).await), first);
        }
    }
}

//! Answers that decline the content, found in a success.

use serde_json::{Value, json};
use ziggurat_testkit::provider::Step;
use ziggurat_tests::{Reply, VirtualWorld, chat};

use crate::{
    reliability::support::{asked, counts},
    support::{CHAT, world},
};

const GROUPS: [(&str, &[&str]); 3] = [("gpt", &["a"]), ("claude", &["b"]), ("llama", &["c"])];

/// An outage of `gpt` is answered by `claude`, and a refusal by `llama` if that is wanted.
fn declining(refusals: bool, step: Step) -> VirtualWorld {
    let list = match refusals {
        true => ", content_policy_fallbacks: [{gpt: [llama]}]",
        false => "",
    };
    let settings = format!("router_settings: {{fallbacks: [{{gpt: [claude]}}]{list}}}");
    let world = world(&GROUPS, &settings);
    world.providers.script("a", step);
    world
}

fn whole(message: &Value, finish: &str) -> Step {
    let choice = json!({"index": 0, "message": message, "finish_reason": finish});
    let usage = json!({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13});
    let body = json!({"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage});
    Step::ok().raw(body.to_string(), "application/json")
}

fn events(deltas: &[Value], finish: &str) -> Step {
    let last = (json!({}), json!(finish));
    let deltas = deltas.iter().map(|delta| (delta.clone(), Value::Null));
    let mut text = String::new();
    for (delta, finish) in deltas.chain([last]) {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        let chunk = json!({"id": "x", "object": "chat.completion.chunk", "model": "m", "choices": [choice]});
        text += &format!("data: {chunk}\n\n");
    }
    text += "data: [DONE]\n\n";
    Step::ok().raw(text, "text/event-stream")
}

fn role() -> Value {
    json!({"role": "assistant", "content": "", "refusal": null})
}

async fn ask(world: &VirtualWorld, stream: bool) -> Reply {
    world
        .post(CHAT, &chat("gpt", json!({"stream": stream})))
        .await
}

/// Whether the request is streamed, and an answer that declines.
fn refusals() -> Vec<(bool, Step)> {
    let refused = json!({"role": "assistant", "content": null, "refusal": "I will not"});
    let filtered = json!({"role": "assistant", "content": ""});
    let words = [json!({"refusal": "I will"}), json!({"refusal": " not"})];
    let streamed = [vec![role()], words.to_vec()].concat();
    vec![
        (false, whole(&filtered, "content_filter")),
        (false, whole(&refused, "stop")),
        (true, events(&streamed, "stop")),
        (true, events(&[role()], "content_filter")),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_declines_goes_to_the_list_for_refusals() {
    for (stream, step) in refusals() {
        let world = declining(true, step);
        for _ in 0..3 {
            let reply = ask(&world, stream).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            assert!(reply.answer().starts_with("from c"), "{}", reply.text);
            assert_eq!(asked(&reply), "ac");
            assert!(!reply.text.contains("I will"), "{}", reply.text);
        }
        // It speaks against nobody, and no outage.
        assert_eq!(counts(&world, ["a", "b", "c"]), [3, 0, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn without_such_a_list_an_answer_that_declines_is_the_answer() {
    for (stream, step) in refusals() {
        let world = declining(false, step);
        let reply = ask(&world, stream).await;
        assert_eq!((reply.status, asked(&reply).as_str()), (200, "a"));
        let told = reply.text.contains("content_filter") || reply.text.contains("I will");
        assert!(told, "{}", reply.text);
        assert!(!stream || reply.is_whole_stream(), "{}", reply.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_content_is_not_taken_back_for_a_later_refusal() {
    let deltas = [role(), json!({"content": "well"}), json!({"refusal": "no"})];
    let world = declining(true, events(&deltas, "content_filter"));
    let reply = ask(&world, true).await;
    assert!(reply.is_whole_stream(), "{}", reply.text);
    assert_eq!(
        (reply.answer().as_str(), asked(&reply).as_str()),
        ("well", "a")
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_with_a_status_goes_to_the_same_list_and_to_no_other() {
    for (list, expected) in [(true, "ac"), (false, "a")] {
        let step = Step::status(400).error_code("content_filter");
        let world = declining(list, step);
        let reply = ask(&world, false).await;
        assert_eq!(asked(&reply), expected, "{}", reply.text);
        assert_eq!(reply.status, if list { 200 } else { 400 });
    }
}

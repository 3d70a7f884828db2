//! What makes another name, and what has none.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use ziggurat_cache::{CacheKey, Keys};
use ziggurat_core::{
    Caller, Error, LlmRequest, ObjectId, Operation, Overrides, ReadOptions, Redirect,
};

fn read(body: &str) -> Result<LlmRequest, Error> {
    LlmRequest::from_bytes(Operation::ChatCompletions, body.to_owned())
}

fn key(body: &Value) -> Option<CacheKey> {
    Keys::new().key(&read(&body.to_string()).expect("is a request"), "gpt")
}

/// A request of which every part says something.
fn full() -> Value {
    json!({
        "model": "gpt",
        "messages": [
            {"role": "system", "content": "be kind", "name": "s"},
            {"role": "user", "content": [{"type": "text", "text": "why?"}]},
        ],
        "temperature": 0.5, "top_p": 1, "n": 1, "seed": 7, "max_tokens": 9, "stop": ["a", "b"],
        "stream": false, "stream_options": null, "user": "u", "logit_bias": {"50256": -100},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": true}}}],
        "tool_choice": "auto", "reasoning_effort": "low", "safety_identifier": "i", "future": {"x": [1, null]},
    })
}

/// Every place in a value, by its pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                places(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                places(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i32..3).prop_map(Value::from),
        (0_u8..8).prop_map(|n| Value::from(f64::from(n) / 4.0)),
        "[a-c]{0,2}".prop_map(Value::from),
        prop::collection::vec(0_i32..3, 0..3).prop_map(Value::from),
        Just(json!({"x": 1})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn whatever_is_changed_anywhere_makes_another_name(
        at in any::<prop::sample::Index>(), new in leaf(), adds: bool,
    ) {
        let own = full();
        let mut all = Vec::new();
        places(&own, "", &mut all);
        let at = &all[at.index(all.len())];
        let mut other = own.clone();
        let place = other.pointer_mut(at).expect("is there");
        match place {
            Value::Object(members) if adds => drop(members.insert("added".to_owned(), new)),
            Value::Array(list) if adds => list.push(new),
            place => *place = new,
        }
        prop_assume!(other != own);
        // What is no request any more is answered by nobody.
        if let Ok(request) = read(&other.to_string()) {
            let other = Keys::new().key(&request, request.group().as_str());
            prop_assert!(other.is_none() || other != key(&own), "{at}");
        }
    }
}

#[test]
fn what_may_be_read_in_two_ways_or_plays_failures_has_no_name() {
    let with = |more: &str| read(&format!(r#"{{"model":"gpt","messages":[]{more}}}"#));
    let named = |more: &str| {
        let request = with(more).expect("is a request");
        Keys::new().key(&request, "gpt").is_some()
    };
    assert!(named(""));
    for more in [
        r#","x":1,"x":2"#,
        r#","x":{"y":1,"y":1}"#,
        r#","seed":123456789012345678901"#,
        r#","mock_testing_fallbacks":true"#,
        r#","mock_response":"hi""#,
    ] {
        assert!(!named(more), "{more}");
    }
}

#[test]
fn what_leaves_deployments_out_is_a_part_of_the_name() {
    let request = || read(r#"{"model":"gpt","messages":[],"tags":["a","b"]}"#).expect("is one");
    let keys = Keys::new();
    let own = keys.key(&request(), "gpt");
    let region = read(r#"{"model":"gpt","messages":[],"allowed_model_region":"eu"}"#);
    assert_ne!(keys.key(&region.expect("is one"), "gpt"), own);
    let caller = Caller::new().with_key("k");
    let of = |caller: &Caller| keys.key(&request().with_caller(caller.clone()), "gpt");
    assert_ne!(of(&caller), own);
    assert_ne!(
        of(&caller.clone().with_access_groups(["beta"])),
        of(&caller)
    );
    assert_ne!(of(&caller.clone().with_admin()), of(&caller));

    let tagged = Keys::new().tags(true);
    let tags = |tags: [&str; 2]| {
        let mut request = read(r#"{"model":"gpt","messages":[]}"#).expect("is one");
        request.add_tags(tags);
        [tagged.key(&request, "gpt"), keys.key(&request, "gpt")]
    };
    assert_eq!(tags(["a", "b"]), tags(["b", "a"]));
    let ([with, without], [other_with, other_without]) = (tags(["a", "b"]), tags(["a", "c"]));
    assert_ne!(with, other_with);
    assert_eq!(without, other_without);
}

#[test]
fn groups_share_if_that_is_said_and_headers_count_if_they_are_named() {
    let request = LlmRequest::chat("gpt", "hi");
    let shared = Keys::new().sharing([["gpt", "azure"], ["gpt", "llama"]]);
    let of = |group| shared.key(&request, group);
    assert_eq!(of("gpt"), of("azure"));
    assert_ne!(of("gpt"), of("llama"), "it is of the first list");
    assert_ne!(
        Keys::new().key(&request, "gpt"),
        Keys::new().key(&request, "azure")
    );

    let beside = Keys::new().beside(|request| request.session().unwrap_or_default());
    let named = LlmRequest::chat("gpt", "hi").with_session("s");
    assert_ne!(beside.key(&request, "gpt"), beside.key(&named, "gpt"));
}

#[test]
fn an_object_that_one_deployment_has_is_no_other_deployments() {
    let with = |id: &str| {
        let file = ObjectId::new(&id.into(), "file-1").expect("has an id");
        let part = json!({"type": "file", "file": {"file_id": file.to_string()}});
        let messages = json!([{"role": "user", "content": [part]}]);
        key(&json!({"model": "gpt", "messages": messages}))
    };
    assert_ne!(with("a"), with("b"));
}

#[test]
fn overrides_are_a_part_of_the_body() {
    let request = LlmRequest::chat("gpt", "hi");
    let fields = Map::from_iter([("seed".to_owned(), json!(1))]);
    let overrides = Overrides::new(fields, ReadOptions::new()).expect("are some");
    let other = request
        .clone()
        .with_overrides(&overrides)
        .expect("takes them");
    assert_ne!(
        Keys::new().key(&request, "gpt"),
        Keys::new().key(&other, "gpt")
    );
}

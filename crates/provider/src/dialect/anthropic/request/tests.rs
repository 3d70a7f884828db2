use serde_json::json;
use ziggurat_core::Deployment;

use super::*;
use crate::dialect::anthropic::test::asked_of;

fn try_written(model: &str, drops: bool, mut body: Value) -> Result<Value, Error> {
    if body.get("messages").is_none() {
        body["messages"] = json!([{"role": "user", "content": "hi"}]);
    }
    let deployment = Deployment::new("a", "claude", model).with_drop_params(drops);
    let sent = asked_of(deployment, &body, |call| write(call, Host::Direct))?;
    Ok(sent.body.into())
}

fn written(body: Value) -> Value {
    try_written("claude-sonnet-4-5", false, body).expect("can be said")
}

/// What is refused, and would be dropped.
fn refused(model: &str, body: Value) -> String {
    let error = try_written(model, false, body.clone()).expect_err("is refused");
    assert_eq!(error.code(), "unsupported_parameter");
    let param = error.param().expect("is named").to_owned();
    let dropped = try_written(model, true, body).expect("is dropped");
    assert_eq!(dropped.get(&param), None);
    param
}

#[test]
fn a_request_is_said_in_all_its_parts() {
    let body = written(json!({
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}],
        "stream": true, "stream_options": {"include_usage": true}, "max_completion_tokens": 9,
        "temperature": 1.7, "top_k": 5, "stop": ["a", "b"], "stop_sequences": ["c"], "user": "u-1",
        "n": 1, "seed": 7, "logprobs": false, "presence_penalty": 0, "store": true,
        "service_tier": "default", "parallel_tool_calls": true, "container": "c1",
        "cache_control": {"type": "ephemeral"},
    }));
    let expected = json!({
        "model": "claude-sonnet-4-5", "stream": true, "max_tokens": 9,
        "system": [{"type": "text", "text": "s"}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "temperature": 1, "top_k": 5, "stop_sequences": ["a", "b", "c"],
        "metadata": {"user_id": "u-1"}, "service_tier": "standard_only", "container": "c1",
        "cache_control": {"type": "ephemeral"},
    });
    assert_eq!(body, expected);
    assert_eq!(written(json!({}))["max_tokens"], 4096);
}

#[test]
fn what_would_change_the_answer_is_refused_by_name() {
    for (name, value) in [
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("presence_penalty", json!(0.5)),
        ("frequency_penalty", json!(-1)),
        ("logit_bias", json!({"7": 1})),
        ("audio", json!({"voice": "x"})),
        ("stop", json!(["\n"])),
    ] {
        let mut body = json!({});
        body[name] = value;
        assert_eq!(refused("claude-sonnet-4-5", body), name);
    }
    let list = json!({"type": "json_schema", "json_schema": {"schema": {"type": "array"}}});
    let body = json!({"response_format": list});
    assert_eq!(refused("claude-3-haiku-20240307", body), "response_format");
}

#[test]
fn a_model_gets_the_sampling_that_it_takes() {
    let both = || json!({"temperature": 0.5, "top_p": 0.9});
    let old = try_written("claude-3-haiku-20240307", false, both()).expect("takes both");
    assert_eq!(
        (&old["temperature"], &old["top_p"]),
        (&json!(0.5), &json!(0.9))
    );
    assert_eq!(refused("claude-sonnet-4-5", both()), "top_p");
    let habit = written(json!({"temperature": 0, "top_p": 1}));
    assert_eq!(
        (&habit["temperature"], habit.get("top_p")),
        (&json!(0), None)
    );
    let new = "claude-opus-4-7";
    assert_eq!(refused(new, json!({"temperature": 0.2})), "temperature");
    assert_eq!(refused(new, json!({"top_k": 2})), "top_k");
    let usual = try_written(new, false, json!({"temperature": 1.0})).expect("is usual");
    assert_eq!(usual.get("temperature"), None);
}

#[test]
fn who_thinks_is_not_told_how_to_choose() {
    let body =
        written(json!({"reasoning_effort": "low", "temperature": 0.2, "top_p": 0.5, "top_k": 3}));
    assert_eq!(
        body["thinking"],
        json!({"type": "enabled", "budget_tokens": 1024})
    );
    for name in ["temperature", "top_p", "top_k"] {
        assert_eq!(body.get(name), None);
    }
    let f = json!({"type": "function", "function": {"name": "f"}});
    let forced = written(
        json!({"tools": [f], "tool_choice": "required", "reasoning_effort": "low", "temperature": 0.2}),
    );
    assert_eq!(
        (forced.get("thinking"), &forced["temperature"]),
        (None, &json!(0.2))
    );
    let prefilled =
        json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "I"}]);
    let prefilled = written(json!({"messages": prefilled, "reasoning_effort": "low"}));
    assert_eq!(prefilled.get("thinking"), None);
}

#[test]
fn a_form_is_asked_for_as_the_model_knows_it() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let body = written(json!({"response_format": format, "output_config": {"effort": "low"}}));
    let output = json!({"effort": "low", "format": {"type": "json_schema", "schema": schema}});
    assert_eq!(body["output_config"], output);
    assert_eq!(body.get("tools"), None);
    let asked = json!({"response_format": format, "reasoning_effort": "high"});
    let old = try_written("claude-3-7-sonnet-20250219", false, asked).expect("can be said");
    assert_eq!(old["tools"][0]["input_schema"], schema);
    assert_eq!(old["tool_choice"]["name"], form::TOOL);
    assert_eq!(
        (old.get("output_config"), old.get("thinking")),
        (None, None)
    );
    let words = written(json!({"response_format": {"type": "json_object"}}));
    assert_eq!(words["system"][0]["text"], form::WORDS);
}

#[test]
fn an_effort_is_told_beside_the_form() {
    let body = json!({"reasoning_effort": "medium"});
    let body = try_written("claude-sonnet-5", false, body).expect("can be said");
    assert_eq!(body["output_config"], json!({"effort": "medium"}));
    assert_eq!(body["thinking"]["type"], "adaptive");
}

#[test]
fn nobody_is_told_who_asks_by_an_address() {
    for (metadata, user, expected) in [
        (json!({"user_id": "id"}), json!("u"), Some("id")),
        (json!({"team": "x"}), json!("u"), Some("u")),
        (Value::Null, json!("a@b.example"), None),
        (Value::Null, json!("x".repeat(300)), None),
        (json!("odd"), Value::Null, None),
    ] {
        let body = written(json!({"metadata": metadata, "user": user}));
        assert_eq!(body["metadata"]["user_id"].as_str(), expected);
    }
}

mod answered;
mod recorded;

use serde_json::json;

use super::*;
use crate::dialect::trial::Trial;

fn chat(body: Value) -> Trial {
    Trial::chat(&Ollama, body)
}

#[test]
fn a_conversation_is_asked_in_ollama_s_words() {
    let trial = chat(json!({
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            ]},
            {"role": "assistant", "reasoning_content": "hm", "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
            ]},
            {"role": "tool", "tool_call_id": "c", "content": "42"},
        ],
        "stream": true, "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 7,
        "stop": ["x"], "frequency_penalty": 0.5, "num_ctx": 4096, "options": {"seed": 8},
        "keep_alive": "5m", "user": "u", "metadata": {}, "parallel_tool_calls": true,
        "reasoning_effort": "low",
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
    }));
    let expected = json!({
        "model": "m", "stream": true, "keep_alive": "5m", "think": true,
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "look", "images": ["AA"]},
            {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [
                {"id": "c", "function": {"name": "f", "arguments": {"a": 1}}},
            ]},
            {"role": "tool", "content": "42", "tool_name": "f", "tool_call_id": "c"},
        ],
        "options": {
            "num_predict": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 8,
            "stop": ["x"], "frequency_penalty": 0.5, "num_ctx": 4096,
        },
        "tools": [{"type": "function", "function": {
            "name": "f", "description": "", "parameters": {"type": "object", "properties": {}},
        }}],
        "format": {"type": "object"},
    });
    assert_eq!(trial.sent(), expected);
    assert_eq!(trial.outgoing().expect("can be asked").path, "/api/chat");
    let below = trial.with(|it| it.with_base_url("http://host:11434/api/"));
    assert_eq!(below.outgoing().expect("can be asked").path, "/chat");
}

#[test]
fn the_models_are_listed_beside_the_chat() {
    let deployment = Deployment::new("a", "gpt", "m");
    assert_eq!(Ollama.models(&deployment), "/api/tags");
    let below = deployment.with_base_url("http://host:11434/api");
    assert_eq!(Ollama.models(&below), "/tags");
}

#[test]
fn how_hard_to_think_is_for_gpt_oss_to_hear() {
    let think = |model: &'static str, field: &str, value: Value| {
        let body = json!({"messages": [], field: value});
        let named = |_| Deployment::new("a", "gpt", model);
        chat(body).with(named).sent()["think"].take()
    };
    assert_eq!(
        think("gpt-oss:120b", "reasoning_effort", json!("xhigh")),
        "high"
    );
    assert_eq!(
        think("gpt-oss:120b", "reasoning_effort", json!("none")),
        false
    );
    assert_eq!(think("qwen3", "reasoning_effort", json!("high")), true);
    assert_eq!(think("qwen3", "reasoning_effort", json!("none")), false);
    assert_eq!(
        think("qwen3", "thinking", json!({"type": "disabled"})),
        false
    );
    assert_eq!(think("qwen3", "think", json!("low")), "low");
    assert_eq!(think("qwen3", "user", json!("u")), Value::Null);
}

#[test]
fn tools_are_left_out_if_none_is_to_be_called() {
    let ask = |choice: &str| {
        chat(json!({
            "messages": [], "tool_choice": choice,
            "tools": [{"type": "function", "function": {"name": "f"}}],
        }))
    };
    assert_eq!(ask("none").sent().get("tools"), None);
    assert!(ask("auto").sent()["tools"].is_array());
    let error = ask("required").outgoing().expect_err("cannot be kept");
    assert_eq!(
        (error.param(), error.code()),
        (Some("tool_choice"), "unsupported_parameter")
    );
    let drops = ask("required").with(|it| it.with_drop_params(true));
    assert!(drops.sent()["tools"].is_array());
}

#[test]
fn what_ollama_cannot_take_is_refused_with_its_place() {
    for part in [
        json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}}),
        json!({"type": "input_audio", "input_audio": {"data": "AA"}}),
        json!({"type": "file", "file": {"file_id": "f"}}),
        json!({"type": "video_url"}),
    ] {
        let body = json!({"messages": [{"role": "user", "content": [part]}]});
        let error = chat(body).outgoing().expect_err("is refused");
        let told = (error.status(), error.param());
        assert_eq!(
            told,
            (
                http::StatusCode::BAD_REQUEST,
                Some("messages[0].content[0]")
            )
        );
    }
    for (name, value) in [("n", json!(2)), ("logit_bias", json!({"7": 1}))] {
        let error = chat(json!({"messages": [], name: value})).outgoing();
        assert_eq!(error.expect_err("is refused").param(), Some(name));
    }
    let error = Trial::new(&Ollama, Operation::Rerank, json!({})).outgoing();
    assert_eq!(
        error.expect_err("is not served").code(),
        "unsupported_operation"
    );
}

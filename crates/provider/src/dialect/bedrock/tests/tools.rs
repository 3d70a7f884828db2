use serde_json::json;

use super::*;

fn function() -> Value {
    json!({"type": "function", "function": {
        "name": "f", "description": "", "strict": true,
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
    }})
}

fn config(model: &str, more: &Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in more.as_object().expect("has fields") {
        body[name] = value.clone();
    }
    chat(model, body).sent()["toolConfig"].take()
}

#[test]
fn tools_are_written_as_far_as_the_model_takes_them() {
    let schema = function()["function"]["parameters"].clone();
    let spec = json!({"name": "f", "inputSchema": {"json": schema}});
    let mut strict = spec.clone();
    strict["strict"] = true.into();
    let with = || json!({"tools": [function()]});
    assert_eq!(
        config(LLAMA, &with()),
        json!({"tools": [{ "toolSpec": spec }]})
    );
    assert_eq!(
        config(CLAUDE, &with()),
        json!({"tools": [{ "toolSpec": strict }]})
    );
    let own = json!({"systemTool": {"name": "nova_grounding"}});
    assert_eq!(
        config(NOVA, &json!({"tools": [own]})),
        json!({"tools": [own]})
    );
    let bare = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    let spec = &config(CLAUDE, &bare)["tools"][0]["toolSpec"];
    let empty = json!({"type": "object", "properties": {}});
    assert_eq!(spec["inputSchema"], json!({ "json": empty }));
}

#[test]
fn a_choice_of_tools_is_kept() {
    let choice = |choice: Value| {
        let mut config = config(
            CLAUDE,
            &json!({"tools": [function()], "tool_choice": choice}),
        );
        config["toolChoice"].take()
    };
    assert_eq!(choice("auto".into()), Value::Null);
    assert_eq!(choice("required".into()), json!({"any": {}}));
    let named = json!({"type": "function", "function": {"name": "f"}});
    assert_eq!(choice(named), json!({"tool": {"name": "f"}}));
    let none = json!({"tools": [function()], "tool_choice": "none"});
    assert_eq!(config(CLAUDE, &none), Value::Null);
}

#[test]
fn earlier_calls_never_go_without_a_tool() {
    let history = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]);
    let bodies = [
        json!({"messages": history}),
        json!({"messages": history, "tools": [function()], "tool_choice": "none"}),
        json!({"messages": history, "tool_choice": "required"}),
    ];
    for body in bodies {
        let config = config(CLAUDE, &body);
        assert_eq!(config["tools"][0]["toolSpec"]["name"], "no_tool");
        assert_eq!(config.get("toolChoice"), None);
    }
}

#[test]
fn claude_calls_one_tool_at_a_time_if_asked_to() {
    let body = |choice: Value| {
        json!({
            "messages": [{"role": "user", "content": "hi"}], "tools": [function()],
            "tool_choice": choice, "parallel_tool_calls": false,
        })
    };
    let named = json!({"type": "function", "function": {"name": "f"}});
    for (choice, expected) in [
        (
            json!("auto"),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (
            json!("required"),
            json!({"type": "any", "disable_parallel_tool_use": true}),
        ),
        (
            named,
            json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true}),
        ),
    ] {
        let fields = chat(CLAUDE, body(choice)).sent()["additionalModelRequestFields"].take();
        assert_eq!(fields, json!({ "tool_choice": expected }));
    }
    assert_eq!(
        refused(NOVA, body("auto".into())).param(),
        Some("parallel_tool_calls")
    );
}

#[test]
fn a_schema_is_kept_by_the_model_itself_or_by_a_tool() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}});
    let body = |more: Value| {
        let mut body = json!({
            "messages": [{"role": "user", "content": "hi"}], "response_format": format,
        });
        for (name, value) in more.as_object().expect("has fields") {
            body[name] = value.clone();
        }
        body
    };
    let native = chat(CLAUDE, body(json!({}))).sent();
    assert_eq!(native.get("toolConfig"), None);
    let format = &native["outputConfig"]["textFormat"];
    assert_eq!(format["type"], "json_schema");
    let written = &format["structure"]["jsonSchema"];
    let closed: Value =
        serde_json::from_str(written["schema"].as_str().expect("is text")).expect("is JSON");
    assert_eq!(written["name"], "n");
    assert_eq!(closed["properties"], schema["properties"]);
    assert_eq!(closed["additionalProperties"], false);

    let tool = |more| chat(NOVA, body(more)).sent()["toolConfig"].take();
    let alone = tool(json!({}));
    assert_eq!(
        alone["toolChoice"],
        json!({"tool": {"name": "ziggurat_answer"}})
    );
    assert_eq!(alone["tools"][0]["toolSpec"]["inputSchema"]["json"], schema);
    let others = tool(json!({"tools": [function()]}));
    assert_eq!(others["toolChoice"], json!({"any": {}}));
    assert_eq!(others["tools"][1]["toolSpec"]["name"], "ziggurat_answer");

    let list =
        json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "array"}}});
    let error = refused(NOVA, body(json!({"response_format": list})));
    assert_eq!(error.param(), Some("response_format"));
    let words = chat(
        NOVA,
        body(json!({"response_format": {"type": "json_object"}})),
    )
    .sent();
    assert!(words["system"].to_string().contains("JSON object"));
}

#[test]
fn a_tool_that_is_none_of_bedrocks_is_refused() {
    let body =
        |tool: Value| json!({"messages": [{"role": "user", "content": "hi"}], "tools": [tool]});
    let search = body(json!({"type": "web_search"}));
    assert_eq!(refused(CLAUDE, search).param(), Some("tools[0]"));
    let mut taken = function();
    taken["function"]["name"] = "ziggurat_answer".into();
    assert_eq!(
        refused(CLAUDE, body(taken)).param(),
        Some("tools[0].function.name")
    );
}

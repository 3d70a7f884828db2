use super::*;

fn told(body: &Value, form: &Form) -> Result<(Tools, Vec<String>), Error> {
    let mut request = ChatRequest::read(body.to_string().as_bytes())?;
    let search = request.other.remove("web_search_options");
    let taken = Taken {
        deployment: &Deployment::new("a", "claude", "m"),
        strict: true,
    };
    let mut betas = Betas::default();
    let tools = write(&mut request, search, form, taken, &mut betas)?;
    Ok((tools, betas.into_names()))
}

fn tools(body: &Value) -> Tools {
    told(body, &Form::Free).expect("can be said").0
}

fn f() -> Value {
    json!({"type": "function", "function": {"name": "f"}})
}

#[test]
fn functions_keep_their_schema_and_marks() {
    let schema = json!({"properties": {"a": {"type": "string"}}});
    let tools = tools(&json!({"tools": [
        f(),
        {"type": "function", "cache_control": {"type": "ephemeral"},
            "function": {"name": "g", "description": "d", "parameters": schema, "strict": true}},
        {"type": "function", "name": "h", "parameters": {"type": "object"}, "strict": false},
    ]}));
    let expected = json!([
        {"name": "f", "input_schema": {"type": "object"}},
        {"name": "g", "description": "d", "strict": true, "cache_control": {"type": "ephemeral"},
            "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}},
        {"name": "h", "input_schema": {"type": "object"}},
    ]);
    assert_eq!(Value::from(tools.list), expected);
    assert_eq!(tools.choice, None);
}

#[test]
fn every_choice_has_its_word() {
    let named = json!({"type": "function", "function": {"name": "f"}});
    for (choice, parallel, expected) in [
        (json!("auto"), Value::Null, json!({"type": "auto"})),
        (json!("required"), json!(true), json!({"type": "any"})),
        (json!("none"), json!(false), json!({"type": "none"})),
        (named, Value::Null, json!({"type": "tool", "name": "f"})),
        (Value::Null, json!(true), Value::Null),
        (
            Value::Null,
            json!(false),
            json!({"type": "auto", "disable_parallel_tool_use": true}),
        ),
        (
            json!("required"),
            json!(false),
            json!({"type": "any", "disable_parallel_tool_use": true}),
        ),
    ] {
        let body = json!({"tools": [f()], "tool_choice": choice, "parallel_tool_calls": parallel});
        let tools = tools(&body);
        assert_eq!(tools.choice.clone().unwrap_or_default(), expected);
        let forces = expected["type"] == "any" || expected["type"] == "tool";
        assert_eq!(tools.forces(), forces);
    }
    assert_eq!(tools(&json!({"tool_choice": "auto"})), Tools::default());
}

#[test]
fn tools_of_earlier_calls_are_declared_and_not_called() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f"}});
    let tools = tools(&json!({"messages": [{"role": "assistant", "tool_calls": [call, call]}]}));
    assert_eq!(
        tools.list,
        [json!({"name": "f", "input_schema": {"type": "object"}})]
    );
    assert_eq!(tools.choice, Some(json!({"type": "none"})));
}

#[test]
fn an_answer_that_is_a_call_is_demanded() {
    let form = Form::Tool(json!({"type": "object"}));
    let choice = |body: &Value| {
        let (tools, _) = told(body, &form).expect("can be said");
        assert_eq!(tools.list.last().expect("is there")["name"], form::TOOL);
        assert!(tools.forces());
        tools.choice.expect("is forced")
    };
    let only = json!({"type": "tool", "name": form::TOOL, "disable_parallel_tool_use": true});
    assert_eq!(choice(&json!({})), only);
    assert_eq!(
        choice(&json!({"tools": [f()], "tool_choice": "none"})),
        only
    );
    assert_eq!(choice(&json!({"tools": [f()]})), json!({"type": "any"}));
    let named = json!({"type": "function", "function": {"name": "f"}});
    let body = json!({"tools": [f()], "tool_choice": named});
    assert_eq!(choice(&body), json!({"type": "tool", "name": "f"}));
    let taken = json!({"type": "function", "function": {"name": form::TOOL}});
    let error = told(&json!({ "tools": [taken] }), &form).expect_err("is taken");
    assert_eq!(error.param(), Some("tools[0].function.name"));
}

#[test]
fn the_web_is_searched_whoever_words_it() {
    let place = json!({"type": "approximate", "approximate": {"city": "Berlin", "country": "DE"}});
    let body =
        json!({"web_search_options": {"search_context_size": "low", "user_location": place}});
    let expected = json!({
        "type": WEB_SEARCH, "name": "web_search", "max_uses": 1,
        "user_location": {"type": "approximate", "city": "Berlin", "country": "DE"},
    });
    assert_eq!(tools(&body).list, [expected]);
    let bare = json!({"type": WEB_SEARCH, "name": "web_search"});
    let body = json!({"tools": [{"type": "web_search_preview"}], "web_search_options": {}});
    assert_eq!(tools(&body).list, [bare]);
}

#[test]
fn anthropics_own_tools_stay_and_others_are_refused() {
    let own = [
        json!({"type": "computer_20250124", "name": "computer", "display_width_px": 1}),
        json!({"name": "f", "input_schema": {"type": "object"}}),
        json!({"type": "web_search_20260318", "name": "web_search"}),
    ];
    let (tools, betas) = told(&json!({ "tools": own }), &Form::Free).expect("are known");
    assert_eq!(tools.list, own);
    assert_eq!(betas, ["computer-use-2025-01-24"]);
    let custom = json!({"type": "custom", "custom": {"name": "grammar"}});
    let error = told(&json!({ "tools": [custom] }), &Form::Free).expect_err("is unknown");
    assert_eq!(error.param(), Some("tools"));
}

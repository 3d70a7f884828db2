use serde_json::{Value, json};
use ziggurat_core::{Capability, Operation};

use super::*;

/// A chat request with something more in it.
fn request(more: &Value) -> LlmRequest {
    let mut body = json!({"model": "auto", "messages": [{"role": "user", "content": "12345678"}]});
    let members = more.as_object().expect("is an object").clone();
    body.as_object_mut().expect("is an object").extend(members);
    LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is valid")
}

fn chosen(rule: Rule, more: &Value) -> bool {
    let rules = Rules::new([rule]).expect("make sense");
    rules.choose(&request(more)).is_some()
}

fn rule() -> Rule {
    Rule::new("r", "g")
}

fn says(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

#[test]
fn each_condition_holds_for_the_requests_it_describes() {
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    let schema = json!({"response_format": {"type": "json_schema", "json_schema": {}}});
    let thinks = json!({"reasoning_effort": "high"});
    let image = json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]});
    let tagged = json!({"metadata": {"tags": ["eu", "batch"]}});
    let plain = json!({});
    for (rule, holds, fails) in [
        (rule().model("auto"), &plain, &json!({"model": "autos"})),
        (
            rule().models(["x", "au*"]),
            &plain,
            &json!({"model": "x-auto"}),
        ),
        (rule().min_input_tokens(3), &plain, &says("1234")),
        (rule().max_input_tokens(3), &plain, &says("123456789")),
        (rule().needs(Capability::Tools), &tools, &plain),
        (rule().needs(Capability::Vision), &image, &plain),
        (rule().needs(Capability::JsonSchema), &schema, &plain),
        (rule().needs(Capability::Reasoning), &thinks, &plain),
        (rule().without(Capability::Tools), &plain, &tools),
        (rule().stream(true), &json!({"stream": true}), &plain),
        (rule().stream(false), &plain, &json!({"stream": true})),
        (
            rule().any_tag(["us", "eu"]),
            &tagged,
            &json!({"tags": ["cn"]}),
        ),
        (
            rule().all_tags(["eu", "batch"]),
            &tagged,
            &json!({"tags": ["eu"]}),
        ),
        (
            rule().users(["u", "v"]),
            &json!({"user": "v"}),
            &json!({"user": "w"}),
        ),
        (rule().users(["u"]), &json!({"user": "u"}), &plain),
        (
            rule().keywords(["python"]),
            &says("in Python, please"),
            &says("a snake"),
        ),
    ] {
        assert!(chosen(rule.clone(), holds), "{rule:?} of {holds}");
        assert!(!chosen(rule.clone(), fails), "{rule:?} of {fails}");
    }
}

#[test]
fn the_first_rule_of_which_all_conditions_hold_wins() {
    let rules = Rules::new([
        Rule::new("both", "a").stream(true).keywords(["sql"]),
        Rule::new("one", "b").keywords(["sql"]).keywords(["join"]),
        Rule::new("rest", "c"),
    ])
    .expect("make sense");
    let group = |more: &Value| {
        let choice = rules
            .choose(&request(more))
            .expect("the last holds for all");
        choice.group().to_string()
    };
    let mut streamed = says("SQL");
    streamed["stream"] = json!(true);
    assert_eq!(group(&streamed), "a");
    assert_eq!(group(&says("an sql join")), "b");
    assert_eq!(group(&says("sql")), "c");
    assert_eq!(
        rules.groups().map(|group| &**group).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
}

#[test]
fn the_explanation_names_the_rule_and_what_held() {
    let why = |rule: Rule| rule.why();
    assert_eq!(
        why(Rule::new("vision", "g")
            .needs(Capability::Vision)
            .min_input_tokens(9)),
        r#"rule "vision", because the request needs vision and has 9 input tokens or more"#,
    );
    assert_eq!(
        why(Rule::new("rest", "g")),
        r#"rule "rest", which holds for every request"#
    );
    let words = ["a", "b", "c", "d", "e", "f"];
    assert_eq!(
        why(Rule::new("w", "g").keywords(words)),
        r#"rule "w", because the request says "a" or "b" or "c" or "d" or 2 more"#,
    );
    assert!(!why(Rule::new("u", "g").users(["alice"])).contains("alice"));
}

#[test]
fn rules_that_make_no_sense_are_refused_by_name() {
    for (rule, words) in [
        (Rule::new("", "g"), "has no name"),
        (Rule::new("r", ""), "names no group"),
        (rule().models([""]), "has an empty text in a list"),
        (rule().any_tag(Vec::<&str>::new()), "has an empty list"),
        (
            rule().min_input_tokens(2).max_input_tokens(1),
            "wants more input tokens than it allows",
        ),
        (
            rule().keywords(vec!["x"; 1_025]),
            "has more than 1,024 keywords",
        ),
        (
            rule().keywords(["x".repeat(257)]),
            "has a keyword of more than 256 bytes",
        ),
    ] {
        let name = rule.name.to_string();
        let error = Rules::new([rule]).expect_err("makes no sense");
        assert_eq!(
            (error.rule(), error.to_string()),
            (&*name, format!("rule `{name}` {words}"))
        );
    }
    let error = Rules::new([rule(), rule()]).expect_err("a name is used twice");
    assert_eq!(error.to_string(), "rule `r` is there twice");
}

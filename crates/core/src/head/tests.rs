use bytes::Bytes;
use serde_json::json;

use crate::{
    Capability, CapabilitySet, Error, ErrorKind, Fallbacks, LlmRequest, Operation, ReadOptions,
};

fn chat(body: &str) -> Result<LlmRequest, Error> {
    LlmRequest::from_bytes(Operation::ChatCompletions, body.to_owned())
}

fn refused(body: impl Into<Bytes>) -> Error {
    LlmRequest::from_bytes(Operation::ChatCompletions, body).expect_err("is refused")
}

#[test]
fn what_a_model_must_be_able_to_do_is_seen() {
    let needs = |more: &str| {
        let body = format!(r#"{{"model":"m"{more}}}"#);
        chat(&body).expect("is valid").needs()
    };
    let one = |capability| CapabilitySet::default().with(capability);
    for (more, capability) in [
        (r#","tools":[{"type":"function"}]"#, Capability::Tools),
        (
            r#","tools":[{"type":"web_search_preview"}]"#,
            Capability::WebSearch,
        ),
        (r#","web_search_options":{}"#, Capability::WebSearch),
        (r#","tool_choice":"required""#, Capability::ToolChoice),
        (r#","reasoning_effort":"low""#, Capability::Reasoning),
        (
            r#","response_format":{"type":"json_schema"}"#,
            Capability::JsonSchema,
        ),
        (r#","modalities":["text","audio"]"#, Capability::AudioOutput),
        (
            r#","messages":[{"content":[{"type":"file","file":{}}]}]"#,
            Capability::Pdf,
        ),
        (
            r#","messages":[{"content":[{"type":"image_url","image_url":{"url":"x"}}]}]"#,
            Capability::Vision,
        ),
    ] {
        assert_eq!(needs(more), one(capability), "{more}");
    }
    for more in [
        r#","tools":[]"#,
        r#","tool_choice":"auto""#,
        r#","reasoning_effort":"none""#,
        r#","thinking":{"type":"disabled"}"#,
    ] {
        assert!(needs(more).is_empty(), "{more}");
    }
}

#[test]
fn anthropics_shape_is_read_alike() {
    let body = json!({
        "model": "m", "stream": true, "max_tokens": 9, "system": [{"type": "text", "text": "be kind"}],
        "metadata": {"user_id": "u"}, "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "f", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "any"},
        "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A".repeat(10_000)}},
            {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
        ]}],
    });
    let read = |body| LlmRequest::from_value(Operation::Messages, &body).expect("is valid");
    let request = read(body.clone());
    assert!(request.is_stream());
    assert_eq!(
        (request.max_output_tokens(), request.user()),
        (Some(9), Some("u"))
    );
    let needs = [
        Capability::Vision,
        Capability::Pdf,
        Capability::Tools,
        Capability::ToolChoice,
        Capability::WebSearch,
        Capability::Reasoning,
    ];
    let needs = needs
        .into_iter()
        .fold(CapabilitySet::default(), CapabilitySet::with);
    assert_eq!(request.needs(), needs);
    assert!((10..100).contains(&request.estimated_input_tokens()));
    let sent: serde_json::Value =
        serde_json::from_slice(&request.upstream_body("m", false)).expect("is JSON");
    assert_eq!(sent, body);
    let choice = |kind| read(json!({"model": "m", "tool_choice": {"type": kind, "name": "auto"}}));
    assert!(choice("auto").needs().is_empty());
    assert!(!choice("tool").needs().is_empty());
}

#[test]
fn credentials_of_the_client_are_refused_unless_they_are_allowed_and_never_sent_on() {
    let body = r#"{"model":"m","api_key":"sk-canary","base_url":"https://x.example.com"}"#;
    let error = refused(body);
    assert_eq!(error.param(), Some("api_key"));
    let options = ReadOptions::new().client_credentials(true);
    let request = LlmRequest::read(Operation::ChatCompletions, body, options);
    let request = request.expect("is allowed");
    let client = request.controls().client.as_ref().expect("brings some");
    assert!(client.api_key.is_some() && client.base_url.is_some());
    assert_eq!(request.upstream_body("m", false), r#"{"model":"m"}"#);
    assert!(!format!("{:?}", request.controls()).contains("canary"));
}

#[test]
fn an_escaped_key_cannot_smuggle_a_second_model() {
    let error = refused(r#"{"model":"cheap","mod\u0065l":"dear"}"#);
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::BadRequest, Some("model"))
    );
    let request = chat(r#"{"mod\u0065l":"gpt"}"#).expect("is valid");
    assert_eq!(request.upstream_body("m", false), r#"{"mod\u0065l":"m"}"#);
}

#[test]
fn a_client_cannot_choose_where_its_request_goes() {
    let error = refused(r#"{"model":"gpt","api_base":"http://evil"}"#);
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::BadRequest, Some("api_base"))
    );
}

#[test]
fn bad_bodies_are_refused_with_what_and_where() {
    for (body, words) in [
        ("", "a"),
        ("[]", "expected an object at byte 0"),
        (r#"{"model":"m""#, "expected `,` or `}` at byte 12"),
        (
            r#"{"model":"m"} x"#,
            "expected the end of the body at byte 14",
        ),
        ("{}", "no `model`"),
        (r#"{"model":7}"#, "`model` must be a string"),
        (r#"{"model":""}"#, "`model` must be the name of a model"),
        (
            r#"{"model":"m","stream":"yes"}"#,
            "`stream` must be true or false",
        ),
        (
            r#"{"model":"m","max_tokens":-1}"#,
            "`max_tokens` must be a whole number from 0",
        ),
        (
            r#"{"model":"m","num_retries":1000}"#,
            "`num_retries` must be a whole number from 0 to 100",
        ),
        (
            r#"{"model":"m","timeout":0}"#,
            "`timeout` must be a number of seconds over 0",
        ),
        (
            r#"{"model":"m","fallbacks":"b"}"#,
            "`fallbacks` must be a list",
        ),
        (
            r#"{"model":"m","metadata":{"tags":"x"}}"#,
            "`metadata.tags` must be a list of strings",
        ),
    ] {
        let error = refused(body);
        assert_eq!(error.status(), 400, "{body}");
        assert!(
            error.message().contains(words),
            "{body}: {}",
            error.message()
        );
    }
    assert!(
        refused(&b"{\"model\":\"\xff\"}"[..])
            .message()
            .contains("UTF-8 at byte 10")
    );
}

#[test]
fn fallbacks_may_be_names_or_a_map() {
    let read = |body| chat(body).expect("is valid").controls().fallbacks.clone();
    let list = read(r#"{"model":"m","fallbacks":["a",{"model":"b","temperature":0}]}"#);
    assert!(matches!(list, Some(Fallbacks::List(targets)) if targets.len() == 2));
    let map = read(r#"{"model":"m","fallbacks":[{"m":["a"]},{"*":["z"]}]}"#);
    assert!(matches!(map, Some(Fallbacks::Map(maps)) if maps.len() == 2));
}

#[test]
fn the_estimate_counts_what_the_system_says_and_what_tools_are_offered() {
    let words = "word ".repeat(100);
    for (operation, system, tools) in [
        (
            Operation::ChatCompletions,
            json!({"messages": [{"role": "system", "content": words}]}),
            json!({"tools": [{"type": "function", "function": {"name": "f", "description": words}}]}),
        ),
        (
            Operation::ChatCompletions,
            json!({"messages": [], "functions": []}),
            json!({"messages": [], "functions": [{"name": "f", "description": words}]}),
        ),
        (
            Operation::Messages,
            json!({"messages": [], "system": [{"type": "text", "text": words}]}),
            json!({"messages": [], "tools": [{"name": "f", "input_schema": {"description": words}}]}),
        ),
        (
            Operation::Responses,
            json!({"input": "", "instructions": words}),
            json!({"input": "", "tools": [{"type": "function", "name": "f", "description": words}]}),
        ),
    ] {
        let estimate = |more: &serde_json::Value| {
            let mut body = json!({"model": "m", "tools": null});
            let members = more.as_object().expect("is one").clone();
            body.as_object_mut().expect("is one").extend(members);
            let request = LlmRequest::from_value(operation, &body).expect("is valid");
            request.estimated_input_tokens()
        };
        assert_eq!(estimate(&json!({"tools": []})), 0);
        let has_system = system.get("functions").is_none();
        let told = estimate(&system);
        assert!(
            !has_system || (125..140).contains(&told),
            "{system}: {told}"
        );
        let offered = estimate(&tools);
        assert!((125..160).contains(&offered), "{tools}: {offered}");
    }
}

#[test]
fn the_estimate_leaves_images_out() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{}", "A".repeat(10_000))}},
    ]}]});
    let request = LlmRequest::from_value(Operation::ChatCompletions, &body).expect("is valid");
    assert!(request.has_images());
    assert!(request.estimated_input_tokens() < 10);
}

use proptest::prelude::*;
use serde_json::{Value, json};
use ziggurat_core::ErrorKind;

use super::*;
use crate::dialect::google::UNSIGNED;

fn messages(contents: &Value) -> Value {
    to_chat(&json!({ "contents": contents }))["messages"].take()
}

/// The messages of a content of the user's with these parts.
fn user(parts: &Value) -> Value {
    messages(&json!([{"role": "user", "parts": parts}]))
}

#[test]
fn every_part_of_a_request_has_its_like_in_chat() {
    let body = json!({
        "model": "m", "stream": true,
        "systemInstruction": {"role": "user", "parts": [{"text": "be kind"}]},
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {
            "temperature": 0.5, "topP": 0.9, "topK": 40.0, "maxOutputTokens": 99, "seed": 7,
            "candidateCount": 2, "stopSequences": ["END"], "presencePenalty": 0.1,
            "frequencyPenalty": 0.2, "responseLogprobs": true, "logprobs": 3,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
        },
        "safetySettings": [{"category": 10, "threshold": 3}], "labels": {"a": "b"},
        "tools": [{"functionDeclarations": [
            {"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {"x": {"type": "INTEGER"}}}},
            {"name": "g", "parametersJsonSchema": {"type": "object", "additionalProperties": false}},
            {"name": "h"},
        ]}, {"googleSearch": {}}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "future": 1,
    });
    let tool = |name: &str, parameters: Value| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    let mut first = tool(
        "f",
        json!({"type": "object", "properties": {"x": {"type": "integer"}}}),
    );
    first["function"]["description"] = "d".into();
    let expected = json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true},
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}],
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_tokens": 99, "seed": 7, "n": 2,
        "stop": ["END"], "presence_penalty": 0.1, "frequency_penalty": 0.2, "logprobs": true,
        "top_logprobs": 3,
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema":
            {"type": "object", "properties": {"a": {"type": "string"}}}}},
        "tools": [
            first,
            tool("g", json!({"type": "object", "additionalProperties": false})),
            tool("h", json!({"type": "object", "properties": {}})),
        ],
        "tool_choice": "required", "web_search_options": {}, "future": 1,
    });
    assert_eq!(to_chat(&body), expected);
}

#[test]
fn names_may_be_written_like_this_too() {
    let body = json!({
        "system_instruction": {"parts": {"text": "be kind"}},
        "contents": {"parts": [
            {"inline_data": {"mime_type": "image/png", "data": "AAAA"}},
            {"file_data": {"mime_type": "application/pdf", "file_uri": "gs://b/x.pdf"}},
        ]},
        "generation_config": {
            "max_output_tokens": 9, "response_mime_type": "application/json",
            "thinking_config": {"thinking_level": "LOW"},
            "_response_json_schema": {"type": "object", "properties": {"snake_case": {}}},
        },
        "tools": {"function_declarations": {"name": "f", "parameters_json_schema": {"type": "object"}}},
        "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
        "safety_settings": [],
    });
    let expected = json!({
        "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "file", "file": {"file_url": "gs://b/x.pdf"}},
        ]}],
        "max_tokens": 9, "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema":
            {"type": "object", "properties": {"snake_case": {}}}}},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    });
    assert_eq!(to_chat(&body), expected);
}

#[test]
fn media_are_parts_of_their_kinds() {
    let data = |mime: &str, data: &str| json!({"inlineData": {"mimeType": mime, "data": data}});
    let shown = user(&json!([
        data("image/webp", "-_8"),
        data("audio/mpeg", "AAAA"),
        data("video/mp4", "AAAA"),
        data("application/pdf", "AAAA"),
        data("text/csv", "YSxi"),
        {"inlineData": {"mimeType": "application/x-y", "data": "AAAA", "displayName": "z.y"}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://x/y.png"}},
        {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
        {"text": "what?"},
    ]));
    let url = |kind: &str, url: &str| json!({"type": kind, kind: {"url": url}});
    let expected = json!([{"role": "user", "content": [
        url("image_url", "data:image/webp;base64,+/8="),
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        url("video_url", "data:video/mp4;base64,AAAA"),
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "document.pdf"}},
        {"type": "text", "text": "a,b"},
        {"type": "file", "file": {"file_data": "data:application/x-y;base64,AAAA", "filename": "z.y"}},
        url("image_url", "https://x/y.png"),
        url("video_url", "https://www.youtube.com/watch?v=1"),
        {"type": "text", "text": "what?"},
    ]}]);
    assert_eq!(shown, expected);
}

#[test]
fn results_find_their_calls_with_and_without_ids() {
    let call = |name: &str, id: Option<&str>| json!({"functionCall": {"name": name, "args": {"x": 1}, "id": id}});
    let result = |name: &str, id: Option<&str>, response: Value| json!({"functionResponse": {"name": name, "id": id, "response": response}});
    let told = messages(&json!([
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": [call("f", None), call("f", None)]},
        {"role": "function", "parts": [result("f", None, json!({"output": "one"}))]},
        {"role": "function", "parts": [result("f", None, json!({"error": "two"}))]},
        {"role": "model", "parts": [call("g", Some("a")), call("g", Some("b"))]},
        {"role": "user", "parts": [
            {"text": "and?"},
            result("g", Some("b"), json!({"result": 1})),
            result("g", Some("a"), json!([1])),
        ]},
    ]));
    let called = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{\"x\":1}"}});
    let expected = json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": null, "tool_calls": [called("call00000", "f"), called("call00001", "f")]},
        {"role": "tool", "tool_call_id": "call00000", "content": "one"},
        {"role": "tool", "tool_call_id": "call00001", "content": "two", "is_error": true},
        {"role": "assistant", "content": null, "tool_calls": [called("a", "g"), called("b", "g")]},
        {"role": "tool", "tool_call_id": "b", "content": "{\"result\":1}"},
        {"role": "tool", "tool_call_id": "a", "content": "[1]"},
        {"role": "user", "content": "and?"},
    ]);
    assert_eq!(told, expected);
}

#[test]
fn what_the_model_said_in_pieces_is_one_message() {
    let ours = super::super::signature::write(vec![
        json!({"type": "thinking", "thinking": "hm", "signature": "s"}),
        json!({"type": "thinking", "thinking": "so", "signature": ""}),
    ]);
    let told = messages(&json!([
        {"role": "model", "parts": [{"text": "hm", "thought": true}]},
        {"role": "model", "parts": [{"text": "he", "thoughtSignature": ours}]},
        {"role": "model", "parts": [{"text": "llo"}, {"executableCode": {"code": "1"}}]},
        {"role": "model", "parts": [
            {"functionCall": {"name": "f"}, "thoughtSignature": "CiQB"},
            {"functionCall": {"name": "g"}, "thoughtSignature": UNSIGNED},
        ]},
        {"role": "model", "parts": [{"text": "", "thought_signature": "AbCd"}]},
        {"role": "user", "parts": []},
    ]));
    let expected = json!([
        {
            "role": "assistant", "content": "hello", "reasoning_content": "hm",
            "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
            "tool_calls": [
                {"id": "call00000", "type": "function", "function": {"name": "f", "arguments": "{}"},
                    "provider_specific_fields": {"thought_signature": "CiQB"}},
                {"id": "call00001", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
            "provider_specific_fields": {"thought_signatures": ["AbCd"]},
        },
        {"role": "user", "content": ""},
    ]);
    assert_eq!(told, expected);
}

#[test]
fn thoughts_that_were_not_shown_are_known_again() {
    let hidden =
        super::super::signature::write(vec![super::super::signature::unsigned("hm".to_owned())]);
    let told = messages(&json!([{"role": "model", "parts": [
        {"functionCall": {"name": "f"}, "thoughtSignature": hidden.replace('=', "")},
    ]}]));
    assert_eq!(told[0]["reasoning_content"], "hm");
    assert!(told[0].get("thinking_blocks").is_none());
}

#[test]
fn thinking_is_an_effort_or_a_budget() {
    let think = |config: Value| {
        let body =
            json!({"contents": [{"parts": []}], "generationConfig": {"thinkingConfig": config}});
        let chat = to_chat(&body);
        json!([chat["reasoning_effort"], chat["thinking"]])
    };
    let shown = json!({"type": "adaptive", "display": "summarized"});
    for (config, expected) in [
        (
            json!({"thinkingLevel": "HIGH", "includeThoughts": true}),
            json!(["high", null]),
        ),
        (
            json!({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}),
            json!([null, null]),
        ),
        (
            json!({"thinkingBudget": 0}),
            json!([null, {"type": "disabled"}]),
        ),
        (
            json!({"thinkingBudget": -1}),
            json!([null, {"type": "adaptive"}]),
        ),
        (
            json!({"thinkingBudget": 2048}),
            json!(["medium", {"type": "enabled", "budget_tokens": 2048}]),
        ),
        (json!({"includeThoughts": true}), json!([null, shown])),
        (json!({"includeThoughts": false}), json!([null, null])),
    ] {
        assert_eq!(think(config.clone()), expected, "{config}");
    }
}

#[test]
fn only_those_functions_are_offered_that_may_be_called() {
    let choose = |config: Value| {
        let declared = ["f", "g", "h"].map(|name| json!({"name": name}));
        let chat = to_chat(&json!({
            "contents": [{"parts": []}], "tools": [{"functionDeclarations": declared}],
            "toolConfig": {"functionCallingConfig": config},
        }));
        let tools = chat["tools"].as_array().expect("is a list").iter();
        let names: Vec<_> = tools.map(|tool| tool["function"]["name"].clone()).collect();
        json!([names, chat["tool_choice"]])
    };
    let all = json!(["f", "g", "h"]);
    for (config, expected) in [
        (json!({"mode": "AUTO"}), json!([all, "auto"])),
        (json!({"mode": 2}), json!([all, "required"])),
        (
            json!({"mode": "NONE", "allowedFunctionNames": ["f"]}),
            json!([all, "none"]),
        ),
        (json!({}), json!([all, null])),
        (
            json!({"mode": "ANY", "allowedFunctionNames": ["f", "h"]}),
            json!([["f", "h"], "required"]),
        ),
        (
            json!({"mode": "VALIDATED", "allowedFunctionNames": ["g"]}),
            json!([["g"], "auto"]),
        ),
    ] {
        assert_eq!(choose(config.clone()), expected, "{config}");
    }
}

#[test]
fn an_answer_may_be_heard() {
    let chat = to_chat(&json!({"contents": [{"parts": []}], "generationConfig": {
        "responseModalities": ["TEXT", "AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}, "languageCode": "de"},
    }}));
    assert_eq!(chat["modalities"], json!(["text", "audio"]));
    assert_eq!(chat["audio"], json!({"voice": "Kore", "format": "pcm16"}));
}

#[test]
fn what_is_wrong_or_has_no_like_is_named() {
    let contents = json!([{"parts": [{"text": "x"}]}]);
    let parts = |parts: Value| json!({"contents": [{"role": "user", "parts": parts}]});
    let model = |parts: Value| json!({"contents": [{"role": "model", "parts": parts}]});
    let config = |config: Value| json!({"contents": contents, "generationConfig": config});
    let tool = |tool: Value| json!({"contents": contents, "tools": [tool]});
    for (body, at) in [
        (json!({"contents": []}), "contents"),
        (json!({"contents": 7}), "contents[0]"),
        (
            json!({"contents": [{"role": "king", "parts": []}]}),
            "contents[0].role",
        ),
        (
            parts(json!([{"inlineData": {"data": "A"}}])),
            "contents[0].parts[0].inlineData.mimeType",
        ),
        (
            parts(json!([{"fileData": {}}])),
            "contents[0].parts[0].fileData.fileUri",
        ),
        (
            parts(json!([{"functionResponse": {"name": "f"}}])),
            "contents[0].parts[0].functionResponse",
        ),
        (parts(json!([{"functionCall": {"name": "f"}}])), "contents"),
        (
            model(json!([{"functionCall": {}}])),
            "contents[0].parts[0].functionCall.name",
        ),
        (
            config(json!({"temperature": "hot"})),
            "generationConfig.temperature",
        ),
        (
            config(json!({"stopSequences": [1]})),
            "generationConfig.stopSequences",
        ),
        (
            config(json!({"thinkingConfig": {"thinkingBudget": -2}})),
            "generationConfig.thinkingConfig.thinkingBudget",
        ),
        (
            tool(json!({"functionDeclarations": [{}]})),
            "tools[0].functionDeclarations[0].name",
        ),
    ] {
        let error = asked(&body).expect_err("is wrong");
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::BadRequest, Some(at))
        );
    }
    let with = |name: &str| json!({"contents": contents, name: {"x": 1}});
    for (body, at, what) in [
        (with("cachedContent"), "cachedContent", "cachedContent"),
        (
            with("model_armor_config"),
            "modelArmorConfig",
            "modelArmorConfig",
        ),
        (
            tool(json!({"codeExecution": {}})),
            "tools[0]",
            "codeExecution",
        ),
        (
            tool(json!({"google_search": {"exclude_domains": ["x"]}})),
            "tools[0].googleSearch",
            "excludeDomains",
        ),
        (
            config(json!({"imageConfig": {}})),
            "generationConfig.imageConfig",
            "imageConfig",
        ),
        (
            config(json!({"responseMimeType": "text/x.enum"})),
            "generationConfig.responseMimeType",
            "text/x.enum",
        ),
        (
            config(json!({"speechConfig": {"multiSpeakerVoiceConfig": {}}})),
            "generationConfig.speechConfig",
            "multiSpeakerVoiceConfig",
        ),
        (
            parts(json!([{"hologram": {}}])),
            "contents[0].parts[0]",
            "hologram",
        ),
        (
            parts(json!([{"fileData": {"fileUri": "x"}, "videoMetadata": {}}])),
            "contents[0].parts[0]",
            "videoMetadata",
        ),
    ] {
        let error = asked(&body).expect_err("is refused");
        assert_eq!((error.status().as_u16(), error.param()), (400, Some(at)));
        assert!(error.message().contains(&format!("`{what}`")), "{error}");
        assert!(
            error.rejection().is_some(),
            "another deployment may take it"
        );
    }
    let plain =
        config(json!({"responseMimeType": "text/plain", "routingConfig": {"autoMode": {}}}));
    assert_eq!(
        to_chat(&plain)["messages"],
        json!([{"role": "user", "content": "x"}])
    );
    assert!(GenerateContent.to_chat(b"{", Fit::default()).is_err());
}

/// Something that a client may send by mistake, made of names that are known.
fn anything() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "contents",
        "parts",
        "text",
        "role",
        "thought",
        "thoughtSignature",
        "inlineData",
        "mimeType",
        "data",
        "fileData",
        "fileUri",
        "functionCall",
        "functionResponse",
        "name",
        "args",
        "id",
        "response",
        "output",
        "tools",
        "functionDeclarations",
        "parameters",
        "type",
        "properties",
        "items",
        "anyOf",
        "nullable",
        "enum",
        "generationConfig",
        "thinkingConfig",
        "thinkingBudget",
        "stopSequences",
        "responseSchema",
        "speechConfig",
        "toolConfig",
        "functionCallingConfig",
        "mode",
        "allowedFunctionNames",
        "systemInstruction",
        "googleSearch",
        "topK",
        "seed",
    ]);
    let words = prop::sample::select(vec![
        "user",
        "model",
        "OBJECT",
        "image/png",
        "text/plain",
        "f",
        "ANY",
        "AAAA",
        "emlnZ3VyYXQ6W3t9XQ==",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f32>().prop_map(|number| json!(number)),
        words.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..5).prop_map(|members| {
                let members = members.into_iter();
                Value::Object(
                    members
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_sent_is_refused_or_becomes_a_chat(
        contents in anything(), system in anything(), config in anything(), tools in anything(), choice in anything(),
        drops in any::<bool>(),
    ) {
        let body = json!({
            "contents": contents, "systemInstruction": system, "generationConfig": config,
            "tools": tools, "toolConfig": choice,
        });
        let deployment = ziggurat_core::Deployment::new("a", "g", "m").with_drop_params(drops);
        let chat = GenerateContent.to_chat(body.to_string().as_bytes(), Fit::of(&deployment));
        match chat {
            Ok(chat) => {
                let chat: Value = serde_json::from_slice(&chat).expect("is JSON");
                prop_assert!(chat["messages"].is_array());
            }
            Err(error) => prop_assert_eq!(error.status().as_u16(), 400),
        }
        for demands in [false, true] {
            let native = super::super::for_google(body.to_string().into(), demands);
            let native: Value = serde_json::from_slice(&native).expect("is JSON");
            prop_assert!(native.get("contents").is_some());
        }
    }
}

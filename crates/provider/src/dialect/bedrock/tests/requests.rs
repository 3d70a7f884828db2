use serde_json::json;

use super::*;

#[test]
fn a_conversation_takes_turns_and_results_come_first() {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}});
    let sent = chat(
        CLAUDE,
        json!({"messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "one"},
            {"role": "user", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": " "}]},
            {"role": "developer", "content": "be brief"},
            {
                "role": "assistant", "content": "let me see",
                "thinking_blocks": [
                    {"type": "thinking", "thinking": "hm", "signature": "s"},
                    {"type": "thinking", "thinking": "unsigned"},
                    {"type": "redacted_thinking", "data": "AAAA"},
                ],
                "tool_calls": [call("c1", "{\"a\":1}"), call("c/2", "")],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
            {"role": "user", "content": "and?"},
            {"role": "tool", "tool_call_id": "c/2", "content": ""},
        ], "tools": [{"type": "function", "function": {"name": "f"}}]}),
    )
    .sent();
    let id = sent["messages"][1]["content"][4]["toolUse"]["toolUseId"].clone();
    assert_eq!(
        sent["system"],
        json!([{"text": "be kind"}, {"text": "be brief"}])
    );
    assert_eq!(
        sent["messages"],
        json!([
            {"role": "user", "content": [{"text": "one"}, {"text": "two"}]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                {"reasoningContent": {"redactedContent": "AAAA"}},
                {"text": "let me see"},
                {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}},
                {"toolUse": {"toolUseId": id, "name": "f", "input": {}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "c1", "content": [{"text": "42"}]}},
                {"toolResult": {"toolUseId": id, "content": []}},
                {"text": "and?"},
            ]},
        ])
    );
}

#[test]
fn ids_of_others_are_made_to_fit_and_stay_apart() {
    let long = "x".repeat(65);
    let ids = ["call:1", "call.1", "call1", &long, "", ""];
    let calls: Vec<_> = ids
        .iter()
        .map(|id| json!({"id": id, "function": {"name": "f", "arguments": ""}}))
        .collect();
    let results = ids
        .iter()
        .map(|id| json!({"role": "tool", "tool_call_id": id, "name": "f"}));
    let mut messages = vec![json!({"role": "user", "content": "hi"})];
    messages.push(json!({"role": "assistant", "tool_calls": calls}));
    messages.extend(results);
    let sent = chat(CLAUDE, json!({ "messages": messages })).sent();
    let of = |message: usize, block: &str| -> Vec<String> {
        let content = sent["messages"][message]["content"]
            .as_array()
            .expect("has some");
        let ids = content
            .iter()
            .map(|it| it[block]["toolUseId"].as_str().expect("is text"));
        ids.map(str::to_owned).collect()
    };
    let called = of(1, "toolUse");
    assert_eq!(called, of(2, "toolResult"));
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    for (at, id) in called.iter().enumerate() {
        assert!(!called[..at].contains(id), "{called:?}");
        assert!(
            !id.is_empty() && id.len() <= 64 && id.chars().all(fits),
            "{id}"
        );
    }
    let stray = json!({"messages": [{"role": "tool", "content": "42"}]});
    assert_eq!(
        refused(CLAUDE, stray).param(),
        Some("messages[0].tool_call_id")
    );
}

#[test]
fn somebody_asks_first_and_nobody_says_nothing() {
    let messages =
        |messages| chat(CLAUDE, json!({ "messages": messages })).sent()["messages"].take();
    let user = |text: &str| json!({"role": "user", "content": [{"text": text}]});
    assert_eq!(
        messages(json!([{"role": "system", "content": "hi"}])),
        json!([user("hi")])
    );
    assert_eq!(
        messages(
            json!([{"role": "user", "content": " "}, {"role": "assistant", "content": "so \n"}])
        ),
        json!([user("."), {"role": "assistant", "content": [{"text": "so"}]}])
    );
}

#[test]
fn images_files_and_sound_are_blocks_and_a_document_has_text_beside_it() {
    let sent = chat(
        CLAUDE,
        json!({"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE", "filename": "a_b.pdf"}},
            {"type": "file", "file": {"file_data": "data:image/webp;base64,AAAA"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
            {"type": "guarded_text", "text": "x"},
            {"guardContent": {"text": {"text": "y"}}},
        ]}]}),
    )
    .sent();
    assert_eq!(
        sent["messages"][0]["content"],
        json!([
            {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
            {"document": {"format": "pdf", "name": "a b", "source": {"bytes": "JVBE"}}},
            {"image": {"format": "webp", "source": {"bytes": "AAAA"}}},
            {"audio": {"format": "mp3", "source": {"bytes": "AAAA"}}},
            {"video": {"format": "mp4", "source": {"bytes": "AAAA"}}},
            {"guardContent": {"text": {"text": "x"}}},
            {"guardContent": {"text": {"text": "y"}}},
            {"text": "."},
        ])
    );
}

#[test]
fn what_cannot_be_said_is_refused_with_its_place() {
    for part in [
        json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}}),
        json!({"type": "file", "file": {"file_id": "file-1"}}),
        json!({"type": "hologram", "hologram": {}}),
        json!({"type": "video_url"}),
    ] {
        let parts = json!([{"type": "text", "text": "x"}, part]);
        let error = refused(
            CLAUDE,
            json!({"messages": [{"role": "user", "content": parts}]}),
        );
        assert_eq!(
            (error.status(), error.param()),
            (
                http::StatusCode::BAD_REQUEST,
                Some("messages[0].content[1]")
            ),
            "{part}"
        );
    }
}

#[test]
fn marks_of_the_cache_stand_behind_what_they_mark() {
    let cache = json!({"type": "ephemeral"});
    let body = json!({"messages": [
        {"role": "system", "content": [{"type": "text", "text": "long", "cache_control": cache}]},
        {"role": "user", "content": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "x", "cache_control": cache}]},
    ], "tools": [{"type": "function", "function": {"name": "f"}, "cache_control": cache}]});
    let point = json!({"cachePoint": {"type": "default"}});
    let hour = json!({"cachePoint": {"type": "default", "ttl": "1h"}});
    let sent = chat(CLAUDE, body.clone()).sent();
    assert_eq!(sent["system"], json!([{"text": "long"}, point]));
    assert_eq!(
        sent["messages"][0]["content"],
        json!([{"text": "hi"}, hour])
    );
    let result = json!({"toolResult": {"toolUseId": "c", "content": [{"text": "x"}]}});
    assert_eq!(sent["messages"][2]["content"], json!([result, point]));
    assert_eq!(sent["toolConfig"]["tools"][1], point);

    let without = chat(LLAMA, body).sent().to_string();
    assert!(!without.contains("cachePoint"), "{without}");
}

#[test]
fn sampling_and_the_fields_of_each_family_have_their_places() {
    let asked = || {
        json!({
            "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 9, "stop": "x",
            "temperature": 0.5, "top_p": 0.9, "top_k": 7, "user": "u-1", "n": 1, "seed": 3,
            "presence_penalty": 0, "service_tier": "flex", "store": true,
            "guardrailConfig": {"guardrailIdentifier": "g", "trace": "enabled"},
            "additionalModelRequestFields": {"mine": 1},
        })
    };
    let sent = chat(OLD_CLAUDE, asked()).sent();
    assert_eq!(
        sent,
        json!({
            "messages": [{"role": "user", "content": [{"text": "hi"}]}],
            "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
            "additionalModelRequestFields": {"mine": 1, "top_k": 7},
            "guardrailConfig": {"guardrailIdentifier": "g", "trace": "enabled"},
            "serviceTier": {"type": "flex"},
            "requestMetadata": {"user": "u-1"},
        })
    );
    let fields = chat(NOVA, asked()).sent()["additionalModelRequestFields"].take();
    assert_eq!(fields, json!({"mine": 1, "inferenceConfig": {"topK": 7}}));
    let short = chat(OLD_CLAUDE, asked()).with(|it| it.with_max_output_tokens(4));
    assert_eq!(short.sent()["inferenceConfig"]["maxTokens"], 4);
    let mut mail = asked();
    mail["user"] = "a@b.test".into();
    assert_eq!(chat(NOVA, mail).sent().get("requestMetadata"), None);
}

#[test]
fn while_claude_thinks_it_chooses_its_words_itself_and_a_demanded_call_stops_it() {
    let mut body = json!({
        "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5, "top_k": 7,
        "reasoning_effort": "low",
    });
    let sent = chat(CLAUDE, body.clone()).sent();
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    assert_eq!(
        sent["additionalModelRequestFields"],
        json!({ "thinking": thinking })
    );
    assert_eq!(sent["inferenceConfig"], json!({"maxTokens": 5120}));

    body["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    body["tool_choice"] = "required".into();
    let sent = chat(CLAUDE, body.clone()).sent();
    assert_eq!(sent["additionalModelRequestFields"], json!({"top_k": 7}));
    assert_eq!(sent["inferenceConfig"], json!({"temperature": 0.5}));

    body["tool_choice"] = "auto".into();
    body["messages"] = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]);
    let sent = chat(CLAUDE, body.clone()).sent();
    assert_eq!(
        sent["additionalModelRequestFields"],
        json!({"top_k": 7}),
        "thoughts are missing"
    );
    body["messages"][1]["thinking_blocks"] =
        json!([{"type": "thinking", "thinking": "hm", "signature": "s"}]);
    let sent = chat(CLAUDE, body).sent();
    assert_eq!(
        sent["additionalModelRequestFields"],
        json!({ "thinking": thinking })
    );
}

#[test]
fn what_bedrock_has_not_is_refused_by_name_or_dropped() {
    let hi = json!([{"role": "user", "content": "hi"}]);
    for (field, value) in [
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("presence_penalty", json!(0.5)),
        ("frequency_penalty", json!(0.5)),
        ("logit_bias", json!({"7": 1})),
        ("anthropic_beta", json!(["x"])),
        ("reasoning_effort", json!("high")),
    ] {
        let body = json!({"messages": hi, field: value});
        let error = refused(LLAMA, body.clone());
        assert_eq!(
            (error.param(), error.code()),
            (Some(field), "unsupported_parameter")
        );
        let drops = chat(LLAMA, body).with(|deployment| deployment.with_drop_params(true));
        let expected = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
        assert_eq!(drops.sent(), expected, "{field}");
    }
    let fields = json!({"messages": hi, "additionalModelRequestFields": 7});
    assert_eq!(
        refused(CLAUDE, fields).param(),
        Some("additionalModelRequestFields")
    );
    let beta = chat(CLAUDE, json!({"messages": hi, "anthropic_beta": ["x"]})).sent();
    assert_eq!(
        beta["additionalModelRequestFields"],
        json!({"anthropic_beta": ["x"]})
    );
}

#[test]
fn the_path_names_the_model_and_how_it_is_asked() {
    let path = |model: &str, streams: bool| {
        let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": streams});
        chat(model, body).outgoing().expect("can be asked").path
    };
    let model = "/model/anthropic.claude-3-haiku-20240307-v1%3A0";
    assert_eq!(path(OLD_CLAUDE, false), format!("{model}/converse"));
    assert_eq!(path(OLD_CLAUDE, true), format!("{model}/converse-stream"));
    let invoked = format!("invoke/{OLD_CLAUDE}");
    assert_eq!(path(&invoked, false), format!("{model}/invoke"));
    assert_eq!(
        path(&invoked, true),
        format!("{model}/invoke-with-response-stream")
    );
}

#[test]
fn claude_may_be_asked_in_the_words_of_its_maker() {
    let body =
        json!({"messages": [{"role": "user", "content": "hi"}], "stream": true, "max_tokens": 5});
    let sent = chat(&format!("invoke/{OLD_CLAUDE}"), body).sent();
    assert_eq!(sent["anthropic_version"], "bedrock-2023-05-31");
    assert_eq!(
        (&sent["max_tokens"], sent.get("stream"), sent.get("model")),
        (&json!(5), None, None)
    );
}

#[test]
fn a_key_is_shown_and_without_one_the_call_is_signed() {
    use crate::dialect::Dialect;
    let hi = || {
        chat(
            CLAUDE,
            json!({"messages": [{"role": "user", "content": "hi"}]}),
        )
    };
    assert!(hi().outgoing().expect("can be asked").headers.is_empty());
    let key = Bedrock
        .authorization(&deployment(CLAUDE))
        .expect("has a key");
    assert_eq!(key["authorization"], format!("Bearer {CANARY}"));

    let keys = Deployment::new("a", "gpt", CLAUDE)
        .with_provider("bedrock")
        .with_region("eu-west-1")
        .with_param("aws_access_key_id", Secret::new("AKID"))
        .with_param("aws_secret_access_key", Secret::new(CANARY));
    assert!(Bedrock.authorization(&keys).expect("has keys").is_empty());
    let host = "https://bedrock-runtime.eu-west-1.amazonaws.com";
    assert_eq!(Bedrock.base(&keys).as_deref(), Some(host));
    let sent = hi().with(|_| keys).outgoing().expect("can be asked");
    let (_, value) = &sent.headers[0];
    let value = value.to_str().expect("is text");
    assert!(
        value.contains("/19700101/eu-west-1/bedrock/aws4_request"),
        "{value}"
    );
    assert!(!format!("{sent:?}").contains("Signature"));
    let none = Deployment::new("a", "gpt", CLAUDE).with_provider("bedrock");
    assert!(Bedrock.authorization(&none).is_err());
    assert_eq!(Bedrock.base(&none), None);
}

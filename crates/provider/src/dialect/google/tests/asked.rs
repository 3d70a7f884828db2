use serde_json::json;

use super::*;

fn refused(body: Value) -> Error {
    let error = studio("gemini-2.5-pro", body).outgoing();
    let error = error.expect_err("is refused");
    assert_eq!(error.status(), http::StatusCode::BAD_REQUEST);
    error
}

#[test]
fn a_conversation_is_asked_in_google_s_words() {
    let sent = studio(
        "gemini-2.5-pro",
        json!({
            "messages": [
                {"role": "developer", "content": "be kind"},
                {"role": "user", "content": [
                    {"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
                    {"type": "input_audio", "input_audio": {"data": "BB", "format": "wav"}},
                    {"type": "file", "file": {"file_data": "data:application/pdf;base64,CC"}},
                ]},
                {"role": "user", "content": "well?"},
                {"role": "assistant", "content": "a gem", "reasoning_content": "hm"},
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": "whose?"},
            ],
        }),
    )
    .sent();
    let expected = json!({
        "systemInstruction": {"parts": [{"text": "be kind"}, {"text": "be brief"}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "look"},
                {"inlineData": {"mimeType": "image/png", "data": "AA"}},
                {"inlineData": {"mimeType": "audio/wav", "data": "BB"}},
                {"inlineData": {"mimeType": "application/pdf", "data": "CC"}},
                {"text": "well?"},
            ]},
            {"role": "model", "parts": [{"text": "a gem"}]},
            {"role": "user", "parts": [{"text": "whose?"}]},
        ],
    });
    assert_eq!(sent, expected);
}

fn with_calls() -> Value {
    let call = |id: &str, city: &str, extra: Value| {
        json!({"id": id, "type": "function", "provider_specific_fields": extra,
            "function": {"name": "weather", "arguments": json!({"city": city}).to_string()}})
    };
    json!({"messages": [
        {"role": "user", "content": "hot?"},
        {"role": "assistant", "content": "let me see",
            "provider_specific_fields": {"thought_signatures": ["old", "text"]},
            "tool_calls": [
                call("1", "Rome", json!({"thought_signature": "first"})),
                call("2", "Oslo", Value::Null),
            ]},
        {"role": "tool", "tool_call_id": "2", "content": "no"},
        {"role": "tool", "tool_call_id": "1", "content": [
            {"type": "text", "text": "{\"hot\":true}"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        ]},
        {"role": "user", "content": "thanks"},
    ]})
}

#[test]
fn results_go_back_in_one_turn_in_the_order_of_the_calls() {
    let sent = studio("gemini-2.5-pro", with_calls()).sent();
    let expected = json!([
        {"role": "user", "parts": [{"text": "hot?"}]},
        {"role": "model", "parts": [
            {"text": "let me see", "thoughtSignature": "text"},
            {"functionCall": {"name": "weather", "args": {"city": "Rome"}}, "thoughtSignature": "first"},
            {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "weather", "response": {"hot": true}}},
            {"inlineData": {"mimeType": "image/png", "data": "AA"}},
            {"functionResponse": {"name": "weather", "response": {"output": "no"}}},
        ]},
        {"role": "user", "parts": [{"text": "thanks"}]},
    ]);
    assert_eq!(sent["contents"], expected);
}

#[test]
fn the_third_generation_gets_ids_and_signatures_whoever_made_the_call() {
    let sent = studio("gemini-3-pro-preview", with_calls()).sent();
    let parts = &sent["contents"][1]["parts"];
    assert_eq!(parts[1]["functionCall"]["id"], "1");
    assert_eq!(parts[1]["thoughtSignature"], "first");
    assert_eq!(parts[2].get("thoughtSignature"), None);
    let result = &sent["contents"][2]["parts"][0]["functionResponse"];
    assert_eq!(result["id"], "1");
    assert_eq!(result["parts"][0]["inlineData"]["data"], "AA");

    let mut foreign = with_calls();
    foreign["messages"][1]["tool_calls"][0]["provider_specific_fields"] = Value::Null;
    let sent = studio("gemini-3-pro-preview", foreign).sent();
    let parts = &sent["contents"][1]["parts"];
    assert_eq!(
        parts[1]["thoughtSignature"],
        "skip_thought_signature_validator"
    );
    assert_eq!(parts[2].get("thoughtSignature"), None);
}

#[test]
fn a_result_is_an_object_and_belongs_to_a_call() {
    let ask = |content: Value, more: Value| {
        let mut result = json!({"role": "tool", "tool_call_id": "c", "content": content});
        result
            .as_object_mut()
            .expect("is one")
            .extend(more.as_object().expect("is one").clone());
        json!({"messages": [
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]},
            result,
        ]})
    };
    for (content, more, expected) in [
        (json!("7"), json!({}), json!({"output": "7"})),
        (json!("[7]"), json!({}), json!({"output": [7]})),
        (json!(""), json!({}), json!({"output": ""})),
        (json!("{\"a\":1}"), json!({}), json!({"a": 1})),
        (
            json!("no"),
            json!({"is_error": true}),
            json!({"error": "no"}),
        ),
    ] {
        let sent = studio("gemini-2.5-pro", ask(content, more)).sent();
        assert_eq!(
            sent["contents"][0]["parts"][0]["functionCall"]["args"],
            json!({})
        );
        let response = &sent["contents"][1]["parts"][0]["functionResponse"]["response"];
        assert_eq!(*response, expected);
    }
    let named = json!({"messages": [{"role": "function", "name": "f", "content": "7"}]});
    let sent = studio("gemini-2.5-pro", named).sent();
    assert_eq!(
        sent["contents"][0]["parts"][0]["functionResponse"]["name"],
        "f"
    );
    let lost =
        refused(json!({"messages": [{"role": "tool", "tool_call_id": "x", "content": "7"}]}));
    assert_eq!(lost.param(), Some("messages[0].tool_call_id"));
}

#[test]
fn tools_are_declared_and_chosen() {
    let ask = |choice: Value| {
        json!({"messages": [], "tool_choice": choice, "web_search_options": {}, "tools": [
            {"type": "function", "function": {"name": "f", "description": "does", "strict": true,
                "parameters": {"type": "object", "additionalProperties": false,
                    "properties": {"a": {"type": "integer"}}}}},
            {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
            {"url_context": {}},
            {"type": "code_interpreter", "container": {"type": "auto"}},
        ]})
    };
    let named = json!({"type": "function", "function": {"name": "f"}});
    let sent = studio("gemini-2.5-pro", ask(named)).sent();
    let expected = json!([
        {"functionDeclarations": [
            {"name": "f", "description": "does", "parameters": {
                "type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}}},
            {"name": "g"},
        ]},
        {"urlContext": {}},
        {"codeExecution": {}},
        {"googleSearch": {}},
    ]);
    assert_eq!(sent["tools"], expected);
    for (choice, mode) in [
        (json!("auto"), json!({"mode": "AUTO"})),
        (json!("none"), json!({"mode": "NONE"})),
        (json!("required"), json!({"mode": "ANY"})),
        (
            json!({"type": "function", "function": {"name": "f"}}),
            json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
        ),
    ] {
        let sent = studio("gemini-2.5-pro", ask(choice)).sent();
        assert_eq!(sent["toolConfig"]["functionCallingConfig"], mode);
    }
    let odd =
        refused(json!({"messages": [], "tools": [{"type": "custom", "custom": {"name": "x"}}]}));
    assert_eq!(odd.param(), Some("tools"));
}

#[test]
fn every_way_to_shape_an_answer_has_its_place() {
    let sent = studio("gemini-2.5-flash", json!({
        "messages": [{"role": "user", "content": "x"}],
        "max_completion_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "n": 2,
        "seed": 7, "stop": ["a", "b"], "presence_penalty": 0.5, "frequency_penalty": -0.5,
        "logprobs": true, "top_logprobs": 3, "reasoning_effort": "low",
        "modalities": ["text", "image"], "user": "u", "store": true, "metadata": {"a": "b"},
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
        "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "cachedContent": "cachedContents/1", "media_resolution": "MEDIA_RESOLUTION_LOW",
        "generationConfig": {"imageConfig": {"aspectRatio": "1:1"}},
    }))
    .sent();
    let config = json!({
        "maxOutputTokens": 5, "temperature": 0.5, "topP": 0.9, "topK": 3, "candidateCount": 2,
        "seed": 7, "stopSequences": ["a", "b"], "presencePenalty": 0.5, "frequencyPenalty": -0.5,
        "responseLogprobs": true, "logprobs": 3,
        "thinkingConfig": {"thinkingBudget": 1024, "includeThoughts": true},
        "responseModalities": ["TEXT", "IMAGE"],
        "responseMimeType": "application/json", "responseJsonSchema": {"type": "object"},
        "mediaResolution": "MEDIA_RESOLUTION_LOW", "imageConfig": {"aspectRatio": "1:1"},
    });
    assert_eq!(sent["generationConfig"], config);
    assert_eq!(sent["safetySettings"][0]["threshold"], "BLOCK_NONE");
    assert_eq!(sent["cachedContent"], "cachedContents/1");
    assert_eq!(sent.as_object().expect("is one").len(), 4);

    let speech = json!({"messages": [], "modalities": ["audio"], "audio": {"voice": "Kore", "format": "pcm16"}});
    let config = &studio("gemini-2.5-flash-preview-tts", speech).sent()["generationConfig"];
    let voice = "/speechConfig/voiceConfig/prebuiltVoiceConfig/voiceName";
    assert_eq!(config.pointer(voice), Some(&json!("Kore")));
    let old = json!({"messages": [], "response_format": {"type": "json_schema",
        "json_schema": {"schema": {"type": "object", "properties": {"a": {"type": "string"}}}}}});
    let config = &studio("gemini-2.0-flash", old).sent()["generationConfig"];
    assert_eq!(
        config["responseSchema"]["properties"]["a"]["type"],
        "STRING"
    );
}

#[test]
fn what_cannot_be_asked_is_refused_by_name_or_dropped() {
    let stops: Vec<_> = (0..6).map(|stop| stop.to_string()).collect();
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    for (fields, param) in [
        (json!({"stop": stops}), "stop"),
        (json!({"logit_bias": {"7": 1}}), "logit_bias"),
        (
            json!({"parallel_tool_calls": false, "tools": tool}),
            "parallel_tool_calls",
        ),
        (json!({"audio": {"format": "mp3"}}), "audio.format"),
    ] {
        let mut body = fields;
        body["messages"] = json!([{"role": "user", "content": "x"}]);
        assert_eq!(refused(body.clone()).param(), Some(param));
        let drops = studio("gemini-2.5-pro", body);
        let sent = drops
            .with(|deployment| deployment.with_drop_params(true))
            .sent();
        assert_eq!(sent["contents"][0]["parts"][0]["text"], "x");
    }
    for (fields, param) in [
        (json!({"n": 0}), "n"),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "x"}]}]}),
            "messages",
        ),
    ] {
        let mut body = fields;
        if body.get("messages").is_none() {
            body["messages"] = json!([]);
        }
        assert_eq!(refused(body).param(), Some(param));
    }
}

#[test]
fn a_system_that_has_no_place_of_its_own_speaks_as_the_user() {
    let system = json!({"role": "system", "content": "be kind"});
    let alone = studio("gemini-2.5-pro", json!({"messages": [system]})).sent();
    let user = json!([{"role": "user", "parts": [{"text": "be kind"}]}]);
    assert_eq!(alone, json!({"contents": user}));
    let both = json!({"messages": [system, {"role": "user", "content": "x"}]});
    let sent = studio("gemma-3-27b-it", both).sent();
    assert_eq!(
        sent["contents"][0]["parts"],
        json!([{"text": "be kind"}, {"text": "x"}])
    );
}

//! There and back again, by way of Google's own dialect.

use serde_json::{Value, json};
use ziggurat_core::{Deployment, Operation};

use super::to_chat;
use crate::dialect::{google::GEMINI, trial::Trial};

/// What Google would be sent if it did not speak the shape itself.
pub(super) fn back(body: &Value, model: &'static str) -> Value {
    let trial = Trial::new(&GEMINI, Operation::ChatCompletions, to_chat(body));
    let trial = trial.with(|_| Deployment::new("a", "g", model).with_provider("gemini"));
    trial.sent()
}

#[test]
fn a_conversation_comes_back_as_it_was() {
    let body = json!({
        "systemInstruction": {"parts": [{"text": "be kind"}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "look"},
                {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
                {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
                {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/x.png"}},
                {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}},
            ]},
            {"role": "model", "parts": [
                {"text": "so", "thoughtSignature": "AbCd"},
                {"functionCall": {"name": "f", "args": {"a": [1, {"b": null}]}, "id": "x"}, "thoughtSignature": "CiQB"},
                {"functionCall": {"name": "f", "args": {}, "id": "y"}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "f", "id": "x", "response": {"output": "42"}}},
                {"functionResponse": {"name": "f", "id": "y", "response": {"error": "no"}}},
            ]},
            {"role": "model", "parts": [{"text": "42"}]},
            {"role": "user", "parts": [{"text": "and?"}]},
        ],
        "tools": [
            {"functionDeclarations": [{"name": "f", "description": "d", "parameters":
                {"type": "OBJECT", "properties": {"a": {"type": "ARRAY", "items": {"type": "STRING", "nullable": true}}}, "required": ["a"]}}]},
            {"googleSearch": {}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "temperature": 0.5, "topP": 0.9, "topK": 40, "maxOutputTokens": 99, "seed": 7,
            "candidateCount": 2, "stopSequences": ["END"], "presencePenalty": 0.1,
            "frequencyPenalty": 0.2, "responseLogprobs": true, "logprobs": 3,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object", "properties": {"a": {"type": "string"}}},
            "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": true},
        },
    });
    assert_eq!(back(&body, "gemini-3.5-flash"), body);
}

#[test]
fn budgets_and_older_schemas_come_back_too() {
    let body = json!({
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "generationConfig": {
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "NUMBER", "nullable": true}}, "required": ["a"]},
        },
    });
    assert_eq!(back(&body, "gemini-2.0-flash"), body);
    let mut body = body;
    body["generationConfig"] =
        json!({"thinkingConfig": {"thinkingBudget": 2000, "includeThoughts": true}});
    assert_eq!(back(&body, "gemini-2.5-flash"), body);
    body["generationConfig"]["thinkingConfig"] =
        json!({"thinkingBudget": 0, "includeThoughts": false});
    assert_eq!(back(&body, "gemini-2.5-flash"), body);
}

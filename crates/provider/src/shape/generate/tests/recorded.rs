//! Recorded traffic of Google's, decoded and encoded again.

use ziggurat_core::{Deployment, Operation};

use super::{round::back, *};
use crate::{
    dialect::{google::GEMINI, trial::Trial},
    fixtures::{self, Recorded},
};

const WHOLE: &str = "generate_content";
const STREAM: &str = "stream_generate_content";

fn recorded(folder: &str, extension: &str) -> Vec<Recorded> {
    let of = |host| fixtures::of(host, folder, Operation::GenerateContent, extension);
    let all: Vec<_> = ["gemini", "vertex"].into_iter().flat_map(of).collect();
    assert!(!all.is_empty() || std::env::var_os("ZIGGURAT_FIXTURES").is_none());
    all
}

fn trial(stream: bool) -> Trial {
    let trial = Trial::chat(&GEMINI, json!({"stream": stream, "messages": []}));
    trial.with(|_| Deployment::new("a", "g", "gemini-2.5-pro").with_provider("gemini"))
}

/// As much of an answer as chat has a place for: thoughts before one text, calls behind.
fn plain(answer: &Value) -> Value {
    let candidate = &answer["candidates"][0];
    let (mut thought, mut text, mut calls) = (String::new(), String::new(), Vec::new());
    let mut last = Value::Null;
    for part in candidate["content"]["parts"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let place = if part["thought"] == true {
            &mut thought
        } else {
            &mut text
        };
        place.push_str(part["text"].as_str().unwrap_or_default());
        let signature = part.get("thoughtSignature").cloned();
        if let Some(call) = part.get("functionCall") {
            // What comes in pieces comes behind the name.
            if call["name"].is_string() {
                calls.push(json!([call["name"], call["args"], signature]));
            }
        } else if let Some(signature) = signature {
            last = signature;
        }
    }
    let reason = candidate["finishReason"].as_str().unwrap_or_default();
    let count = |name: &str| answer["usageMetadata"][name].as_u64().unwrap_or_default();
    json!({
        "thought": thought, "text": text, "calls": calls, "signature": last,
        "reason": if reason == "MAX_TOKENS" || reason == "SAFETY" { reason } else { "STOP" },
        "id": answer["responseId"], "model": answer["modelVersion"],
        "sources": candidate["groundingMetadata"]["groundingChunks"],
        "usage": [
            count("promptTokenCount") + count("toolUsePromptTokenCount"), count("totalTokenCount"),
            count("thoughtsTokenCount"), count("cachedContentTokenCount"), count("candidatesTokenCount"),
        ],
    })
}

/// What comes back, without what was made of nothing: an id of an answer without one, arguments that
/// came in pieces or not at all.
fn without_made_up(mut back: Value, theirs: &Value) -> Value {
    let calls = back["calls"].as_array_mut().expect("is a list").iter_mut();
    let known = theirs["calls"].as_array().expect("is a list");
    for (call, _) in calls.zip(known).filter(|(_, known)| known[1].is_null()) {
        assert!(call[1].is_object());
        call[1] = Value::Null;
    }
    if theirs["id"].is_null() {
        back["id"] = Value::Null;
    }
    if theirs["model"].is_null() {
        back["model"] = Value::Null;
    }
    back
}

#[test]
fn whole_answers_come_back() {
    for recorded in recorded(WHOLE, "json")
        .into_iter()
        .chain(recorded(STREAM, "json"))
    {
        let name = &recorded.name;
        let (chat, _) = trial(false).answer(&recorded.body).expect(name);
        let back = plain(&answered(SHOWING, &chat));
        let body: Value = serde_json::from_slice(&recorded.body).expect("is JSON");
        let events = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        let mut numbered = events;
        numbered.iter_mut().for_each(number);
        let theirs = plain(&assembled(&numbered));
        assert_eq!(without_made_up(back, &theirs), theirs, "{name}");
    }
}

/// Writes what may be missing.
fn number(event: &mut Value) {
    let candidates = event.get_mut("candidates").and_then(Value::as_array_mut);
    for candidate in candidates.into_iter().flatten() {
        candidate["index"] = json!(0);
        candidate["content"]["role"] = "model".into();
        if candidate["content"].get("parts").is_none() {
            candidate["content"]["parts"] = json!([]);
        }
    }
}

#[test]
fn streams_come_back_wherever_they_are_cut() {
    for recorded in recorded(STREAM, "sse") {
        let name = &recorded.name;
        let (whole, _) = trial(true).stream_cut_anywhere(&recorded.body, name);
        let events: Vec<_> = whole
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        let back = plain(&assembled(&streamed(SHOWING, &events, 1)));
        let mut theirs = read_theirs(&recorded.body);
        // What comes behind the end belongs to the answer before it.
        for event in &mut theirs {
            number(event);
        }
        let is_end = |event: &Value| event["candidates"][0].get("finishReason").is_some();
        if let Some(end) = theirs.iter().position(is_end)
            && end + 1 < theirs.len()
        {
            let reason = theirs[end]["candidates"][0]["finishReason"].take();
            if let Some(candidate) = theirs[end]["candidates"][0].as_object_mut() {
                candidate.remove("finishReason");
            }
            theirs.push(json!({"candidates": [{"index": 0, "finishReason": reason, "content": {"role": "model", "parts": []}}]}));
            for event in &mut theirs[end + 1..] {
                if let Some(Value::Object(candidate)) = event.pointer_mut("/candidates/0") {
                    candidate.retain(|name, value| name != "finishReason" || value == &reason);
                }
            }
        }
        let theirs = plain(&assembled(&theirs));
        assert_eq!(without_made_up(back, &theirs), theirs, "{name}");
    }
}

fn read_theirs(stream: &[u8]) -> Vec<Value> {
    let data = sse::events(stream).filter_map(|event| Event::read(event).data);
    let events = data.map(|data| serde_json::from_slice(&data).expect("is JSON"));
    events.collect()
}

#[test]
fn requests_keep_their_meaning() {
    let all = [(WHOLE, "json"), (STREAM, "sse"), (STREAM, "json")];
    let all = all
        .into_iter()
        .flat_map(|(folder, extension)| recorded(folder, extension));
    let mut seen = 0;
    for recorded in all {
        let name = &recorded.name;
        let body = &recorded.meta["request"]["body"];
        if !body.is_object() {
            continue;
        }
        let asked = asked(body);
        if body.get("cachedContent").is_some() {
            let error = asked.expect_err("only Google has it");
            assert_eq!(error.param(), Some("cachedContent"), "{name}");
            continue;
        }
        if let Err(error) = &asked {
            // Tools that Google runs.
            let is_google_s = error.rejection().is_some() && error.param() == Some("tools[0]");
            assert!(is_google_s, "{name}: {error}");
            continue;
        }
        seen += 1;
        let model = if recorded.name.contains("gemini-3") {
            "gemini-3.5-flash"
        } else {
            "gemini-2.5-pro"
        };
        assert_eq!(meaning(&back(body, model)), meaning(body), "{name}");
    }
    assert!(seen > 5 || std::env::var_os("ZIGGURAT_FIXTURES").is_none());
}

/// What is said in a request, and how the answer is to be, in whichever of Google's spellings.
fn meaning(body: &Value) -> Value {
    let body = camelled(body);
    let mut said = Vec::new();
    for content in body["contents"].as_array().into_iter().flatten() {
        let role = content["role"].as_str().unwrap_or("user");
        let mut signature = None;
        for part in content["parts"].as_array().into_iter().flatten() {
            let mut part = part.clone();
            if let Some(part) = part.as_object_mut() {
                // Thoughts are sent back by their signatures alone, which are the next part's.
                if part.remove("thought") == Some(true.into()) {
                    signature = part.remove("thoughtSignature");
                    continue;
                }
                if let Some(signature) = signature.take() {
                    part.insert("thoughtSignature".to_owned(), signature);
                }
                if let Some(Value::Object(call)) = part.get_mut("functionCall") {
                    call.remove("id");
                }
                if let Some(Value::String(data)) = part
                    .get_mut("inlineData")
                    .and_then(|data| data.get_mut("data"))
                {
                    // The recordings are cut short, and some in the letters of addresses.
                    let usual = data.replace('-', "+").replace('_', "/");
                    usual.trim_end_matches('=').clone_into(data);
                }
                if let Some(Value::Object(result)) = part.get_mut("functionResponse") {
                    result.remove("id");
                    let only = result
                        .get("response")
                        .and_then(|response| response.get("output"));
                    if let Some(only) = only.cloned().filter(Value::is_object) {
                        result.insert("response".to_owned(), only);
                    }
                }
                if part.get("text") == Some(&json!("")) && part.len() == 1 {
                    continue;
                }
            }
            said.push(json!([role, part]));
        }
    }
    let mut config = body["generationConfig"].clone();
    if let Some(config) = config.as_object_mut() {
        config.retain(|name, value| !(value.is_null() || name == "candidateCount" && *value == 1));
        if let Some(schema) = config
            .remove("responseSchema")
            .or_else(|| config.remove("responseJsonSchema"))
        {
            config.insert("schema".to_owned(), schema_names(&schema));
        }
        if let Some(Value::Object(thinking)) = config.get_mut("thinkingConfig") {
            let level = thinking.get("thinkingLevel").and_then(Value::as_str);
            let level = level.map(str::to_ascii_lowercase);
            level.into_iter().for_each(|level| {
                thinking.insert("thinkingLevel".to_owned(), level.into());
            });
            thinking.remove("includeThoughts");
        }
    }
    let tools = body["tools"].as_array().into_iter().flatten();
    let declared = tools.flat_map(|tool| {
        tool["functionDeclarations"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    });
    let names: Vec<_> = declared
        .map(|function| json!([function["name"], function["description"]]))
        .collect();
    json!({
        "said": said,
        "system": body["systemInstruction"]["parts"],
        "config": config.as_object().filter(|config| !config.is_empty()),
        "functions": names,
        "mode": body["toolConfig"]["functionCallingConfig"]["mode"],
    })
}

/// The names of the properties, which both kinds of schemas have.
fn schema_names(schema: &Value) -> Value {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, inner)| (name.clone(), schema_names(inner)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn camelled(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter();
            let named = members.map(|(name, value)| match name.as_str() {
                "args" | "response" | "properties" => (name.clone(), value.clone()),
                name => (crate::dialect::google::camel(name), camelled(value)),
            });
            Value::Object(named.collect())
        }
        Value::Array(list) => list.iter().map(camelled).collect(),
        other => other.clone(),
    }
}

#[test]
fn streams_of_those_who_follow_openai_become_google_s() {
    let streams = fixtures::streams().into_iter();
    for recorded in streams.filter(|stream| stream.operation == Operation::ChatCompletions) {
        let name = &recorded.name;
        let mut encoder = GenerateContent.encoder(SHOWING);
        let out = [encoder.encode(&recorded.body), encoder.end()].concat();
        let answer = assembled(&read(&out));
        let chunks = read_any(&recorded.body);
        let (mut said, mut calls) = (String::new(), 0);
        for chunk in &chunks {
            let choices = chunk["choices"].as_array().into_iter().flatten();
            for choice in choices.filter(|choice| choice["index"] == 0) {
                let delta = &choice["delta"];
                said += &crate::shape::messages::said(&delta["content"]);
                let pieces = delta["tool_calls"].as_array().into_iter().flatten();
                calls += pieces
                    .filter(|call| {
                        let name = call["function"]["name"].as_str();
                        name.is_some_and(|name| !name.is_empty())
                    })
                    .count();
            }
        }
        let read = plain(&answer);
        assert_eq!(read["text"], said, "{name}");
        assert_eq!(
            read["calls"].as_array().map(Vec::len),
            Some(calls),
            "{name}"
        );
    }
}

fn read_any(stream: &[u8]) -> Vec<Value> {
    let data = sse::events(stream).filter_map(|event| Event::read(event).data);
    let chunks = data.filter_map(|data| serde_json::from_slice(&data).ok());
    chunks.collect()
}

#[test]
fn who_speaks_the_shape_gets_every_byte() {
    for recorded in recorded(STREAM, "sse") {
        let name = &recorded.name;
        let (_, expected) = trial(true).stream([&recorded.body[..]]).expect("is whole");
        for at in (1..recorded.body.len()).step_by(recorded.body.len().div_ceil(200)) {
            let (head, tail) = recorded.body.split_at(at);
            let (bytes, usage, error) = trial(true).native_stream([head, tail]);
            assert!(error.is_none(), "{name}: {error:?}");
            let text = recorded.body.trim_ascii_end();
            assert!(bytes.starts_with(text), "{name} cut at {at}");
            assert!(bytes.len() <= recorded.body.len() + 2, "{name} cut at {at}");
            assert_eq!(usage, expected, "{name}");
        }
    }
}

//! A whole answer, and what one has in common with a stream.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind, Usage};

use super::{object, said::Parts};
use crate::{chat::ToolCall, dialect::openai, shape::messages::arguments};

/// The answer as Google writes it.
///
/// # Errors
///
/// [`ErrorKind::BadAnswer`] if it holds no choice.
pub(super) fn answer(request: &[u8], chat: &[u8]) -> Result<Bytes, Error> {
    let usage = openai::usage_of(chat);
    let mut chat: Value = serde_json::from_slice(chat).unwrap_or_default();
    let choices = match taken(&mut chat, "choices") {
        Value::Array(choices) if !choices.is_empty() => choices,
        _ => {
            let message = "the provider's answer holds no choices";
            return Err(Error::new(ErrorKind::BadAnswer, message));
        }
    };
    let shows = shows_thoughts(request);
    let is_one = choices.len() == 1;
    let mut candidates = Vec::with_capacity(choices.len());
    let mut blocked = None;
    for (index, mut choice) in choices.into_iter().enumerate() {
        let mut message = taken(&mut choice, "message");
        let mut parts = Parts::new(shows);
        parts.message(&mut message);
        let calls = calls(&mut message);
        let refusal = message["refusal"]
            .as_str()
            .filter(|words| !words.is_empty());
        if is_one && calls.is_empty() && parts.is_silent() && refusal.is_some() {
            blocked = refusal.map(|words| block(words, &choice["finish_reason"]));
            continue;
        }
        calls.iter().for_each(|call| parts.call(call));
        let mut candidate = candidate(index as u64, parts.finish());
        end(&mut candidate, &choice["finish_reason"], refusal);
        about(&mut candidate, &mut message, &choice["logprobs"]);
        candidates.push(candidate);
    }
    let mut answer = json!({});
    if !candidates.is_empty() {
        answer["candidates"] = candidates.into();
    }
    if let Some(block) = blocked {
        answer["promptFeedback"] = block;
    }
    name(&mut answer, &chat, usage);
    Ok(answer.to_string().into())
}

/// Whether the client wants to be told what the model thinks.
pub(super) fn shows_thoughts(request: &[u8]) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Thinking {
        #[serde(rename = "includeThoughts", alias = "include_thoughts")]
        includes: Option<bool>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Config {
        #[serde(rename = "thinkingConfig", alias = "thinking_config")]
        thinking: Option<Thinking>,
    }
    #[derive(Deserialize)]
    struct Asked {
        #[serde(default, rename = "generationConfig", alias = "generation_config")]
        config: Option<Config>,
    }
    // Most do not say it, and may be long.
    if memmem::find(request, b"Thoughts")
        .or(memmem::find(request, b"_thoughts"))
        .is_none()
    {
        return false;
    }
    let asked = serde_json::from_slice::<Asked>(request).ok();
    let config = asked.and_then(|asked| asked.config);
    let thinking = config.and_then(|config| config.thinking);
    thinking.and_then(|thinking| thinking.includes) == Some(true)
}

/// A candidate that says something.
pub(super) fn candidate(index: u64, parts: Vec<Value>) -> Value {
    let content = object([("parts", parts.into()), ("role", "model".into())]);
    object([("content", content), ("index", index.into())])
}

/// Says why a candidate ended.
pub(super) fn end(candidate: &mut Value, reason: &Value, refusal: Option<&str>) {
    let reason = match reason.as_str().unwrap_or_default() {
        "length" => "MAX_TOKENS",
        "content_filter" | "sensitive" => "SAFETY",
        "error" => "OTHER",
        _ if refusal.is_some() => "SAFETY",
        _ => "STOP",
    };
    candidate["finishReason"] = reason.into();
    if let Some(words) = refusal {
        candidate["finishMessage"] = words.into();
    }
}

/// What is said in the place of an answer that was refused.
pub(super) fn block(words: &str, reason: &Value) -> Value {
    let reason = match reason.as_str() {
        Some("content_filter" | "sensitive") => "SAFETY",
        _ => "OTHER",
    };
    json!({"blockReason": reason, "blockReasonMessage": words})
}

/// Names an answer, and says what it used.
pub(super) fn name(answer: &mut Value, chat: &Value, usage: Option<Usage>) {
    if let Some(usage) = usage {
        answer["usageMetadata"] = usage_json(usage);
    }
    for (own, usual) in [("modelVersion", "model"), ("responseId", "id")] {
        if let Some(text) = chat[usual].as_str().filter(|text| !text.is_empty()) {
            answer[own] = text.into();
        }
    }
}

fn usage_json(usage: Usage) -> Value {
    let mut counts = json!({
        "promptTokenCount": usage.input,
        "candidatesTokenCount": usage.output.saturating_sub(usage.reasoning),
        "totalTokenCount": usage.total(),
    });
    for (name, count) in [
        ("cachedContentTokenCount", usage.cached_input),
        ("thoughtsTokenCount", usage.reasoning),
    ] {
        if count > 0 {
            counts[name] = count.into();
        }
    }
    counts
}

/// A member of an object, if it is one and has it.
pub(super) fn taken(value: &mut Value, name: &str) -> Value {
    value.get_mut(name).map(Value::take).unwrap_or_default()
}

/// The calls of a message.
fn calls(message: &mut Value) -> Vec<ToolCall> {
    let mut calls = match taken(message, "tool_calls") {
        Value::Array(calls) => calls,
        _ => Vec::new(),
    };
    if let function @ Value::Object(_) = taken(message, "function_call") {
        calls.push(json!({"function": function}));
    }
    let read = |mut call: Value| {
        let function = &call["function"];
        ToolCall {
            name: function["name"].as_str().unwrap_or_default().to_owned(),
            arguments: arguments(&function["arguments"]),
            id: call["id"].as_str().unwrap_or_default().to_owned(),
            extra: Some(taken(&mut call, "provider_specific_fields")),
        }
    };
    calls.into_iter().map(read).collect()
}

/// What Google says of an answer, and its name where only the provider understands it.
pub(super) const EXTRAS: [(&str, &str); 3] = [
    ("groundingMetadata", "grounding_metadata"),
    ("safetyRatings", "safety_ratings"),
    ("urlContextMetadata", "url_context_metadata"),
];

/// What a choice says besides what the model said.
pub(super) fn about(candidate: &mut Value, message: &mut Value, logprobs: &Value) {
    for (own, usual) in EXTRAS {
        let extra = message.get_mut("provider_specific_fields");
        let known = extra.and_then(|extra| extra.get_mut(usual));
        if let Some(known) = known.filter(|known| !known.is_null()) {
            candidate[own] = known.take();
        }
    }
    if candidate.get("groundingMetadata").is_none() {
        let chunks = sources(&message["annotations"]);
        if !chunks.is_empty() {
            candidate["groundingMetadata"] = json!({ "groundingChunks": chunks });
        }
    }
    if let Some(tokens) = logprobs["content"].as_array() {
        candidate["logprobsResult"] = probabilities(tokens);
    }
}

/// The places on the web that an answer names.
fn sources(annotations: &Value) -> Vec<Value> {
    let all = annotations.as_array().into_iter().flatten();
    let places = all.map(|annotation| &annotation["url_citation"]);
    let named = places.filter(|place| place["url"].is_string());
    let web = named.map(|place| json!({"web": {"uri": place["url"], "title": place["title"]}}));
    web.collect()
}

fn probabilities(tokens: &[Value]) -> Value {
    let one = |token: &Value| json!({"token": token["token"], "logProbability": token["logprob"]});
    let top = tokens.iter().map(|token| {
        let top = token["top_logprobs"].as_array().into_iter().flatten();
        json!({"candidates": top.map(one).collect::<Vec<_>>()})
    });
    json!({
        "chosenCandidates": tokens.iter().map(one).collect::<Vec<_>>(),
        "topCandidates": top.collect::<Vec<_>>(),
    })
}

/// An answer that says this of some candidates.
pub(super) fn of(candidates: Vec<Value>) -> Value {
    Value::Object(Map::from_iter([(
        "candidates".to_owned(),
        candidates.into(),
    )]))
}

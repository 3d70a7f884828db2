//! Every part both ways, and streams cut anywhere.

mod answer;
mod recorded;
mod request;
mod round;
mod stream;

use bytes::Bytes;
use serde_json::{Value, json};
use ziggurat_core::Error;

use super::GenerateContent;
use crate::{
    chat::unsupported::Fit,
    shape::Shape,
    sse::{self, Event},
};

/// A request in Google's shape, as OpenAI's chat.
fn asked(body: &Value) -> Result<Value, Error> {
    let chat = GenerateContent.to_chat(body.to_string().as_bytes(), Fit::default())?;
    Ok(serde_json::from_slice(&chat).expect("is JSON"))
}

fn to_chat(body: &Value) -> Value {
    asked(body).expect("is a request")
}

/// What a client that asks for thoughts sends.
const SHOWING: &[u8] = br#"{"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}"#;

/// A whole answer, for a client that asked in that way.
fn answered(request: &[u8], chat: &Value) -> Value {
    let answer = GenerateContent.answer(request, chat.to_string().as_bytes());
    serde_json::from_slice(&answer.expect("is an answer")).expect("is JSON")
}

/// The events that come of OpenAI's, so many at once.
fn streamed(request: &[u8], events: &[String], at_once: usize) -> Vec<Value> {
    let mut encoder = GenerateContent.encoder(request);
    let mut out = Vec::new();
    for item in events.chunks(at_once) {
        out.extend_from_slice(&encoder.encode(&Bytes::from(item.concat())));
    }
    out.extend_from_slice(&encoder.end());
    read(&out)
}

/// The events of a stream, each of which must be an answer.
fn read(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).expect("is text");
    assert!(text.ends_with("\r\n\r\n"), "it ends: {text}");
    let data = sse::events(stream).filter_map(|event| Event::read(event).data);
    let events = data.map(|data| serde_json::from_slice(&data).expect("is JSON"));
    events.collect()
}

/// One answer of the events of a stream, as clients put them together: texts that follow each other
/// are one part.
fn assembled(events: &[Value]) -> Value {
    let mut whole = json!({});
    let mut candidates: Vec<Value> = Vec::new();
    for event in events {
        for name in [
            "modelVersion",
            "responseId",
            "usageMetadata",
            "promptFeedback",
        ] {
            if let Some(value) = event.get(name) {
                whole[name] = value.clone();
            }
        }
        for said in event["candidates"].as_array().into_iter().flatten() {
            let is_it = |known: &&mut Value| known["index"] == said["index"];
            match candidates.iter_mut().find(is_it) {
                Some(known) => add(known, said),
                None => {
                    let mut new =
                        json!({"index": said["index"], "content": {"parts": [], "role": "model"}});
                    add(&mut new, said);
                    candidates.push(new);
                }
            }
        }
    }
    if !candidates.is_empty() {
        whole["candidates"] = candidates.into();
    }
    whole
}

fn add(candidate: &mut Value, more: &Value) {
    assert!(
        candidate.get("finishReason").is_none(),
        "nothing comes after the end"
    );
    assert_eq!(more["content"]["role"], "model");
    let parts = candidate["content"]["parts"]
        .as_array_mut()
        .expect("is a list");
    for part in more["content"]["parts"].as_array().expect("is a list") {
        let is_plain = |part: &Value| part["text"].is_string();
        match parts
            .last_mut()
            .filter(|last| is_plain(last) && is_plain(part))
        {
            Some(last)
                if last["thought"] == part["thought"] && part.get("thoughtSignature").is_none() =>
            {
                let text = format!(
                    "{}{}",
                    last["text"].as_str().expect("is text"),
                    part["text"].as_str().expect("is text")
                );
                last["text"] = text.into();
            }
            _ => parts.push(part.clone()),
        }
    }
    for (name, value) in more.as_object().expect("is one") {
        if !matches!(name.as_str(), "content" | "index") {
            candidate[name] = value.clone();
        }
    }
}

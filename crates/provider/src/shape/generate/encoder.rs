//! A streamed answer.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use ziggurat_core::Usage;

use super::{
    answer::{self, taken},
    said::Parts,
};
use crate::{
    chat::ToolCall,
    dialect::openai,
    shape::{Encoder, messages::arguments},
    sse::{self, Event},
};

/// How many choices are told apart.
const MAX_CHOICES: u64 = 127;
/// How many calls of a choice are kept, and how many bytes of their arguments.
const MAX_CALLS: usize = 1_024;
const MAX_ARGUMENTS: usize = 4 * 1024 * 1024;
/// How many bytes of a refusal are kept.
const MAX_WORDS: usize = 4_096;

/// Writes OpenAI's events as Google's: each an answer with what is new. Calls come whole, with the end
/// and all that was used.
#[derive(Debug)]
pub(super) struct GenerateEncoder {
    out: BytesMut,
    shows_thoughts: bool,
    choices: BTreeMap<u64, Choice>,
    /// Id and name of the answer.
    named: Value,
    usage: Option<Usage>,
}

#[derive(Debug)]
struct Choice {
    parts: Parts,
    calls: Vec<(u64, ToolCall)>,
    held: usize,
    refusal: String,
    /// What is told at the end: annotations and what only the provider understands.
    about: Value,
    reason: Value,
}

impl GenerateEncoder {
    pub(super) fn new(request: &[u8]) -> Self {
        Self {
            out: BytesMut::new(),
            shows_thoughts: answer::shows_thoughts(request),
            choices: BTreeMap::new(),
            named: json!({}),
            usage: None,
        }
    }

    fn event(&mut self, event: &[u8]) {
        let Some(data) = Event::read(event).data else {
            return;
        };
        let Ok(mut chunk @ Value::Object(_)) = serde_json::from_slice::<Value>(&data) else {
            return;
        };
        for name in ["id", "model"] {
            let is_known = self.named[name]
                .as_str()
                .is_some_and(|text| !text.is_empty());
            if !is_known {
                self.named[name] = taken(&mut chunk, name);
            }
        }
        if ["usage", "x_groq"]
            .iter()
            .any(|name| chunk[*name].is_object())
        {
            self.usage = openai::usage_of(&data).or(self.usage);
        }
        let Value::Array(choices) = taken(&mut chunk, "choices") else {
            return;
        };
        let mut candidates = Vec::new();
        for mut said in choices {
            let index = said["index"].as_u64().unwrap_or_default().min(MAX_CHOICES);
            let shows = self.shows_thoughts;
            let choice = self
                .choices
                .entry(index)
                .or_insert_with(|| Choice::new(shows));
            let parts = choice.read(&mut said);
            let logprobs = &said["logprobs"];
            if parts.is_empty() && !logprobs["content"].is_array() {
                continue;
            }
            let mut candidate = answer::candidate(index, parts);
            answer::about(&mut candidate, &mut Value::Null, logprobs);
            candidates.push(candidate);
        }
        if !candidates.is_empty() {
            self.write(answer::of(candidates), None);
        }
    }

    fn write(&mut self, mut answer: Value, usage: Option<Usage>) {
        answer::name(&mut answer, &self.named, usage);
        for piece in ["data: ", &answer.to_string(), "\r\n\r\n"] {
            self.out.extend_from_slice(piece.as_bytes());
        }
    }
}

impl Choice {
    fn new(shows_thoughts: bool) -> Self {
        Self {
            parts: Parts::new(shows_thoughts),
            calls: Vec::new(),
            held: 0,
            refusal: String::new(),
            about: json!({}),
            reason: Value::Null,
        }
    }

    /// The parts that are new in a piece of the choice.
    fn read(&mut self, said: &mut Value) -> Vec<Value> {
        let reason = taken(said, "finish_reason");
        if reason.is_string() {
            self.reason = reason;
        }
        let mut delta = taken(said, "delta");
        let refusal = delta["refusal"].as_str().unwrap_or_default();
        if self.refusal.len() < MAX_WORDS {
            self.refusal.push_str(refusal);
        }
        if let Value::Array(calls) = taken(&mut delta, "tool_calls") {
            calls.into_iter().for_each(|call| self.call(call));
        }
        if let function @ Value::Object(_) = taken(&mut delta, "function_call") {
            self.call(json!({ "function": function }));
        }
        self.parts.message(&mut delta);
        let named = taken(&mut delta, "annotations");
        if !named.is_null() {
            self.about["annotations"] = named;
        }
        let mut extra = taken(&mut delta, "provider_specific_fields");
        for (_, name) in answer::EXTRAS {
            let value = taken(&mut extra, name);
            if !value.is_null() {
                self.about["provider_specific_fields"][name] = value;
            }
        }
        self.parts.take()
    }

    /// A piece of a call. The first one has its name.
    fn call(&mut self, mut call: Value) {
        let number = call["index"].as_u64().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (id, name) = (text(&call["id"]), text(&call["function"]["name"]));
        let piece = arguments(&call["function"]["arguments"]);
        let is_it = |(known, call): &&mut (u64, ToolCall)| {
            *known == number && (id.is_empty() || call.id.is_empty() || call.id == id)
        };
        let extra = taken(&mut call, "provider_specific_fields");
        let fits = self.held + piece.len() <= MAX_ARGUMENTS;
        // Some servers count no calls: another id is another call.
        if let Some((_, known)) = self.calls.iter_mut().rev().find(is_it) {
            if fits {
                known.arguments.push_str(&piece);
            }
            if extra.is_object() {
                known.extra = Some(extra);
            }
        } else if self.calls.len() < MAX_CALLS && !(name.is_empty() && id.is_empty()) {
            self.calls.push((
                number,
                ToolCall {
                    id,
                    name,
                    arguments: String::from(if fits { &*piece } else { "" }),
                    extra: extra.is_object().then_some(extra),
                },
            ));
        }
        self.held += piece.len();
    }

    /// The rest, and why it ended.
    fn finish(mut self, index: u64) -> Value {
        let is_too_long = self.held > MAX_ARGUMENTS;
        for (_, call) in self.calls.iter().filter(|_| !is_too_long) {
            self.parts.call(call);
        }
        let mut parts = self.parts.finish();
        if parts.is_empty() {
            // Clients ask each event for its text.
            parts.push(json!({"text": ""}));
        }
        let mut candidate = answer::candidate(index, parts);
        let refusal = Some(self.refusal.as_str()).filter(|words| !words.is_empty());
        answer::end(&mut candidate, &self.reason, refusal);
        if is_too_long {
            candidate["finishReason"] = "MALFORMED_FUNCTION_CALL".into();
        }
        answer::about(&mut candidate, &mut self.about, &Value::Null);
        candidate
    }

    /// Whether it was declined to say anything.
    fn is_refused(&self) -> bool {
        !self.refusal.is_empty() && self.parts.is_silent() && self.calls.is_empty()
    }
}

impl Encoder for GenerateEncoder {
    fn encode(&mut self, events: &Bytes) -> Bytes {
        for event in sse::events(events) {
            self.event(event);
        }
        self.out.split().freeze()
    }

    fn end(&mut self) -> Bytes {
        let choices = std::mem::take(&mut self.choices);
        let refused = choices.values().next().filter(|it| it.is_refused());
        let answer = match refused {
            Some(choice) if choices.len() == 1 => {
                json!({"promptFeedback": answer::block(&choice.refusal, &choice.reason)})
            }
            _ => {
                let ended = choices.into_iter();
                let ended = ended.map(|(index, choice)| choice.finish(index));
                answer::of(ended.collect())
            }
        };
        self.write(answer, self.usage);
        self.out.split().freeze()
    }
}

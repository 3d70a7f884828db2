//! What chat completions and completions have in common: events with one choice, whose text stands
//! in one place.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};
use ziggurat_core::{Capability, FieldSet, LlmRequest, Overrides, ReadOptions, Redirect, Usage};

use super::{said::Said, tokens};
use crate::dialect::openai::{
    loose::{Loose, Maybe},
    roles::is_empty,
    usage::Counts,
};

/// What belongs to an answer as a whole.
const NAMES: [&str; 4] = ["id", "created", "model", "system_fingerprint"];

/// Members of a delta that are said instead of text, or beside it.
const MORE_THAN_TEXT: [&str; 9] = [
    "refusal",
    "tool_calls",
    "function_call",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "annotations",
    "audio",
    "images",
];

/// The fields of which it depends whether an answer is text that can be gone on with.
static TELLING: LazyLock<FieldSet> = LazyLock::new(|| {
    let mut fields = FieldSet::default();
    for name in ["logprobs", "echo", "audio", "modalities", "response_format"] {
        fields.insert(name);
    }
    fields
});

#[derive(Default, Deserialize)]
#[serde(default)]
struct Form<'a> {
    #[serde(borrow)]
    logprobs: Loose<'a>,
    echo: Loose<'a>,
    audio: Loose<'a>,
    response_format: Maybe<Format<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Format<'a> {
    #[serde(borrow, rename = "type")]
    kind: Loose<'a>,
}

/// Whether the answer to a request is plain text. Reads the body only if a field makes it doubtful.
pub(super) fn are_text(request: &LlmRequest) -> bool {
    if request.fields().and(*TELLING).is_empty() {
        return true;
    }
    let Ok(form) = serde_json::from_slice::<Form<'_>>(request.body()) else {
        return false;
    };
    let format = form.response_format.0.map(|format| format.kind);
    !request.needs().contains(Capability::AudioOutput)
        && ![form.logprobs, form.echo, form.audio]
            .into_iter()
            .any(Loose::is_full)
        && format.is_none_or(|format| format == Loose::Text("text"))
}

/// Notes what an event says whose text stands at that place of a choice.
pub(super) fn hear(event: &Value, said: &mut Said, place: &str) {
    let choices = event.get("choices").and_then(Value::as_array);
    for choice in choices.into_iter().flatten() {
        said.name(event, &NAMES);
        match choice.pointer(place) {
            Some(Value::String(text)) => said.say(text),
            Some(other) if !is_empty(other) => said.stop(),
            _ => {}
        }
        let delta = choice.get("delta").and_then(Value::as_object);
        let more = |(name, value): (&String, &Value)| {
            let known = MORE_THAN_TEXT.contains(&name.as_str());
            (known || value.is_array() || value.is_object()) && !is_empty(value)
        };
        let index = choice.get("index").and_then(Value::as_u64);
        let ended = choice.get("finish_reason").is_some_and(|it| !is_empty(it));
        if ended || index.is_some_and(|index| index > 0) || delta.into_iter().flatten().any(more) {
            said.stop();
        }
    }
}

/// Makes an event one of the first answer, and tells whether anything is left of it.
pub(super) fn join(event: &mut Value, said: &mut Said, spent: &Usage, place: &str) -> bool {
    let Some(members) = event.as_object_mut() else {
        return true;
    };
    said.rename(members, &NAMES);
    // What Groq says there holds for one attempt only.
    members.remove("x_groq");
    let mut left = members
        .get_mut("usage")
        .is_some_and(|usage| add(usage, spent));
    let choices = members.get_mut("choices").and_then(Value::as_array_mut);
    let Some(choices) = choices.filter(|choices| !choices.is_empty()) else {
        return true;
    };
    for choice in choices {
        if let Some(Value::String(text)) = choice.pointer_mut(place) {
            said.join(text);
            left |= !text.is_empty();
        }
        let delta = choice.get_mut("delta").and_then(Value::as_object_mut);
        if let Some(delta) = delta {
            delta.remove("role");
            left |= delta.values().any(|value| !is_empty(value));
        }
        left |= choice.get("finish_reason").is_some_and(|it| !is_empty(it));
    }
    left
}

/// Adds what was spent to what an event says was used; tells whether it says it.
fn add(usage: &mut Value, spent: &Usage) -> bool {
    let read = Counts::deserialize(&*usage).ok();
    let Some(all) = read
        .and_then(|read| read.read())
        .map(|used| spent.plus(&used))
    else {
        return false;
    };
    let Some(members) = usage.as_object_mut() else {
        return false;
    };
    for (name, count) in [
        ("prompt_tokens", all.input),
        ("completion_tokens", all.output),
        ("total_tokens", all.total()),
    ] {
        members.insert(name.to_owned(), count.into());
    }
    for (name, detail, count) in [
        ("prompt_tokens_details", "cached_tokens", all.cached_input),
        (
            "completion_tokens_details",
            "reasoning_tokens",
            all.reasoning,
        ),
    ] {
        if let Some(details) = members.get_mut(name).and_then(Value::as_object_mut) {
            details.insert(detail.to_owned(), count.into());
        }
    }
    true
}

/// The fields of a request that a request for the rest changes.
#[derive(Deserialize)]
pub(super) struct Fields {
    pub(super) messages: Option<Vec<Value>>,
    pub(super) prompt: Option<Value>,
    max_tokens: Option<Value>,
    max_completion_tokens: Option<Value>,
}

impl Fields {
    pub(super) fn of(request: &LlmRequest) -> Option<Self> {
        serde_json::from_slice(request.body()).ok()
    }

    /// The request with this prompt, and with as many tokens as the text left over.
    pub(super) fn request(
        self,
        request: &LlmRequest,
        name: &str,
        prompt: Value,
        text: &str,
    ) -> Option<LlmRequest> {
        let mut fields = Map::new();
        fields.insert(name.to_owned(), prompt);
        for (name, limit) in [
            ("max_tokens", self.max_tokens),
            ("max_completion_tokens", self.max_completion_tokens),
        ] {
            if let Some(limit) = limit.and_then(|limit| limit.as_u64()) {
                let left = limit.saturating_sub(tokens(text.len())).max(1);
                fields.insert(name.to_owned(), left.into());
            }
        }
        let overrides = Overrides::new(fields, ReadOptions::new()).ok()?;
        request.clone().with_overrides(&overrides).ok()
    }
}

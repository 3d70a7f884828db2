//! Whole answers.

use std::collections::BTreeMap;

use serde_json::Value;
use ziggurat_core::{Error, ErrorKind};

use super::{candidate::Candidate, usage};
use crate::{
    chat::{Answer, Choice, Finish},
    dialect::{Call, openai},
};

/// How many candidates are told apart.
const MAX_CANDIDATES: u64 = 127;

/// Reads an answer. It may be a list of the events that a stream would have had.
///
/// # Errors
///
/// [`ErrorKind::BadAnswer`] if it is none, or the failure that stands in its place.
pub(super) fn chat(call: &Call<'_>, body: &[u8]) -> Result<Answer, Error> {
    let none = |_| Error::new(ErrorKind::BadAnswer, "the provider's answer is not JSON");
    let events = match serde_json::from_slice(body).map_err(none)? {
        Value::Array(events) => events,
        answer => vec![answer],
    };
    let mut answer = Answer {
        model: call.model.to_owned(),
        created: call.now,
        ..Answer::default()
    };
    let mut candidates: BTreeMap<u64, (Candidate, Choice)> = BTreeMap::new();
    let mut blocked = None;
    for mut event in events {
        if is_error(&event) {
            return Err(openai::in_band(
                event.to_string().as_bytes(),
                call.deployment,
            ));
        }
        if let Some(id) = event["responseId"].as_str() {
            answer.id = Some(id.to_owned());
        }
        if let Some(model) = event["modelVersion"].as_str() {
            model.clone_into(&mut answer.model);
        }
        answer.usage = usage::tokens(&event["usageMetadata"]).or(answer.usage);
        blocked = block(&event).or(blocked);
        for (index, mut said) in candidates_of(&mut event) {
            let (candidate, choice) = candidates.entry(index).or_default();
            add(choice, candidate.read(&mut said));
        }
    }
    answer.choices = candidates.into_values().map(|(_, choice)| choice).collect();
    if let Some(words) = blocked.filter(|_| answer.choices.is_empty()) {
        answer.choices.push(Choice {
            refusal: Some(words),
            finish: Finish::ContentFilter,
            ..Choice::default()
        });
    }
    Ok(answer)
}

/// Whether a failure stands in the place of an answer.
pub(super) fn is_error(event: &Value) -> bool {
    event.get("error").is_some_and(|error| !error.is_null())
}

/// The candidates of an answer, each with its number.
pub(super) fn candidates_of(event: &mut Value) -> Vec<(u64, Value)> {
    let Some(Value::Array(candidates)) = event.get_mut("candidates").map(Value::take) else {
        return Vec::new();
    };
    let numbered = candidates.into_iter().zip(0..).map(|(candidate, place)| {
        let index = candidate["index"].as_u64().unwrap_or(place);
        (index.min(MAX_CANDIDATES), candidate)
    });
    numbered.collect()
}

/// Why the prompt was not even read to a model, if it was not.
pub(super) fn block(event: &Value) -> Option<String> {
    let feedback = &event["promptFeedback"];
    let reason = feedback
        .get("blockReason")
        .filter(|reason| !reason.is_null())?;
    let words = feedback["blockReasonMessage"]
        .as_str()
        .filter(|words| !words.is_empty());
    Some(match (words, reason.as_str()) {
        (Some(words), _) => words.to_owned(),
        (None, Some(reason)) => format!("the provider blocked the prompt: {reason}"),
        (None, None) => "the provider blocked the prompt".to_owned(),
    })
}

fn add(choice: &mut Choice, more: Choice) {
    choice.content.push_str(&more.content);
    choice.reasoning.push_str(&more.reasoning);
    choice.tool_calls.extend(more.tool_calls);
    choice.annotations.extend(more.annotations);
    choice.images.extend(more.images);
    choice.audio = more.audio.or(choice.audio.take());
    match (&mut choice.extra, more.extra) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => old.extend(new),
        (old, Some(new)) => *old = Some(new),
        (_, None) => {}
    }
    match (&mut choice.logprobs, more.logprobs) {
        (Some(old), Some(mut new)) => {
            if let (Some(old), Some(new)) =
                (old["content"].as_array_mut(), new["content"].as_array_mut())
            {
                old.append(new);
            }
        }
        (old, Some(new)) => *old = Some(new),
        (_, None) => {}
    }
    if more.finish != Finish::Unknown {
        choice.finish = more.finish;
    }
}

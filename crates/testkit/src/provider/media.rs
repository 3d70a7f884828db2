//! Answers about images, audio and moderation, which hold the same texts as others do.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::{
    SseChunking, Step,
    answer::{JSON, Plan, buffered, ending, inputs, refuse, text, usage},
    body::Act,
    refusal,
    render::CREATED,
    step::Break,
    stream::{SSE, Tape, pieces, spread},
};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const AUDIO: HeaderValue = HeaderValue::from_static("audio/mpeg");

/// What is asked for, by the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Images,
    Transcript,
    Speech,
    Moderation,
}

impl Media {
    pub(super) fn of(path: &str) -> Option<Self> {
        let ends = |ends: &[&str]| ends.iter().any(|end| path.ends_with(end));
        if ends(&["/images/generations", "/images/edits", "/images/variations"]) {
            Some(Self::Images)
        } else if ends(&["/audio/transcriptions", "/audio/translations"]) {
            Some(Self::Transcript)
        } else if ends(&["/audio/speech"]) {
            Some(Self::Speech)
        } else if ends(&["/moderations"]) {
            Some(Self::Moderation)
        } else {
            None
        }
    }

    /// The part of an event's type before what it is of.
    fn event(self) -> &'static str {
        match self {
            Self::Speech => "speech.audio",
            Self::Images => "image_generation",
            Self::Transcript | Self::Moderation => "transcript.text",
        }
    }
}

/// A field of a request: a member of its JSON, or a part of its form.
fn field(body: &[u8], name: &str) -> Option<Value> {
    if let Ok(mut json) = serde_json::from_slice::<Value>(body) {
        return json.get_mut(name).map(Value::take);
    }
    let form = String::from_utf8_lossy(body);
    let (_, value) = form.split_once(&format!("name=\"{name}\"\r\n\r\n"))?;
    let (value, _) = value.split_once("\r\n")?;
    Some(serde_json::from_str(value).unwrap_or_else(|_| value.into()))
}

/// Decides the answer to a request.
pub(super) fn plan(step: &Step, name: &str, path: &str, media: Media, body: &[u8]) -> Plan {
    let Some(model) = field(body, "model") else {
        return refuse(StatusCode::BAD_REQUEST, refusal::broken_request());
    };
    let asked = |field_name, value: &str| field(body, field_name) == Some(value.into());
    let streamed = match media {
        Media::Speech => asked("stream_format", "sse"),
        Media::Moderation => false,
        Media::Images | Media::Transcript => {
            let can = !path.ends_with("/variations") && !path.ends_with("/translations");
            can && field(body, "stream") == Some(true.into())
        }
    };
    if streamed {
        return events(step, name, media);
    }
    let said = text(step, name, 1);
    let (input, output) = usage(step);
    let tokens = json!({
        "type": "tokens",
        "input_tokens": input,
        "output_tokens": output,
        "total_tokens": input.saturating_add(output),
    });
    let json = match media {
        Media::Speech => return audio(step, name),
        Media::Transcript if asked("response_format", "text") => {
            return buffered(step, format!("{said}\n").into(), TEXT);
        }
        Media::Transcript => json!({"text": said, "usage": tokens}),
        Media::Images => {
            let images = field(body, "n").and_then(|n| n.as_u64()).unwrap_or(1);
            let url = |i| json!({"url": format!("https://images.test/{name}/{i}")});
            let images: Vec<_> = (0..images).map(url).collect();
            json!({"created": CREATED, "data": images, "usage": tokens})
        }
        Media::Moderation => {
            let inputs = inputs(field(body, "input").as_ref());
            let result = json!({"flagged": false, "categories": {}, "category_scores": {}});
            json!({"id": format!("modr-{name}"), "model": model, "results": vec![result; inputs]})
        }
    };
    let mut json = json.to_string();
    if step.malformed_at.is_some() {
        json.truncate(json.len() / 2);
    }
    let mut plan = buffered(step, json.into(), JSON);
    if !step.first_token_delay.is_zero() {
        plan.acts.insert(0, Act::Wait(step.first_token_delay));
    }
    plan
}

/// The pieces up to a break.
fn until_break<'a>(step: &Step, pieces: Vec<&'a str>) -> Vec<&'a str> {
    let end = step
        .breaks
        .as_ref()
        .map_or(usize::MAX, |(events, _)| *events);
    pieces.into_iter().take(end).collect()
}

/// Speech: a mark, and the text, a piece at a time.
fn audio(step: &Step, name: &str) -> Plan {
    let text = text(step, name, step.chunks.unwrap_or(4));
    let mut acts = Vec::new();
    let mut wait = step.first_token_delay;
    let mut mark = "ID3 ";
    for piece in until_break(step, pieces(&text, step, name)) {
        if !wait.is_zero() {
            acts.push(Act::Wait(wait));
        }
        acts.push(Act::Send(Bytes::from(format!("{mark}{piece}"))));
        (wait, mark) = (step.chunk_delay, "");
    }
    if let Some((_, how)) = &step.breaks {
        acts.extend(ending(how));
    }
    Plan::streamed(step.status, AUDIO, acts)
}

/// An event for each piece, and the last one.
fn events(step: &Step, name: &str, media: Media) -> Plan {
    let mut tape = Tape::new(step.chunking == SseChunking::Crlf, step.comments);
    let text = text(step, name, step.chunks.unwrap_or(4));
    let kind = media.event();
    let mut put = |wait, event: Value| {
        tape.event(wait, |out| {
            out.extend_from_slice(event.to_string().as_bytes())
        });
    };
    let mut wait = step.first_token_delay;
    for piece in until_break(step, pieces(&text, step, name)) {
        let event = match media {
            Media::Images => json!({"type": format!("{kind}.partial_image"), "b64_json": piece}),
            Media::Speech => json!({"type": format!("{kind}.delta"), "audio": piece}),
            _ => json!({"type": format!("{kind}.delta"), "delta": piece}),
        };
        put(wait, event);
        wait = step.chunk_delay;
    }
    let (input, output) = usage(step);
    let tokens = json!({"input_tokens": input, "output_tokens": output});
    match &step.breaks {
        Some((_, Break::Error(error))) => put(wait, json!({"error": error})),
        Some(_) => {}
        None if !step.finish => {}
        None => put(
            wait,
            match media {
                Media::Images => {
                    json!({"type": format!("{kind}.completed"), "b64_json": text, "usage": tokens})
                }
                _ => json!({"type": format!("{kind}.done"), "text": text, "usage": tokens}),
            },
        ),
    }
    if step.breaks.is_none() && step.done {
        tape.event(Duration::ZERO, |out| out.extend_from_slice(b"[DONE]"));
    }
    let mut acts = spread(tape, step);
    if let Some((_, how)) = &step.breaks {
        acts.extend(ending(how));
    }
    Plan::streamed(step.status, SSE, acts)
}

use std::time::Duration;

use serde_json::Value;

use super::{
    Dialect,
    asked::{Called, Said},
    schema,
    trouble::Trouble,
};
use crate::provider::{
    Step,
    answer::{self, JSON, Plan},
    begun,
    body::Act,
    refusal,
    step::{Break, Text},
    store::Store,
    stream::{Tape, pieces, spread},
};

/// The error of a step.
pub(crate) fn refuse(dialect: &dyn Dialect, step: &Step, name: &str, path: &str) -> Plan {
    let trouble = Trouble::of(step, name);
    let refusal = dialect.refusal(&trouble, is_streamed(path));
    let status = match step.status.is_success() {
        true => step.status,
        false => refusal.status,
    };
    let mut plan = match refusal.frames {
        Some(frames) => {
            let framing = dialect.framing(path);
            let mut tape = Tape::new(framing.is_crlf(step), false);
            framing.begin(&mut tape);
            for frame in &frames {
                framing.write(&mut tape, Duration::ZERO, frame);
            }
            framing.end(&mut tape);
            Plan::streamed(status, framing.content_type(), spread(tape, step))
        }
        None => answer::buffered(step, refusal.body.to_string().into(), JSON),
    };
    plan.status = status;
    plan.headers = refusal.headers;
    plan.without = refusal.without;
    plan
}

/// Whether a path is that of streams alone.
fn is_streamed(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    ["-stream", ":streamGenerateContent", ":streamRawPredict"]
        .iter()
        .any(|end| path.ends_with(end))
}

/// Decides the answer to a request.
pub(crate) fn plan(
    dialect: &dyn Dialect,
    store: &Store,
    step: &Step,
    name: &str,
    full_path: &str,
    serial: u64,
    body: &[u8],
) -> Plan {
    let path = full_path.split('?').next().unwrap_or_default();
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        let broken = Step::status(400).error_message(refusal::NOT_JSON);
        return refuse(dialect, &broken, name, full_path);
    };
    let usage = answer::usage(step);
    let Some(asked) = dialect.asked(path, &body) else {
        return match dialect.other(path, &body, counted(step, path, &body)) {
            Some(json) => whole(step, json),
            None => refuse(dialect, &Step::status(404), name, full_path),
        };
    };
    let is_free = matches!(step.text, Text::Default | Text::Words(_));
    let tool = asked.tool.filter(|_| is_free);
    let call = tool.map(|(name, schema)| Called {
        id: format!("call_{serial}"),
        name,
        arguments: schema::fill(&schema),
    });
    let schema = asked.schema.filter(|_| is_free && call.is_none());
    let default_words = match asked.streamed {
        true => step.chunks.unwrap_or(4),
        false => 1,
    };
    let begun = asked.begun.as_deref();
    let step = &*begun::go_on_with(step, begun, || answer::text(step, name, default_words));
    let text = match (&call, schema) {
        (Some(_), _) => String::new(),
        (None, Some(schema)) => schema::fill(&schema).to_string(),
        (None, None) => answer::text(step, name, default_words),
    };
    let said = Said {
        id: format!("{name}-{serial}"),
        model: &asked.model,
        pieces: pieces(&text, step, name),
        text: &text,
        call,
        usage,
        usage_asked: asked.usage_asked,
        finish: step.finish,
        done: step.done,
    };
    if path.ends_with("/responses") {
        if let Some(missed) = store.misses(&body) {
            return missed;
        }
        store.keep_response(dialect.whole(&said), &body);
    }
    match asked.streamed {
        true => stream(dialect, step, name, full_path, &said),
        false => whole(step, dialect.whole(&said)),
    }
}

/// What a request is told to have used. Where nothing but the count is wanted, more text counts more.
fn counted(step: &Step, path: &str, body: &Value) -> (u64, u64) {
    let is_count = ["count", "Count", "input_tokens"]
        .iter()
        .any(|it| path.contains(it));
    match step.usage {
        None if is_count => (body.to_string().len() as u64 / 4, 0),
        _ => answer::usage(step),
    }
}

fn whole(step: &Step, json: Value) -> Plan {
    let mut json = json.to_string();
    if step.malformed_at.is_some() {
        let half = json.floor_char_boundary(json.len() / 2);
        json.truncate(half);
    }
    let mut plan = answer::buffered(step, json.into(), JSON);
    if !step.first_token_delay.is_zero() {
        plan.acts.insert(0, Act::Wait(step.first_token_delay));
    }
    plan
}

/// Plans a stream: its events, up to the break if there is one.
fn stream(dialect: &dyn Dialect, step: &Step, name: &str, path: &str, said: &Said<'_>) -> Plan {
    let framing = dialect.framing(path);
    let mut tape = Tape::new(framing.is_crlf(step), step.comments);
    framing.begin(&mut tape);
    let lead = dialect.lead(said);
    for frame in &lead {
        framing.write(&mut tape, Duration::ZERO, frame);
    }
    let contents = dialect.contents(said);
    let end = match &step.breaks {
        Some((events, _)) => (*events).min(contents.len()),
        None => contents.len(),
    };
    let malformed_at = step.malformed_at.map(|n| n.saturating_sub(1).min(end));
    let mut wait = step.first_token_delay;
    for (i, frame) in contents[..end].iter().enumerate() {
        if malformed_at == Some(i) {
            framing.write(&mut tape, wait, &frame.halved());
            wait = step.chunk_delay;
        }
        framing.write(&mut tape, wait, frame);
        wait = step.chunk_delay;
    }
    let rest = match &step.breaks {
        Some((_, Break::Error(error))) => {
            let trouble = Trouble::told(error, name);
            dialect.broken(said, &trouble, lead.len() + end)
        }
        Some(_) => Vec::new(),
        None => dialect.tail(said),
    };
    if malformed_at == Some(end)
        && let Some(frame) = rest.first()
    {
        framing.write(&mut tape, wait, &frame.halved());
    }
    for frame in &rest {
        framing.write(&mut tape, wait, frame);
        wait = Duration::ZERO;
    }
    let is_whole = step.breaks.is_none();
    if is_whole {
        framing.end(&mut tape);
    }
    let mut acts = spread(tape, step);
    if let Some((_, how)) = &step.breaks {
        acts.extend(answer::ending(how));
    }
    Plan::streamed(step.status, framing.content_type(), acts)
}

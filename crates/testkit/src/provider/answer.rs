use std::iter;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Step, begun,
    body::Act,
    dialect,
    media::{self, Media},
    refusal,
    render::{self, Kind, Shape},
    step::{Break, Reply, Text},
    store::Store,
    stream,
};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer that is decided: what remains is to play it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) status: StatusCode,
    pub(super) content_type: HeaderValue,
    pub(super) acts: Vec<Act>,
    pub(super) length: Option<u64>,
    /// Headers of the dialect.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// A header of the step that the dialect does not know.
    pub(super) without: Option<HeaderName>,
}

impl Plan {
    /// An answer whose length is not announced.
    pub(super) fn streamed(status: StatusCode, content_type: HeaderValue, acts: Vec<Act>) -> Self {
        Self {
            status,
            content_type,
            acts,
            length: None,
            headers: Vec::new(),
            without: None,
        }
    }

    fn whole(status: StatusCode, content_type: HeaderValue, acts: Vec<Act>, length: u64) -> Self {
        Self {
            length: Some(length),
            ..Self::streamed(status, content_type, acts)
        }
    }
}

/// The members of a request that change the answer.
#[derive(Debug, Deserialize)]
struct Asked {
    model: Option<String>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    input: Option<Value>,
    encoding_format: Option<String>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// Decides the answer to a request. `full_path` has the query.
pub(super) fn plan(
    step: &Step,
    store: &Store,
    name: &str,
    full_path: &str,
    serial: u64,
    body: &[u8],
) -> Plan {
    let path = full_path.split('?').next().unwrap_or_default();
    let spoken = dialect::of(path);
    match (&step.reply, spoken) {
        (Reply::Raw(bytes, content_type), _) => {
            return buffered(step, bytes.clone(), content_type.clone());
        }
        (Reply::Error, Some(dialect)) => return dialect::refuse(dialect, step, name, full_path),
        (Reply::Error, None) => return buffered(step, refusal::error(step, name), JSON),
        (Reply::Answer | Reply::Hang | Reply::Reset, _) => {}
    }
    let is_plain =
        Media::of(path).is_some() || Kind::of(path).is_some_and(|kind| kind != Kind::Chat);
    let spoken = match spoken {
        Some(dialect) => Some(dialect).filter(|_| !is_plain),
        None => dialect::of_chat(path, body),
    };
    if let Some(dialect) = spoken {
        return dialect::plan(dialect, store, step, name, full_path, serial, body);
    }
    if let Some(media) = Media::of(path) {
        return media::plan(step, name, path, media, body);
    }
    let Some(kind) = Kind::of(path) else {
        return refuse(StatusCode::NOT_FOUND, refusal::unknown_url("POST", path));
    };
    let Ok(asked) = serde_json::from_slice::<Asked>(body) else {
        return refuse(StatusCode::BAD_REQUEST, refusal::broken_request());
    };
    let streamed = asked.stream == Some(true) && kind != Kind::Embeddings;
    let default_words = if streamed {
        step.chunks.unwrap_or(4)
    } else {
        1
    };
    let step = &*begun::go_on(step, body, || text(step, name, default_words));
    let options = asked.stream_options.as_ref();
    let shape = Shape {
        kind,
        id: format!("{}-{name}-{serial}", kind.id_prefix()),
        model: asked.model.as_deref().unwrap_or("unknown"),
        usage: usage(step),
        usage_asked: options.is_some_and(|options| options.include_usage == Some(true)),
    };
    if streamed {
        return stream::plan(step, name, &shape);
    }
    let mut json = if kind == Kind::Embeddings {
        let base64 = asked.encoding_format.as_deref() == Some("base64");
        shape.embeddings(inputs(asked.input.as_ref()), base64)
    } else {
        shape.whole(&text(step, name, 1), step.finish)
    };
    if step.malformed_at.is_some() {
        json.truncate(json.len() / 2);
    }
    let mut plan = buffered(step, json.into(), JSON);
    if !step.first_token_delay.is_zero() {
        plan.acts.insert(0, Act::Wait(step.first_token_delay));
    }
    plan
}

pub(super) fn usage(step: &Step) -> (u64, u64) {
    let completion = if matches!(step.text, Text::Empty) {
        0
    } else {
        5
    };
    step.usage.unwrap_or((10, completion))
}

pub(super) fn text(step: &Step, name: &str, default_words: usize) -> String {
    match &step.text {
        Text::Default => render::healthy_text(name, default_words),
        Text::Words(words) => render::healthy_text(name, *words),
        Text::Exact(text) => text.clone(),
        Text::Empty => String::new(),
    }
}

/// A list of numbers is one input, already in tokens.
pub(super) fn inputs(input: Option<&Value>) -> usize {
    match input {
        Some(Value::Array(inputs)) if !inputs.iter().all(Value::is_number) => inputs.len(),
        _ => 1,
    }
}

pub(super) fn refuse(status: StatusCode, json: Bytes) -> Plan {
    let length = json.len() as u64;
    Plan::whole(status, JSON, vec![Act::Send(json)], length)
}

pub(super) fn buffered(step: &Step, bytes: Bytes, content_type: HeaderValue) -> Plan {
    let half = bytes.slice(..bytes.len() / 2);
    let whole = bytes.len() as u64;
    let (acts, length) = match &step.breaks {
        None | Some((_, Break::Error(_))) => (vec![Act::Send(bytes)], whole),
        Some((_, Break::End)) => {
            let length = half.len() as u64;
            (vec![Act::Send(half)], length)
        }
        Some((_, how @ (Break::Cut | Break::Stall(_)))) => {
            let acts = iter::once(Act::Send(half)).chain(ending(how)).collect();
            (acts, whole)
        }
    };
    Plan::whole(step.status, content_type, acts, length)
}

/// What happens when the events before a break are sent.
pub(super) fn ending(how: &Break) -> Vec<Act> {
    match how {
        Break::Cut => vec![Act::Reset],
        Break::Stall(None) => vec![Act::Silence],
        Break::Stall(Some(silence)) => vec![Act::Wait(*silence), Act::Close],
        Break::End | Break::Error(_) => Vec::new(),
    }
}

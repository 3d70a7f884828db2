//! Answers in text and calls, whole and streamed.

use serde_json::{Value, json};
use ziggurat::{ErrorKind, LlmRequest, Operation, Usage};

use crate::{
    call::{Answered, Recorded},
    cases::{request, same_place},
    fixture::Fixture,
    frames::{documents, events},
    route::{self, Words},
    said::{self, Counts, Said},
};

/// A stream up to this length is cut at every byte.
const SHORT: usize = 8 * 1024;
/// In how many places a longer one is.
const PLACES: usize = 64;

/// In whose shape a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Chat,
    Completions,
    Messages,
    Responses,
}

impl Shape {
    fn words(self) -> Words {
        match self {
            Self::Chat | Self::Completions => Words::OpenAi,
            Self::Messages => Words::Anthropic,
            Self::Responses => Words::Responses,
        }
    }
}

/// What a client of that shape asks.
pub(crate) fn asked(shape: Shape, streams: bool, choices: usize) -> Result<LlmRequest, String> {
    let messages = json!([{"role": "user", "content": "hi"}]);
    let (operation, mut body) = match shape {
        Shape::Chat => (Operation::ChatCompletions, json!({"messages": messages})),
        Shape::Completions => (Operation::Completions, json!({"prompt": "hi"})),
        Shape::Messages => {
            let body = json!({"messages": messages, "max_tokens": 1024});
            (Operation::Messages, body)
        }
        Shape::Responses => (Operation::Responses, json!({"input": "hi"})),
    };
    body["model"] = "group".into();
    if streams {
        body["stream"] = true.into();
        if shape.words() == Words::OpenAi {
            body["stream_options"] = json!({"include_usage": true});
        }
    }
    if choices > 1 {
        body["n"] = choices.into();
    }
    request(operation, &body)
}

pub(crate) async fn check(fixture: &Fixture, shape: Shape) -> Result<(), String> {
    let streams = fixture.operation.contains("stream");
    let told = documents(fixture);
    let expected = said::read(route::words(fixture), &told);
    let choices = told.iter().flat_map(|event| event["choices"].as_array());
    let choices = choices
        .flatten()
        .filter_map(|choice| choice["index"].as_u64());
    let choices = choices.max().map_or(1, |last| last as usize + 1);

    let recorded = Recorded::new(fixture, route::deployment(fixture));
    let request = asked(shape, streams, choices)?;
    let whole = recorded.call(&request, usize::MAX).await;
    if fixture.case.starts_with("broken-") {
        return match whole {
            Err(error) if error.kind() == ErrorKind::BadAnswer => Ok(()),
            whole => Err(format!("it is broken, and read as {whole:?}")),
        };
    }
    let whole = whole.map_err(|error| format!("{} ({})", error, error.kind()))?;
    same_place(fixture, &recorded)?;
    if whole.is_stream != streams {
        return Err("a stream is no whole answer".to_owned());
    }
    let got = match streams {
        true => events(&whole.bytes),
        false => vec![serde_json::from_slice(&whole.bytes).map_err(|error| error.to_string())?],
    };
    let got = said::read(shape.words(), &got);
    compare(&got, &expected)?;
    counted(whole.usage, expected.counts)?;
    if !streams {
        return Ok(());
    }
    complete(&whole, shape)?;
    let step = match fixture.body.len() {
        length if length < SHORT => 1,
        length => length.div_ceil(PLACES),
    };
    let same = plain(&whole.bytes);
    for cut in (1..fixture.body.len()).step_by(step) {
        let read = recorded.call(&request, cut).await;
        let read = read.map_err(|error| format!("cut at {cut}: {error}"))?;
        if plain(&read.bytes) != same || read.usage != whole.usage {
            return Err(format!("cut at {cut}: it is another answer"));
        }
    }
    Ok(())
}

/// Whether what was got is what was said.
fn compare(got: &Said, expected: &Said) -> Result<(), String> {
    if got.text != expected.text {
        return Err(format!("said {:?}, not {:?}", got.text, expected.text));
    }
    let names = |said: &Said| said.calls.iter().map(|(name, _)| name.clone()).collect();
    let (had, has): (Vec<String>, Vec<String>) = (names(expected), names(got));
    if had != has {
        return Err(format!("called {has:?}, not {had:?}"));
    }
    for ((name, got), (_, expected)) in got.calls.iter().zip(&expected.calls) {
        // No arguments are written as nothing, as null, or as an empty object.
        let read = |text: &str| match serde_json::from_str::<Value>(text) {
            Ok(value @ Value::Object(_)) => value,
            _ => json!({}),
        };
        let (is, was) = (read(got), read(expected));
        if is != was {
            return Err(format!("called {name} with {got}, not {expected}"));
        }
    }
    if got.finish != expected.finish || got.finish.is_none() {
        let (is, was) = (&got.finish, &expected.finish);
        return Err(format!("finished with {is:?}, not {was:?}"));
    }
    let is_cut = matches!(got.finish.as_deref(), Some("content_filter" | "length"));
    if got.text.is_empty() && got.calls.is_empty() && !is_cut {
        return Err("it says nothing".to_owned());
    }
    Ok(())
}

/// Whether the tokens are those that the provider counted.
pub(crate) fn counted(got: Option<Usage>, expected: Option<Counts>) -> Result<(), String> {
    let Some(expected) = expected else {
        return Ok(());
    };
    let got = got.ok_or("nothing is counted")?;
    // Some count reasoning only in the total.
    let is_same = (got.input, got.output) == (expected.input, expected.output);
    let is_total = expected.total == Some(got.total()) && got.input >= expected.input;
    match !got.estimated && (is_same || is_total) {
        true => Ok(()),
        false => Err(format!("counted {got:?}, not {expected:?}")),
    }
}

/// Whether a stream ends as its shape does.
fn complete(stream: &Answered, shape: Shape) -> Result<(), String> {
    let text = String::from_utf8_lossy(&stream.bytes);
    let all = events(&stream.bytes);
    let last = all
        .last()
        .map_or("", |event| event["type"].as_str().unwrap_or_default());
    let is_ended = match shape {
        Shape::Chat | Shape::Completions => text.trim_end().ends_with("data: [DONE]"),
        Shape::Messages => last == "message_stop",
        Shape::Responses => ["response.completed", "response.incomplete"].contains(&last),
    };
    is_ended
        .then_some(())
        .ok_or_else(|| "it does not end".to_owned())
}

/// The same without the times of day: seconds pass while it is read again.
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split("\"created\":");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    plain
}

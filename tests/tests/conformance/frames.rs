//! Takes a recorded body apart, as simply as can be: nothing in it is damaged.

use serde_json::{Value, json};

use crate::fixture::{Fixture, Form};

/// The documents that a body holds: one, or those of a stream.
pub(crate) fn documents(fixture: &Fixture) -> Vec<Value> {
    match fixture.form {
        Form::Json => match fixture.json() {
            Value::Array(all) => all,
            one => vec![one],
        },
        Form::Events => events(&fixture.body),
        Form::Lines => lines(&fixture.body, ""),
        Form::Binary => messages(&fixture.body),
    }
}

/// The JSON of server-sent events.
pub(crate) fn events(body: &[u8]) -> Vec<Value> {
    lines(body, "data:")
}

fn lines(body: &[u8], start: &str) -> Vec<Value> {
    let text = String::from_utf8_lossy(body);
    let lines = text.lines().filter_map(|line| line.strip_prefix(start));
    lines
        .filter_map(|line| serde_json::from_str(line.trim()).ok())
        .collect()
}

/// The messages of an AWS event stream: `{"<event type>": payload}`, or what is in their `bytes`.
fn messages(mut body: &[u8]) -> Vec<Value> {
    let number = |bytes: &[u8]| {
        let bytes = bytes.get(..4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| u32::from_be_bytes(bytes) as usize)
    };
    let mut all = Vec::new();
    while let (Some(total), Some(headers)) = (number(body), number(body.get(4..).unwrap_or(&[]))) {
        let Some(message) = body.get(..total).filter(|message| message.len() >= 16) else {
            break;
        };
        let kind = event_type(&message[12..12 + headers]);
        let payload = serde_json::from_slice::<Value>(&message[12 + headers..total - 4]);
        let payload = payload.unwrap_or_default();
        all.push(match payload["bytes"].as_str() {
            Some(inner) => serde_json::from_slice(&decoded(inner)).unwrap_or_default(),
            None => json!({ kind: payload }),
        });
        body = &body[total..];
    }
    all
}

/// The text of the header `:event-type`. All headers of these streams are texts.
fn event_type(mut headers: &[u8]) -> String {
    while let [length, rest @ ..] = headers {
        let (name, rest) = rest.split_at((*length).into());
        let (length, rest) = (u16::from_be_bytes([rest[1], rest[2]]), &rest[3..]);
        let (value, rest) = rest.split_at(length.into());
        if name == b":event-type" {
            return String::from_utf8_lossy(value).into_owned();
        }
        headers = rest;
    }
    String::new()
}

/// The bytes of base64.
pub(crate) fn decoded(base64: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let values = base64.bytes().filter_map(|byte| {
        let place = alphabet.iter().position(|known| *known == byte)?;
        u32::try_from(place).ok()
    });
    let values: Vec<u32> = values.collect();
    let of_four = |four: &[u32]| {
        let bits = four.iter().fold(0, |bits, value| bits << 6 | value) << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    };
    values.chunks(4).flat_map(of_four).collect()
}

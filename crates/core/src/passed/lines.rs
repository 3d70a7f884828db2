//! The lines of a batch: a request in JSON on each.

use std::ops::Range;

use crate::scan::{Malformed, Member, Scanner, Shape};

/// The model that the first line asks for.
pub(super) fn first_model(lines: &[u8]) -> Option<String> {
    let first = lines
        .trim_ascii_start()
        .split(|byte| *byte == b'\n')
        .next()?;
    let (_, model) = model(std::str::from_utf8(first).ok()?)?;
    Some(model)
}

/// The lines with a model in the place of the one that was asked for. One that asks for none, or for
/// another one, or is no JSON, is for the provider to judge.
pub(super) fn for_model(lines: &[u8], asked: &str, name: &str) -> Vec<u8> {
    let name = serde_json::to_string(name).expect("a string always serialises");
    let mut out = Vec::with_capacity(lines.len() + lines.len() / 8);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let text = std::str::from_utf8(line).ok();
        match text.and_then(model) {
            Some((at, model)) if model == asked => {
                out.extend_from_slice(&line[..at.start]);
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(&line[at.end..]);
            }
            _ => out.extend_from_slice(line),
        }
    }
    out
}

/// Where `body.model` of a line stands, and what it is.
fn model(line: &str) -> Option<(Range<usize>, String)> {
    let mut found = None;
    let mut scanner = Scanner::new(line);
    let member = |s: &mut Scanner<'_>, key: &str, _: &mut Vec<_>| {
        match key {
            "body" if s.shape()? == Shape::Object => {
                s.object(&mut Vec::new(), |s, key, _| {
                    match key {
                        "model" if s.shape()? == Shape::String => {
                            let start = s.position();
                            let name = s.string()?.into_owned();
                            found = Some((start..s.here(), name));
                        }
                        _ => s.skip()?,
                    }
                    Ok::<_, Malformed>(Member::Keep)
                })?;
            }
            _ => s.skip()?,
        }
        Ok::<_, Malformed>(Member::Keep)
    };
    scanner.object(&mut Vec::new(), member).ok()?;
    scanner.end().ok()?;
    found
}

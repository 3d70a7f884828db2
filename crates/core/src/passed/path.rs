//! The path and query of a request that is passed through.

use std::borrow::Cow;

use crate::{Error, ErrorKind, ObjectId};

/// How long a path may be.
const MAX_PATH: usize = 4 * 1024;
/// How long a query may be.
const MAX_QUERY: usize = 16 * 1024;

/// What a query may hold that is meant for whoever checks who asks, and for no provider.
const CREDENTIALS: [&str; 4] = ["key", "api_key", "api-key", "access_token"];

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::BadRequest, message).with_code("invalid_path")
}

/// A path with the provider's ids in the places of ours, which are given too.
pub(super) fn restored_path(path: &str) -> Result<(String, Vec<ObjectId>), Error> {
    if !path.starts_with('/') || path.len() > MAX_PATH {
        return Err(wrong("the path is longer than 4 KiB, or none"));
    }
    let (mut out, mut ids) = (String::with_capacity(path.len()), Vec::new());
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        // One slash at the end is usual.
        if segment.is_empty() && segments.peek().is_some() {
            return Err(wrong("the path has an empty segment"));
        }
        if !is_plain(segment) {
            return Err(wrong(
                "the path has a segment that is not read by all in the same way",
            ));
        }
        out.push('/');
        restore(segment, &mut out, &mut ids);
    }
    Ok((out, ids))
}

/// The same of a query, without credentials.
pub(super) fn restored_query(query: &str) -> Result<(String, Vec<ObjectId>), Error> {
    if query.len() > MAX_QUERY {
        return Err(wrong("the query is longer than 16 KiB"));
    }
    let (mut out, mut ids) = (String::with_capacity(query.len()), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name_of = decoded(name);
        let is = |secret: &&str| {
            let same = |name: &[u8]| name.eq_ignore_ascii_case(secret.as_bytes());
            name_of.as_deref().is_some_and(same)
        };
        if CREDENTIALS.iter().any(is) {
            continue;
        }
        if !out.is_empty() {
            out.push('&');
        }
        out.push_str(name);
        if pair.contains('=') {
            out.push('=');
            restore(value, &mut out, &mut ids);
        }
    }
    Ok((out, ids))
}

fn restore(text: &str, out: &mut String, ids: &mut Vec<ObjectId>) {
    match ObjectId::parse(text) {
        Some(id) => {
            out.push_str(id.original());
            ids.push(id);
        }
        None => out.push_str(text),
    }
}

/// Whether every server reads a segment in the same way, decoded once or not at all.
fn is_plain(segment: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&byte);
    let Some(decoded) = decoded(segment).filter(|_| segment.bytes().all(allowed)) else {
        return false;
    };
    let odd = |byte: &u8| byte.is_ascii_control() || matches!(byte, b'\\' | b'%');
    let climbs = |part: &[u8]| matches!(part, b"." | b"..");
    !decoded.iter().any(odd) && !decoded.split(|byte| *byte == b'/').any(climbs)
}

/// A text without its percent-encoding; `None` if that is broken.
fn decoded(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?,
            byte => byte,
        });
    }
    Some(Cow::Owned(out))
}

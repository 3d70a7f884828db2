//! Finds the parts of a `multipart/form-data` body (RFC 7578), and copies none.
//!
//! It is stricter than the RFCs where parsers are known to differ: what one of them takes for the
//! value of a field, another must not take for a field of its own. So lines end with CR LF, nothing
//! but an empty line comes before the first boundary and nothing but white space after the last, and
//! names are plain.

use std::ops::Range;

use http::HeaderValue;
use memchr::memmem;

use crate::{Error, ErrorKind, scan::Malformed};

/// How many parts a form may have.
pub(crate) const MAX_PARTS: usize = 128;
/// How long the headers of a part may be together.
const MAX_HEADERS: usize = 16 * 1024;
/// How long a boundary may be: RFC 2046, section 5.1.1.
const MAX_BOUNDARY: usize = 70;

type Result<T> = std::result::Result<T, Malformed>;

fn expected<T>(at: usize, expected: &'static str) -> Result<T> {
    Err(Malformed { at, expected })
}

/// What separates the parts of a form.
#[derive(Clone, Debug)]
pub(crate) struct Boundary {
    /// With the two dashes before it.
    delimiter: Box<[u8]>,
    content_type: HeaderValue,
}

impl Boundary {
    /// Reads it from a content type.
    pub(crate) fn of(content_type: &str) -> std::result::Result<Self, Error> {
        let wrong = |message: &str| {
            let error = Error::new(ErrorKind::BadRequest, message.to_owned());
            error.with_code("invalid_content_type")
        };
        let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return Err(wrong("the content type is not `multipart/form-data`"));
        }
        let mut boundary = None;
        let read = each_parameter(parameters.as_bytes(), |name, value| {
            // `boundary*` and `boundary*0` are other ways to say it, which nobody uses in earnest.
            if !starts_with(name, b"boundary") {
                return true;
            }
            name.len() == 8 && boundary.replace(value).is_none()
        });
        let boundary = boundary.filter(|_| read).and_then(|boundary| {
            let length = 1..=MAX_BOUNDARY;
            let plain = |byte: &u8| *byte == b' ' || is_token(*byte) || b"(),/:=?".contains(byte);
            let fits = length.contains(&boundary.len()) && boundary.iter().all(plain);
            std::str::from_utf8(boundary).ok().filter(|_| fits)
        });
        let Some(boundary) = boundary.filter(|boundary| !boundary.ends_with(' ')) else {
            return Err(wrong("the content type has no valid `boundary`"));
        };
        let content_type = match boundary.bytes().all(is_token) {
            true => format!("multipart/form-data; boundary={boundary}"),
            false => format!("multipart/form-data; boundary=\"{boundary}\""),
        };
        Ok(Self {
            delimiter: format!("--{boundary}").into_bytes().into(),
            content_type: HeaderValue::try_from(content_type)
                .map_err(|_| wrong("the content type has no valid `boundary`"))?,
        })
    }

    /// What stands before each part.
    pub(crate) fn delimiter(&self) -> &[u8] {
        &self.delimiter
    }

    /// The content type that names it.
    pub(crate) fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// A part with a text, to be put before another or before the end. The name must be
    /// [plain](is_plain).
    pub(crate) fn part(&self, name: &str, text: &[u8]) -> Vec<u8> {
        let header = format!("\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        [&self.delimiter, header.as_bytes(), text, b"\r\n"].concat()
    }
}

/// One part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) name: &'a str,
    /// Whether it has the name of a file.
    pub(crate) is_file: bool,
    pub(crate) value: Range<usize>,
    /// From its boundary to the next one.
    pub(crate) whole: Range<usize>,
}

/// The parts of a form.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) parts: Vec<Part<'a>>,
    /// Where the last boundary begins.
    pub(crate) close: usize,
}

/// Finds the parts of a form.
pub(crate) fn parts<'a>(body: &'a [u8], boundary: &Boundary) -> Result<Parts<'a>> {
    let delimiter = boundary.delimiter();
    let needle = [b"\n", delimiter].concat();
    let finder = memmem::Finder::new(&needle);
    let mut parts = Vec::new();
    let mut start = if body.starts_with(b"\r\n") { 2 } else { 0 };
    if !body[start..].starts_with(delimiter) {
        return expected(start, "a boundary");
    }
    loop {
        let mut at = start + delimiter.len();
        if body[at..].starts_with(b"--") {
            at += 2;
            let rest = body[at..].iter();
            return match rest.clone().position(|byte| !b" \t\r\n".contains(byte)) {
                None => Ok(Parts {
                    parts,
                    close: start,
                }),
                Some(more) => expected(at + more, "the end of the body"),
            };
        }
        if parts.len() == MAX_PARTS {
            return expected(start, "at most 128 parts");
        }
        at += body[at..]
            .iter()
            .take_while(|byte| b" \t".contains(byte))
            .count();
        if !body[at..].starts_with(b"\r\n") {
            return expected(at, "the end of the line of a boundary");
        }
        let (header, value) = header(body, at + 2, delimiter)?;
        // The LF before the value is looked at too: it must not be that of a boundary.
        let Some(found) = finder.find(&body[value - 1..]) else {
            return expected(body.len(), "the last boundary");
        };
        let next = value + found;
        let Some(end) = next.checked_sub(2).filter(|end| *end >= value) else {
            return expected(next, "CR LF before a boundary");
        };
        if body[end] != b'\r' {
            return expected(end, "CR LF before a boundary");
        }
        parts.push(Part {
            name: header.name,
            is_file: header.is_file,
            value: value..end,
            whole: start..next,
        });
        start = next;
    }
}

/// What the headers of a part say.
struct Header<'a> {
    name: &'a str,
    is_file: bool,
}

/// Reads the headers of a part, and tells where its value begins.
fn header<'a>(body: &'a [u8], start: usize, delimiter: &[u8]) -> Result<(Header<'a>, usize)> {
    let mut found: Option<Header<'a>> = None;
    let mut is_encoded = false;
    let mut at = start;
    loop {
        let Some(length) = memchr::memchr(b'\n', &body[at..]) else {
            return expected(body.len(), "the end of a header");
        };
        let Some(line) = body[at..at + length].strip_suffix(b"\r") else {
            return expected(at + length, "CR LF");
        };
        let next = at + length + 1;
        if next - start > MAX_HEADERS {
            return expected(at, "headers of at most 16 KiB");
        }
        if line.is_empty() {
            let Some(header) = found else {
                return expected(at, "`Content-Disposition: form-data` with a `name`");
            };
            if is_encoded && !header.is_file {
                return expected(start, "a field without `Content-Transfer-Encoding`");
            }
            return Ok((header, next));
        }
        let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
        if line.starts_with(delimiter) || line.iter().any(control) {
            return expected(at, "a header");
        }
        let Some(colon) = line.iter().position(|byte| !is_token(*byte)) else {
            return expected(at, "a header");
        };
        let (name, value) = line.split_at(colon);
        let Some(value) = value.strip_prefix(b":").filter(|_| colon > 0) else {
            return expected(at, "a header");
        };
        if name.eq_ignore_ascii_case(b"content-disposition") {
            let header = disposition(value.trim_ascii());
            match header.filter(|_| found.is_none()) {
                Some(header) => found = Some(header),
                None => return expected(at, "one `Content-Disposition: form-data` with a `name`"),
            }
        }
        if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            let plain = [&b"7bit"[..], b"8bit", b"binary"];
            let is = |plain: &[u8]| value.trim_ascii().eq_ignore_ascii_case(plain);
            is_encoded |= !plain.into_iter().any(is);
        }
        at = next;
    }
}

fn disposition(value: &[u8]) -> Option<Header<'_>> {
    let end = value.iter().position(|byte| *byte == b';')?;
    if !value[..end].trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return None;
    }
    let mut name = None;
    let mut is_file = false;
    let read = each_parameter(&value[end + 1..], |key, value| {
        is_file |= starts_with(key, b"filename");
        // `name*` may not be used: RFC 7578, section 4.2.
        !starts_with(key, b"name") || (key.len() == 4 && name.replace(value).is_none())
    });
    let name = std::str::from_utf8(name.filter(|_| read)?).ok()?;
    is_plain(name).then_some(Header { name, is_file })
}

/// Whether every parser reads a name in the same way.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name
            .chars()
            .any(|c| c.is_control() || c == '"' || c == '\\')
}

/// Reads the parameters of a header's value as long as `take` wants them; tells whether all are
/// well-formed and wanted. Escapes in a quoted value stay as they are.
fn each_parameter<'a>(mut rest: &'a [u8], mut take: impl FnMut(&[u8], &'a [u8]) -> bool) -> bool {
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return true;
        }
        let key = rest
            .iter()
            .take_while(|byte| is_token(**byte) || **byte == b'*');
        let key = &rest[..key.count()];
        let Some(value) = rest[key.len()..].strip_prefix(b"=") else {
            return false;
        };
        let (value, after) = match value.strip_prefix(b"\"") {
            Some(quoted) => {
                let Some(end) = end_of_quoted(quoted) else {
                    return false;
                };
                (&quoted[..end], &quoted[end + 1..])
            }
            None => {
                let ends = |byte: &u8| *byte == b';' || byte.is_ascii_whitespace();
                let end = value.iter().position(ends).unwrap_or(value.len());
                (&value[..end], &value[end..])
            }
        };
        if key.is_empty() || !take(key, value) {
            return false;
        }
        rest = match after.trim_ascii_start() {
            [] => return true,
            [b';', more @ ..] => more,
            _ => return false,
        };
    }
}

fn end_of_quoted(quoted: &[u8]) -> Option<usize> {
    let mut escaped = false;
    quoted.iter().position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    })
}

fn starts_with(key: &[u8], name: &[u8]) -> bool {
    let same = key
        .get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name));
    same && matches!(key.get(name.len()), None | Some(b'*'))
}

/// A `tchar` of RFC 9110, but no `*`, which marks another way to write a parameter.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests;

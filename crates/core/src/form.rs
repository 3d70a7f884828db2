//! What is read of a request that comes as a form.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use http::HeaderValue;
use serde_json::{Map, Value};

use crate::{
    Error, ErrorKind, Operation, ReadOptions,
    head::{Head, ModelAs, Reader, no_model},
    multipart::{self, Boundary, Part},
    scan::{Malformed, Member, Scanner},
    value::{Wrong, field},
};

/// How long a text field may be: room for the longest prompt of an image, 32,000 characters.
const MAX_FIELD: usize = 128 * 1024;

/// How the body of a form is written.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    boundary: Boundary,
}

impl Form {
    /// The form of that content type.
    pub(crate) fn of(content_type: &str) -> Result<Self, Error> {
        let boundary = Boundary::of(content_type)?;
        Ok(Self { boundary })
    }

    pub(crate) fn content_type(&self) -> &HeaderValue {
        self.boundary.content_type()
    }

    /// A part with a text.
    pub(crate) fn part(&self, name: &str, text: &[u8]) -> Vec<u8> {
        self.boundary.part(name, text)
    }

    /// Reads the head of a body.
    pub(crate) fn head(
        &self,
        operation: Operation,
        body: &[u8],
        options: ReadOptions,
    ) -> Result<Head, Error> {
        let parts = multipart::parts(body, &self.boundary).map_err(malformed)?;
        let mut fields = Fields {
            reader: Reader::new(operation, options),
            cuts: Vec::new(),
            lists: BTreeMap::new(),
        };
        for part in &parts.parts {
            fields.read(body, part)?;
        }
        let (reader, cuts) = fields.finish()?;
        let mut head = reader.finish()?;
        // There is no place for one that need not be named.
        if head.model_at.is_empty() {
            return Err(no_model());
        }
        head.model_as = ModelAs::Text;
        head.cuts = cuts;
        head.brace = parts.close;
        head.form = Some(Box::new(self.clone()));
        Ok(head)
    }

    /// A body with other values of these fields.
    pub(crate) fn merge(&self, body: &[u8], fields: &Map<String, Value>) -> Result<Vec<u8>, Error> {
        let parts = multipart::parts(body, &self.boundary).map_err(malformed)?;
        let mut merged = Vec::with_capacity(body.len());
        for part in &parts.parts {
            if !fields.contains_key(base(part.name)) {
                merged.extend_from_slice(&body[part.whole.clone()]);
            }
        }
        for (name, value) in fields {
            if !multipart::is_plain(name) {
                return Err(field(name, "a name that a form can have").into());
            }
            match value {
                Value::Null => {}
                Value::String(text) => merged.extend(self.part(name, text.as_bytes())),
                other => merged.extend(self.part(name, other.to_string().as_bytes())),
            }
        }
        merged.extend_from_slice(&body[parts.close..]);
        Ok(merged)
    }
}

pub(crate) fn malformed(malformed: Malformed) -> Error {
    let message = format!("the body is not a valid form: {malformed}");
    Error::new(ErrorKind::BadRequest, message).with_code("invalid_form")
}

/// The name of a field without the brackets that say where in it something belongs.
fn base(name: &str) -> &str {
    name.split('[').next().unwrap_or(name)
}

/// Reads the text fields one after the other.
struct Fields {
    reader: Reader,
    cuts: Vec<Range<usize>>,
    /// Lists that come one string at a time.
    lists: BTreeMap<&'static str, Vec<String>>,
}

impl Fields {
    fn read(&mut self, body: &[u8], part: &Part<'_>) -> Result<(), Wrong> {
        let name = part.name;
        if part.is_file {
            // Others may take it for the field that we read.
            return match name {
                "model" => Err(field(name, "a text, no file")),
                _ => Ok(()),
            };
        }
        if part.value.len() > MAX_FIELD {
            return Err(field(name, "at most 128 KiB long"));
        }
        self.reader.head.fields.insert(base(name));
        let value = &body[part.value.clone()];
        let Ok(text) = std::str::from_utf8(value) else {
            return Err(field(name, "UTF-8, or a file with a `filename`"));
        };
        match self.field(text, part)? {
            Member::Keep => {}
            Member::Cut => self.cuts.push(part.whole.clone()),
        }
        Ok(())
    }

    fn field(&mut self, text: &str, part: &Part<'_>) -> Result<Member, Wrong> {
        let name = part.name;
        let head = &mut self.reader.head;
        match name {
            "model" => self.reader.named(Arc::from(text), part.value.clone())?,
            "user" => head.user = Some(Arc::from(text)),
            "prompt" => head.text_bytes += text.len(),
            "stream" | "n" => {
                self.json(text, name, |reader, s| {
                    reader.member(s, name, &mut Vec::new())
                })?;
            }
            "metadata" | "litellm_metadata" if text.trim_start().starts_with('{') => {
                let mut cuts = Vec::new();
                let read =
                    |reader: &mut Reader, s: &mut Scanner<'_>| reader.member(s, name, &mut cuts);
                let member = self.json(text, name, read)?;
                if member == Member::Keep {
                    let at = part.value.start;
                    let cuts = cuts.into_iter().map(|cut| cut.start + at..cut.end + at);
                    self.cuts.extend(cuts);
                }
                return Ok(member);
            }
            "metadata[session_id]" | "litellm_metadata[session_id]" => {
                head.session = Some(Arc::from(text));
                return Ok(Member::Cut);
            }
            _ if base(name) != name => return self.bracketed(text, name),
            _ if is_json(name) => {
                return self.json(text, name, |reader, s| reader.control(s, name));
            }
            _ => {
                let quoted = serde_json::to_string(text).expect("a string always serialises");
                return self.json(&quoted, name, |reader, s| reader.control(s, name));
            }
        }
        Ok(Member::Keep)
    }

    /// One of several strings of a list, as clients write what is nested.
    fn bracketed(&mut self, text: &str, name: &str) -> Result<Member, Wrong> {
        let list = match name {
            "tags[]" | "metadata[tags][]" | "litellm_metadata[tags][]" => "tags",
            "fallbacks[]" => "fallbacks",
            "context_window_fallbacks[]" => "context_window_fallbacks",
            "content_policy_fallbacks[]" => "content_policy_fallbacks",
            _ if matches!(base(name), "cache" | "litellm_metadata") => return Ok(Member::Cut),
            _ if base(name).ends_with("fallbacks") => {
                return Err(field(base(name), "the names of groups, or JSON text"));
            }
            _ => return Ok(Member::Keep),
        };
        self.lists.entry(list).or_default().push(text.to_owned());
        Ok(Member::Cut)
    }

    /// Reads the JSON that a field holds.
    fn json<T>(
        &mut self,
        text: &str,
        name: &str,
        read: impl FnOnce(&mut Reader, &mut Scanner<'_>) -> Result<T, Wrong>,
    ) -> Result<T, Wrong> {
        // Python's words for them.
        let text = match text {
            "True" => "true",
            "False" => "false",
            text => text,
        };
        let mut scanner = Scanner::new(text);
        let read = read(&mut self.reader, &mut scanner);
        let ended = |read| Ok(scanner.end().map(|()| read)?);
        read.and_then(ended).map_err(|wrong| match wrong {
            Wrong::Json(malformed) => {
                let message = format!("`{name}` is not valid JSON: {malformed}");
                let error = Error::new(ErrorKind::BadRequest, message);
                Wrong::Field(error.with_param(name).with_code("invalid_type"))
            }
            Wrong::Field(_) => wrong,
        })
    }

    fn finish(mut self) -> Result<(Reader, Vec<Range<usize>>), Wrong> {
        for (name, list) in std::mem::take(&mut self.lists) {
            let json = Value::from(list).to_string();
            self.json(&json, name, |reader, s| reader.control(s, name))?;
        }
        Ok((self.reader, self.cuts))
    }
}

/// The fields of which the router reads more than a text.
fn is_json(name: &str) -> bool {
    let is_mock = name.starts_with("mock_") && name != "mock_response";
    is_mock
        || matches!(
            name,
            "cache"
                | "fallbacks"
                | "context_window_fallbacks"
                | "content_policy_fallbacks"
                | "include_fallback_errors"
                | "disable_fallbacks"
                | "max_fallbacks"
                | "num_retries"
                | "timeout"
                | "request_timeout"
                | "stream_timeout"
                | "priority"
                | "tags"
        )
}

#[cfg(test)]
mod tests;

//! A workload as it was recorded: one request in a line.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    sync::Arc,
};

use serde::Deserialize;

use crate::{
    ScenarioError,
    numbers::{LONGEST, name},
    spec::MAX_REQUESTS,
};

/// The longest line that is read, in bytes.
const MAX_LINE: usize = 64 << 10;

/// How many tokens an entry may name.
const MAX_TOKENS: u64 = 10_000_000;

/// Requests in the order of their time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    pub(crate) entries: Vec<Entry>,
    pub(crate) sessions: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: f64,
    pub(crate) model: Arc<str>,
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) stream: bool,
    pub(crate) session: Option<u32>,
    pub(crate) user: Option<Arc<str>>,
    pub(crate) tags: Arc<[Arc<str>]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at: f64,
    model: String,
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    stream: bool,
    session: Option<String>,
    user: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

/// Names that occur often are kept once.
#[derive(Default)]
struct Names(HashMap<String, Arc<str>>);

impl Names {
    fn keep(&mut self, name: String) -> Arc<str> {
        let known = self.0.entry(name);
        Arc::clone(known.or_insert_with_key(|name| Arc::from(name.as_str())))
    }
}

impl Trace {
    /// Reads JSON lines; empty ones are skipped.
    pub(crate) fn read(from: impl Read, file: &str) -> Result<Self, ScenarioError> {
        let mut reader = BufReader::new(from);
        let mut trace = Self::default();
        let mut names = Names::default();
        let mut sessions: HashMap<String, u32> = HashMap::new();
        let mut bytes = Vec::new();
        for number in 1_u64.. {
            let wrong = |error: String| ScenarioError::new(format!("{file}:{number}{error}"));
            bytes.clear();
            let limit = MAX_LINE as u64 + 1;
            let read = (&mut reader).take(limit).read_until(b'\n', &mut bytes);
            if read.map_err(|error| wrong(format!(": {error}")))? == 0 {
                break;
            }
            if bytes.len() > MAX_LINE {
                return Err(wrong(format!(": is longer than {MAX_LINE} bytes")));
            }
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            if trace.entries.len() as u64 == MAX_REQUESTS {
                return Err(wrong(format!(": more than {MAX_REQUESTS} requests")));
            }
            let line: Line = serde_json::from_slice(&bytes).map_err(|error| {
                let column = error.column();
                let text = error.to_string();
                let text = text.split(" at line ").next().unwrap_or_default();
                wrong(format!(":{column}: {text}"))
            })?;
            line.check().map_err(|error| wrong(format!(": {error}")))?;
            let next = sessions.len() as u32;
            let session = line.session.map(|id| *sessions.entry(id).or_insert(next));
            trace.entries.push(Entry {
                at: line.at,
                model: names.keep(line.model),
                input: line.input_tokens.max(1),
                output: line.output_tokens.max(1),
                stream: line.stream,
                session,
                user: line.user.map(|user| names.keep(user)),
                tags: line.tags.into_iter().map(|tag| names.keep(tag)).collect(),
            });
        }
        trace.entries.sort_by(|a, b| a.at.total_cmp(&b.at));
        trace.sessions = sessions.len() as u32;
        Ok(trace)
    }
}

impl Line {
    fn check(&self) -> Result<(), String> {
        if !(0.0..=LONGEST).contains(&self.at) {
            return Err(format!("`at` is not between 0 and {LONGEST} seconds"));
        }
        if self.input_tokens.max(self.output_tokens) > MAX_TOKENS {
            return Err(format!("more than {MAX_TOKENS} tokens"));
        }
        if self.tags.len() > 64 {
            return Err("more than 64 tags".to_owned());
        }
        let named = [&self.session, &self.user].into_iter().flatten();
        let mut names = named.chain([&self.model]).chain(&self.tags);
        names.try_for_each(|text| name(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Trace, String> {
        Trace::read(text.as_bytes(), "t.jsonl").map_err(|error| error.to_string())
    }

    #[test]
    fn lines_are_put_in_the_order_of_time() {
        let trace = read(
            "{\"at\": 2, \"model\": \"a\", \"session\": \"s\"}\n\n{\"at\": 1.5, \"model\": \"b\", \"session\": \"s\"}",
        )
        .expect("is a trace");
        let models: Vec<_> = trace.entries.iter().map(|entry| &*entry.model).collect();
        assert_eq!(models, ["b", "a"]);
        assert_eq!(trace.sessions, 1);
    }

    #[test]
    fn what_is_wrong_names_its_line() {
        let good = "{\"at\": 0, \"model\": \"a\"}\n";
        for (line, told) in [
            ("{\"at\": 0}", "t.jsonl:2:9: missing field `model`"),
            (
                "{\"at\": 0, \"model\": \"a\", \"modle\": 1}",
                "unknown field `modle`",
            ),
            (
                "{\"at\": -1, \"model\": \"a\"}",
                "t.jsonl:2: `at` is not between",
            ),
            ("{\"at\": 0, \"model\": \"\"}", "t.jsonl:2: a name is empty"),
            ("nonsense", "t.jsonl:2:2: expected ident"),
        ] {
            let error = read(&format!("{good}{line}")).expect_err("is wrong");
            assert!(error.contains(told), "{error}");
        }
        let long = format!("{good}{}", " ".repeat(MAX_LINE + 1));
        let error = read(&long).expect_err("is too long");
        assert!(error.contains("t.jsonl:2: is longer"), "{error}");
    }
}

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use super::{
    SseChunking, Step,
    answer::{Plan, ending, text},
    body::Act,
    render::{Kind, Shape},
    step::{Break, Text},
};

pub(super) const SSE: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// The data of an event that no parser takes.
pub(super) const BROKEN: &[u8] =
    br#"{"id":"chatcmpl-broken","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"con"#;

/// Plans a stream: its events, up to the break if there is one.
pub(super) fn plan(step: &Step, name: &str, shape: &Shape<'_>) -> Plan {
    let mut tape = Tape::new(step.chunking == SseChunking::Crlf, step.comments);
    write_events(&mut tape, step, name, shape);
    let mut acts = spread(tape, step);
    if let Some((_, how)) = &step.breaks {
        acts.extend(ending(how));
    }
    Plan::streamed(step.status, SSE, acts)
}

/// Writes the events up to the break, or all of them.
fn write_events(tape: &mut Tape, step: &Step, name: &str, shape: &Shape<'_>) {
    let text = text(step, name, step.chunks.unwrap_or(4));
    let pieces = pieces(&text, step, name);
    let end = match &step.breaks {
        Some((events, _)) => (*events).min(pieces.len()),
        None => pieces.len(),
    };
    let malformed_at = step
        .malformed_at
        .map(|n| n.saturating_sub(1).min(pieces.len()));

    let mut role = shape.kind == Kind::Chat;
    if role && (step.role_chunk_first || pieces.is_empty()) {
        tape.event(Duration::ZERO, |out| shape.content(out, "", true));
        role = false;
    }
    let mut wait = step.first_token_delay;
    for (i, piece) in pieces[..end].iter().enumerate() {
        if malformed_at == Some(i) {
            tape.event(wait, |out| out.extend_from_slice(BROKEN));
            wait = step.chunk_delay;
        }
        tape.event(wait, |out| shape.content(out, piece, role));
        role = false;
        wait = step.chunk_delay;
    }
    match &step.breaks {
        Some((_, Break::Error(error))) => {
            tape.event(wait, |out| {
                out.extend_from_slice(br#"{"error":"#);
                serde_json::to_writer(&mut *out, error).expect("a value can be written to memory");
                out.push(b'}');
            });
            return;
        }
        Some(_) => return,
        None => {}
    }
    if malformed_at == Some(end) {
        tape.event(wait, |out| out.extend_from_slice(BROKEN));
    }
    if step.finish {
        tape.event(wait, |out| shape.finish(out));
    }
    if shape.usage_asked {
        tape.event(Duration::ZERO, |out| shape.usage_event(out));
    }
    if step.done {
        tape.event(Duration::ZERO, |out| out.extend_from_slice(b"[DONE]"));
    }
}

/// Splits a text before its blanks and spreads the words evenly over the events.
pub(super) fn pieces<'a>(text: &'a str, step: &Step, name: &str) -> Vec<&'a str> {
    let generated = matches!(step.text, Text::Default | Text::Words(_));
    // The first word of a generated text is two: "from a".
    let skip = if generated {
        "from ".len() + name.len()
    } else {
        1
    };
    let mut starts: Vec<usize> = text
        .bytes()
        .enumerate()
        .skip(skip)
        .filter_map(|(at, byte)| (byte == b' ').then_some(at))
        .collect();
    if !text.is_empty() {
        starts.insert(0, 0);
    }
    let words = starts.len();
    starts.push(text.len());
    let events = step
        .chunks
        .map_or(words, |chunks| chunks.clamp(1, words.max(1)));
    (0..events.min(words))
        .map(|i| &text[starts[i * words / events]..starts[(i + 1) * words / events]])
        .collect()
}

/// Turns the events into chunks of the body, with the waits before them.
pub(super) fn spread(tape: Tape, step: &Step) -> Vec<Act> {
    let (bytes, cuts) = tape.finish();
    let mut acts = Vec::with_capacity(cuts.len() + 1);
    let mut wait_and_send = |wait: Duration, bytes: Bytes| {
        if !wait.is_zero() {
            acts.push(Act::Wait(wait));
        }
        if !bytes.is_empty() {
            acts.push(Act::Send(bytes));
        }
    };
    match step.chunking {
        SseChunking::PerEvent | SseChunking::Crlf => {
            let mut start = 0;
            for (end, wait) in cuts {
                wait_and_send(wait, bytes.slice(start..end));
                start = end;
            }
        }
        SseChunking::AllAtOnce => wait_and_send(step.first_token_delay, bytes),
        SseChunking::SplitEvery(size) => {
            let size = size.max(1);
            let mut wait = step.first_token_delay;
            for start in (0..bytes.len()).step_by(size) {
                let end = (start + size).min(bytes.len());
                wait_and_send(wait, bytes.slice(start..end));
                wait = step.chunk_delay;
            }
        }
    }
    acts
}

/// The events of a stream one behind the other, so that each is a slice of the same memory.
#[derive(Debug)]
pub(super) struct Tape {
    bytes: Vec<u8>,
    cuts: Vec<(usize, Duration)>,
    end_of_line: &'static [u8],
    comments: bool,
    comment: &'static [&'static str],
}

impl Tape {
    pub(super) fn new(crlf: bool, comments: bool) -> Self {
        Self {
            bytes: Vec::with_capacity(2048),
            cuts: Vec::with_capacity(16),
            end_of_line: if crlf { b"\r\n" } else { b"\n" },
            comments,
            comment: &[": ping"],
        }
    }

    /// Writes these lines in the place of a comment.
    pub(super) fn comment_with(&mut self, lines: &'static [&'static str]) {
        self.comment = lines;
    }

    /// Adds an event, and how long to wait before it.
    pub(super) fn event(&mut self, wait: Duration, write_data: impl FnOnce(&mut Vec<u8>)) {
        self.named(wait, "", write_data);
    }

    /// Adds an event with a name, which may be empty.
    pub(super) fn named(
        &mut self,
        wait: Duration,
        name: &str,
        write_data: impl FnOnce(&mut Vec<u8>),
    ) {
        if self.comments {
            for line in self.comment {
                self.bytes.extend_from_slice(line.as_bytes());
                self.bytes.extend_from_slice(self.end_of_line);
            }
            self.end(Duration::ZERO);
        }
        if !name.is_empty() {
            self.bytes.extend_from_slice(b"event: ");
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(self.end_of_line);
        }
        self.bytes.extend_from_slice(b"data: ");
        write_data(&mut self.bytes);
        self.bytes.extend_from_slice(self.end_of_line);
        self.end(wait);
    }

    /// Adds an event that says itself where it ends.
    pub(super) fn raw(&mut self, wait: Duration, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.cuts.push((self.bytes.len(), wait));
    }

    /// What is written so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn end(&mut self, wait: Duration) {
        self.bytes.extend_from_slice(self.end_of_line);
        self.cuts.push((self.bytes.len(), wait));
    }

    /// The bytes, and for each event where it ends and the wait before it.
    fn finish(self) -> (Bytes, Vec<(usize, Duration)>) {
        (self.bytes.into(), self.cuts)
    }
}

//! Going on with a streamed answer that broke off.

mod chat;
mod choices;
mod completions;
mod said;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;
use ziggurat_core::{GoOn, Item, LlmRequest, Operation, Transcript, Transcripts, Usage};

use self::said::Said;
use crate::sse::{self, Event};

/// How many bytes are kept before they are read.
const MAX_UNREAD: usize = 16 * 1024;

/// What is kept of streamed chat completions and completions, so that another deployment can go on
/// with one that broke off.
///
/// An answer can be gone on with while nothing but text has been said, at most 256 KiB of it, and
/// no finish reason was seen. Not one with a tool call, with reasoning, a refusal or annotations in
/// it: what another model would say after them does not follow from what the client has.
///
/// These are not listened to in the first place:
///
/// - Requests for more than one choice, for log probabilities, audio, or the prompt back: what was
///   sent cannot be brought into a second request.
/// - Requests with a `response_format` other than text. A model that is held to a form begins a new
///   document, it does not end a broken one; and nobody could tell that the whole is in that form.
/// - Completions whose prompt is no string.
///
/// Keeping costs one copy of the bytes; they are read only when there are 16 KiB of them, or when
/// the answer breaks.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAiTranscripts;

impl Transcripts<LlmRequest> for OpenAiTranscripts {
    type Transcript = OpenAiTranscript;

    fn listen(&self, request: &LlmRequest) -> Option<OpenAiTranscript> {
        if !request.is_stream() || request.choices() != 1 {
            return None;
        }
        let shape: &'static dyn Shape = match request.operation() {
            Operation::ChatCompletions => &chat::Chat,
            Operation::Completions => &completions::Completions,
            _ => return None,
        };
        shape
            .allows(request)
            .then(|| OpenAiTranscript::new(shape, request.estimated_input_tokens()))
    }
}

/// How answers to one operation are written.
trait Shape: Send + Sync {
    /// Whether an answer to the request can be gone on with at all.
    fn allows(&self, request: &LlmRequest) -> bool;

    /// Notes what an event says.
    fn hear(&self, event: &Value, said: &mut Said);

    /// Makes an event of a later answer one of the first, to which it adds what was spent before.
    /// Tells whether anything is left of it.
    fn join(&self, event: &mut Value, said: &mut Said, spent: &Usage) -> bool;

    /// The end of what was said that the next model is not shown, and so may say again.
    fn seam<'a>(&self, text: &'a str) -> &'a str;

    /// The request for the rest.
    fn rest(&self, request: &LlmRequest, text: &str, how: GoOn) -> Option<LlmRequest>;
}

/// What is kept of one streamed answer; see [`OpenAiTranscripts`].
///
/// [`rest`](Transcript::rest) wants the request of the client, however often the answer broke.
pub struct OpenAiTranscript {
    shape: &'static dyn Shape,
    said: Said,
    /// What passed and has not been read.
    unread: Vec<u8>,
    goes_on: bool,
    /// The tokens of the request, roughly.
    input: u64,
    /// What the attempts before this one used.
    spent: Usage,
    /// What this one is said to have used so far.
    reported: Option<Usage>,
    /// How much text was said before this one.
    from: usize,
}

impl OpenAiTranscript {
    fn new(shape: &'static dyn Shape, input: u64) -> Self {
        Self {
            shape,
            said: Said::default(),
            unread: Vec::new(),
            goes_on: false,
            input,
            spent: Usage::default(),
            reported: None,
            from: 0,
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.said.is_final() {
            return;
        }
        self.unread.extend_from_slice(bytes);
        if self.unread.len() >= MAX_UNREAD {
            self.read();
        }
    }

    fn read(&mut self) {
        self.said.read(self.shape, &self.unread);
        self.unread.clear();
        if self.said.is_final() || self.unread.capacity() > 2 * MAX_UNREAD {
            self.unread = Vec::new();
        }
    }

    /// What this attempt used: the provider's word, or an estimate.
    fn used(&self) -> Usage {
        self.reported.unwrap_or_else(|| {
            let (shown, said) = (tokens(self.from), tokens(self.said.bytes() - self.from));
            Usage::new(self.input.saturating_add(shown), said).as_estimate()
        })
    }

    fn join(&mut self, item: &mut Item) {
        let bytes = std::mem::take(&mut item.bytes);
        let mut joined = Vec::with_capacity(bytes.len());
        item.events = 0;
        for event in sse::events(&bytes) {
            let Some(data) = Event::read(event).data else {
                joined.extend_from_slice(event);
                continue;
            };
            match serde_json::from_slice::<Value>(&data) {
                Ok(mut value) => {
                    if !self.shape.join(&mut value, &mut self.said, &self.spent) {
                        continue;
                    }
                    self.shape.hear(&value, &mut self.said);
                    // The name of the event, if it has one.
                    let head = memchr::memmem::find(event, b"\ndata:");
                    let head = head.map_or(0, |line| line + 1);
                    joined.extend_from_slice(&event[..head]);
                    joined.extend_from_slice(format!("data: {value}\n\n").as_bytes());
                }
                Err(_) => {
                    if data.trim_ascii() == b"[DONE]" && self.reported.is_none() {
                        item.usage = Some(self.spent.plus(&self.used()));
                    }
                    joined.extend_from_slice(event);
                }
            }
            item.events += 1;
        }
        item.bytes = joined.into();
    }
}

impl Transcript<LlmRequest> for OpenAiTranscript {
    fn pass(&mut self, mut item: Item) -> Item {
        if let Some(usage) = item.usage {
            self.reported = Some(usage);
            item.usage = Some(self.spent.plus(&usage));
        }
        if self.goes_on {
            self.join(&mut item);
        } else {
            self.keep(&item.bytes);
        }
        item
    }

    fn rest(&self, request: &LlmRequest, how: GoOn) -> Option<LlmRequest> {
        let mut said = self.said.clone();
        said.read(self.shape, &self.unread);
        if said.is_final() || said.text().trim().is_empty() {
            return None;
        }
        self.shape.rest(request, said.text(), how)
    }

    fn goes_on(&mut self) {
        self.read();
        self.spent = self.spent.plus(&self.used());
        self.reported = None;
        self.from = self.said.bytes();
        self.said.begin_again(self.shape);
        self.goes_on = true;
    }
}

impl fmt::Debug for OpenAiTranscript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiTranscript")
            .field("goes_on", &self.goes_on)
            .field("spent", &self.spent)
            .finish_non_exhaustive()
    }
}

/// The tokens of a text, roughly: one for each four bytes.
fn tokens(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(4)
}

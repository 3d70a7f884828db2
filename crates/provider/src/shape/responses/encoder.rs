//! A stream of chat, as the events of Responses.
//!
//! An item begins with the first piece of it and is whole when one of another kind begins, or at the
//! end; calls stay open to the end, since their pieces may come in any order. What an item holds is
//! told again when it is whole, and all of it in the last event, so it is kept until then.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    items::{self, Status},
    open::{Message, OpenCall, Reasoning},
    out::{Out, Place},
    response::{self, End, Response},
};
use crate::{
    shape::Encoder,
    sse::{self, Event},
};

/// How many bytes of an answer are kept; a longer one is broken off.
const MAX_KEPT: usize = 32 * 1024 * 1024;
/// What an item, or any other object, costs beside its text.
const ITEM: usize = 256;
const TOO_LONG: End = End::Failed("server_error", "the answer is too long");

/// Writes the events of one response.
#[derive(Debug)]
pub(super) struct ResponsesEncoder {
    response: Response,
    out: Out,
    /// The items that are whole, and null for those that are not.
    output: Vec<Value>,
    reasoning: Option<Reasoning>,
    message: Option<Message>,
    calls: Vec<OpenCall>,
    kept: usize,
    end: Option<End>,
    usage: Option<Value>,
    is_over: bool,
}

impl ResponsesEncoder {
    pub(super) fn new(request: &[u8]) -> Self {
        Self {
            response: Response::new(request),
            out: Out::default(),
            output: Vec::new(),
            reasoning: None,
            message: None,
            calls: Vec::new(),
            kept: 0,
            end: None,
            usage: None,
            is_over: false,
        }
    }

    fn event(&mut self, data: &[u8]) {
        if data.trim_ascii() == b"[DONE]" {
            return self.finish();
        }
        let Ok(chunk) = serde_json::from_slice::<Value>(data) else {
            return;
        };
        if self.out.is_new() {
            self.response.head(&chunk);
            self.begin();
        }
        if ["usage", "x_groq"]
            .iter()
            .any(|name| chunk[*name].is_object())
        {
            self.usage = response::usage(data).or(self.usage.take());
        }
        // Responses has one answer only.
        for choice in list(&chunk["choices"]).filter(|it| it["index"].as_u64().unwrap_or(0) == 0) {
            self.choice(choice);
        }
        if self.kept > MAX_KEPT {
            self.end = Some(TOO_LONG);
            self.finish();
        }
    }

    fn begin(&mut self) {
        let response = self.response.write(None, &[], None);
        for kind in ["response.created", "response.in_progress"] {
            self.out.event(kind, json!({ "response": response }));
        }
    }

    fn choice(&mut self, choice: &Value) {
        let delta = &choice["delta"];
        let (said, thought) = items::texts(delta);
        let blocks = &delta["thinking_blocks"];
        if !thought.is_empty() || list(blocks).next().is_some() {
            self.think(&thought, blocks);
        }
        let logprobs: Vec<_> = list(&choice["logprobs"]["content"]).cloned().collect();
        if !said.is_empty() || !logprobs.is_empty() {
            let length = said.len() + logprobs.iter().map(size).sum::<usize>();
            self.say(length, |message, out| {
                message.text(&said, logprobs, out);
            });
        }
        for annotation in list(&delta["annotations"]) {
            let annotation = items::annotation(annotation);
            let length = size(&annotation);
            self.say(length, |message, out| message.annotation(annotation, out));
        }
        if let Some(words) = delta["refusal"].as_str().filter(|words| !words.is_empty()) {
            self.say(words.len(), |message, out| message.refusal(words, out));
        }
        for image in list(&delta["images"]).filter_map(items::data_of_image) {
            self.image(image);
        }
        for piece in list(&delta["tool_calls"]) {
            self.call(piece, &piece["function"]);
        }
        if delta["function_call"].is_object() {
            self.call(&Value::Null, &delta["function_call"]);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            let end = End::of(Some(reason));
            self.end = Some(end);
            self.close_all(end.status());
        }
    }

    fn think(&mut self, text: &str, blocks: &Value) {
        self.kept += text.len() + size(blocks);
        self.close_message(Status::Completed);
        let mut reasoning = match self.reasoning.take() {
            Some(open) => open,
            None => Reasoning::open(self.reserve(), &mut self.out),
        };
        reasoning.add(text, blocks, &mut self.out);
        self.reasoning = Some(reasoning);
    }

    fn say(&mut self, length: usize, say: impl FnOnce(&mut Message, &mut Out)) {
        self.kept += length;
        self.close_reasoning();
        let mut message = match self.message.take() {
            Some(open) => open,
            None => Message::open(self.reserve(), &mut self.out),
        };
        say(&mut message, &mut self.out);
        self.message = Some(message);
    }

    fn image(&mut self, data: &str) {
        self.kept += data.len();
        self.close_reasoning();
        self.close_message(Status::Completed);
        let place = Place::new("ig", self.reserve());
        let item = items::image(&place.id, Status::InProgress, None);
        place.added(&item, &mut self.out);
        let item = items::image(&place.id, Status::Completed, Some(data));
        place.done(&item, &mut self.out);
        self.output[place.index] = item;
    }

    fn call(&mut self, piece: &Value, function: &Value) {
        self.close_reasoning();
        self.close_message(Status::Completed);
        let (number, id) = (piece["index"].as_u64(), piece["id"].as_str());
        let mut calls = self.calls.iter();
        let at = match calls.rposition(|call| call.takes(number, id)) {
            Some(at) => at,
            None => {
                let call = OpenCall::new(self.reserve(), number);
                self.calls.push(call);
                self.calls.len() - 1
            }
        };
        self.kept += self.calls[at].add(piece, function, &self.response, &mut self.out);
    }

    /// A place in the answer for an item that begins.
    fn reserve(&mut self) -> usize {
        self.kept += ITEM;
        self.output.push(Value::Null);
        self.output.len() - 1
    }

    fn close_reasoning(&mut self) {
        if let Some(open) = self.reasoning.take() {
            let (at, item) = open.close(&mut self.out);
            self.output[at] = item;
        }
    }

    fn close_message(&mut self, status: Status) {
        if let Some(open) = self.message.take() {
            let (at, item) = open.close(status, &mut self.out);
            self.output[at] = item;
        }
    }

    fn close_all(&mut self, status: Status) {
        self.close_reasoning();
        self.close_message(status);
        for call in std::mem::take(&mut self.calls) {
            let (at, item) = call.close(status, &self.response, &mut self.out);
            self.output[at] = item;
        }
    }

    /// The last event.
    fn finish(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        if self.out.is_new() {
            self.begin();
        }
        let end = self.end.unwrap_or(End::Completed);
        self.close_all(end.status());
        let kind = match end {
            End::Completed => "response.completed",
            End::Incomplete(_) => "response.incomplete",
            End::Failed(..) => "response.failed",
        };
        let response = self
            .response
            .write(Some(end), &self.output, self.usage.take());
        self.out.event(kind, json!({ "response": response }));
    }
}

impl Encoder for ResponsesEncoder {
    fn encode(&mut self, events: &Bytes) -> Bytes {
        for event in sse::events(events) {
            match Event::read(event).data {
                Some(data) if !self.is_over => self.event(&data),
                _ => {}
            }
        }
        self.out.take()
    }

    fn end(&mut self) -> Bytes {
        self.finish();
        self.out.take()
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// About how much memory a value takes.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(size).sum(),
        Value::Object(members) => members.values().map(size).sum::<usize>() + ITEM,
        _ => 0,
    }
}

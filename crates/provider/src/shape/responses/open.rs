//! Items that are being written.

use serde_json::{Value, json};

use super::{
    items::{self, Call, Status},
    out::{Out, Place},
    response::Response,
    tools,
};

/// What the model thinks.
#[derive(Debug)]
pub(super) struct Reasoning {
    place: Place,
    text: String,
    thinking: Vec<Value>,
}

impl Reasoning {
    pub(super) fn open(index: usize, out: &mut Out) -> Self {
        let place = Place::new("rs", index);
        place.added(&items::reasoning(&place.id, "", &[]), out);
        Self {
            place,
            text: String::new(),
            thinking: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, text: &str, blocks: &Value, out: &mut Out) {
        items::add_thinking(&mut self.thinking, blocks);
        if text.is_empty() {
            return;
        }
        if self.text.is_empty() {
            let event = json!({"summary_index": 0, "part": items::summary_text("")});
            let kind = "response.reasoning_summary_part.added";
            self.place.event(kind, event, out);
        }
        self.text.push_str(text);
        let event = json!({"summary_index": 0, "delta": text});
        let kind = "response.reasoning_summary_text.delta";
        self.place.event(kind, event, out);
    }

    pub(super) fn close(self, out: &mut Out) -> (usize, Value) {
        if !self.text.is_empty() {
            let event = json!({"summary_index": 0, "text": self.text});
            let kind = "response.reasoning_summary_text.done";
            self.place.event(kind, event, out);
            let event = json!({"summary_index": 0, "part": items::summary_text(&self.text)});
            let kind = "response.reasoning_summary_part.done";
            self.place.event(kind, event, out);
        }
        let item = items::reasoning(&self.place.id, &self.text, &self.thinking);
        self.place.done(&item, out);
        (self.place.index, item)
    }
}

/// What the model says.
#[derive(Debug)]
pub(super) struct Message {
    place: Place,
    /// The parts that are whole.
    content: Vec<Value>,
    part: Option<Part>,
}

/// A part of a message: text or a refusal.
#[derive(Debug, Default)]
struct Part {
    is_refusal: bool,
    text: String,
    annotations: Vec<Value>,
    logprobs: Vec<Value>,
}

impl Part {
    fn write(&self) -> Value {
        match self.is_refusal {
            true => items::refusal(&self.text),
            false => items::output_text(&self.text, &self.annotations, &self.logprobs),
        }
    }
}

impl Message {
    pub(super) fn open(index: usize, out: &mut Out) -> Self {
        let place = Place::new("msg", index);
        place.added(&items::message(&place.id, Status::InProgress, &[]), out);
        Self {
            place,
            content: Vec::new(),
            part: None,
        }
    }

    pub(super) fn text(&mut self, text: &str, logprobs: Vec<Value>, out: &mut Out) {
        let at = self.content_index(false, out);
        let part = self.part.get_or_insert_default();
        part.text.push_str(text);
        // Some tell the probabilities of a text when they have told the text.
        if !text.is_empty() {
            let event = json!({"content_index": at, "delta": text, "logprobs": logprobs});
            self.place.event("response.output_text.delta", event, out);
        }
        part.logprobs.extend(logprobs);
    }

    pub(super) fn refusal(&mut self, text: &str, out: &mut Out) {
        let at = self.content_index(true, out);
        self.part.get_or_insert_default().text.push_str(text);
        let event = json!({"content_index": at, "delta": text});
        self.place.event("response.refusal.delta", event, out);
    }

    pub(super) fn annotation(&mut self, annotation: Value, out: &mut Out) {
        let at = self.content_index(false, out);
        let annotations = &mut self.part.get_or_insert_default().annotations;
        let event = json!({
            "content_index": at,
            "annotation_index": annotations.len(),
            "annotation": annotation,
        });
        annotations.push(annotation);
        let kind = "response.output_text.annotation.added";
        self.place.event(kind, event, out);
    }

    /// Where the open part lies, which is one of that kind.
    fn content_index(&mut self, is_refusal: bool, out: &mut Out) -> usize {
        if self
            .part
            .as_ref()
            .is_none_or(|part| part.is_refusal != is_refusal)
        {
            self.close_part(out);
            let part = Part {
                is_refusal,
                ..Part::default()
            };
            let event = json!({"content_index": self.content.len(), "part": part.write()});
            self.place.event("response.content_part.added", event, out);
            self.part = Some(part);
        }
        self.content.len()
    }

    fn close_part(&mut self, out: &mut Out) {
        let Some(part) = self.part.take() else {
            return;
        };
        let at = self.content.len();
        let (kind, event) = match part.is_refusal {
            true => (
                "response.refusal.done",
                json!({"content_index": at, "refusal": part.text}),
            ),
            false => (
                "response.output_text.done",
                json!({"content_index": at, "text": part.text, "logprobs": part.logprobs}),
            ),
        };
        self.place.event(kind, event, out);
        let part = part.write();
        let event = json!({"content_index": at, "part": part});
        self.place.event("response.content_part.done", event, out);
        self.content.push(part);
    }

    pub(super) fn close(mut self, status: Status, out: &mut Out) -> (usize, Value) {
        self.close_part(out);
        let item = items::message(&self.place.id, status, &self.content);
        self.place.done(&item, out);
        (self.place.index, item)
    }
}

/// A call of a tool.
#[derive(Debug)]
pub(super) struct OpenCall {
    place: Place,
    /// The number that chat gives it.
    number: Option<u64>,
    call: Call,
    /// Whether its name is known, and the item has begun.
    is_added: bool,
}

impl OpenCall {
    pub(super) fn new(index: usize, number: Option<u64>) -> Self {
        Self {
            place: Place::new("fc", index),
            number,
            call: Call::default(),
            is_added: false,
        }
    }

    /// Whether a piece of that number, and perhaps with that id, belongs to it.
    pub(super) fn takes(&self, number: Option<u64>, id: Option<&str>) -> bool {
        let is_other = id.is_some_and(|id| !id.is_empty() && id != self.call.call_id);
        number.is_none_or(|number| self.number == Some(number)) && !(is_other && self.is_added)
    }

    /// Takes a piece; gives how long the arguments in it are.
    pub(super) fn add(
        &mut self,
        piece: &Value,
        function: &Value,
        response: &Response,
        out: &mut Out,
    ) -> usize {
        let text = |value: &Value| {
            value
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        if !self.is_added {
            if let Some(id) = text(&piece["id"]) {
                self.call.call_id = id;
            }
            if let Some(name) = text(&function["name"]) {
                self.call.name = name;
            }
        }
        if let Some(extra) = piece.get("provider_specific_fields") {
            self.call.extra = Some(extra.clone());
        }
        let arguments = function["arguments"].as_str().unwrap_or_default();
        self.call.given.push_str(arguments);
        if !self.is_added && !self.call.name.is_empty() {
            self.begin(response, out);
        } else if self.is_added {
            self.delta(arguments, out);
        }
        arguments.len()
    }

    fn begin(&mut self, response: &Response, out: &mut Out) {
        self.is_added = true;
        self.call.is_custom = response.is_custom(&self.call.name);
        if self.call.is_custom {
            self.place.id = items::new_id("ctc");
        }
        if self.call.call_id.is_empty() {
            self.call.call_id = items::new_id("call");
        }
        self.call.id.clone_from(&self.place.id);
        let given = std::mem::take(&mut self.call.given);
        self.place.added(&self.call.item(Status::InProgress), out);
        self.delta(&given, out);
        self.call.given = given;
    }

    /// The input of a custom tool is told when all of it is there: it lies in the arguments.
    fn delta(&self, arguments: &str, out: &mut Out) {
        if !arguments.is_empty() && !self.call.is_custom {
            let kind = "response.function_call_arguments.delta";
            self.place.event(kind, json!({ "delta": arguments }), out);
        }
    }

    pub(super) fn close(
        mut self,
        status: Status,
        response: &Response,
        out: &mut Out,
    ) -> (usize, Value) {
        if !self.is_added {
            self.begin(response, out);
        }
        if self.call.is_custom {
            self.call.given = tools::input(&self.call.given);
            let kind = "response.custom_tool_call_input";
            let event = json!({"delta": self.call.given});
            self.place.event(&format!("{kind}.delta"), event, out);
            let event = json!({"input": self.call.given});
            self.place.event(&format!("{kind}.done"), event, out);
        } else {
            let kind = "response.function_call_arguments.done";
            let event = json!({"name": self.call.name, "arguments": self.call.given});
            self.place.event(kind, event, out);
        }
        let item = self.call.item(status);
        self.place.done(&item, out);
        (self.place.index, item)
    }
}

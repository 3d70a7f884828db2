//! What is answered, piece by piece.

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};
use smallvec::SmallVec;

use super::{Finish, Tokens, answer::new_id};

/// How long a name may be that every event repeats.
const MAX_NAME: usize = 512;

/// The calls of choices past this one are numbered together.
const MAX_CHOICES: usize = 127;

/// Writes the events of OpenAI's chat.
///
/// A dialect says what happens, in order; what belongs to each event (id, model, time, the role
/// before anything else) is added here.
#[derive(Debug)]
pub(crate) struct Events {
    out: BytesMut,
    id: String,
    model: String,
    created: u64,
    began: bool,
    /// How many tools each choice called.
    calls: SmallVec<[u64; 1]>,
    /// Whether something was read that is no event.
    skipped: bool,
}

impl Events {
    /// No event yet of an answer by `model`, at that time in seconds since 1970.
    pub(crate) fn new(model: &str, created: u64) -> Self {
        Self {
            out: BytesMut::new(),
            id: String::new(),
            model: model.to_owned(),
            created,
            began: false,
            calls: SmallVec::new(),
            skipped: false,
        }
    }

    /// Notes that what was read is no event that anybody can read.
    pub(crate) fn skip(&mut self) {
        self.skipped = true;
    }

    /// Whether that was noted since this was last asked.
    pub(crate) fn take_skipped(&mut self) -> bool {
        std::mem::take(&mut self.skipped)
    }

    /// The provider's own id of the answer, unless it is overlong.
    pub(crate) fn set_id(&mut self, id: &str) {
        if !self.began && (1..=MAX_NAME).contains(&id.len()) {
            id.clone_into(&mut self.id);
        }
    }

    /// The provider's own name of the model, unless it is overlong.
    pub(crate) fn set_model(&mut self, model: &str) {
        if !self.began && (1..=MAX_NAME).contains(&model.len()) {
            model.clone_into(&mut self.model);
        }
    }

    /// The role, which comes before anything else.
    pub(crate) fn begin(&mut self) {
        if !std::mem::replace(&mut self.began, true) {
            if self.id.is_empty() {
                self.id = new_id();
            }
            self.write(0, json!({"role": "assistant", "content": ""}), None);
        }
    }

    /// Text.
    pub(crate) fn text(&mut self, index: u64, text: &str) {
        self.delta(index, "content", text);
    }

    /// What the model thinks.
    pub(crate) fn reasoning(&mut self, index: u64, text: &str) {
        self.delta(index, "reasoning_content", text);
    }

    /// Why the model declines.
    pub(crate) fn refusal(&mut self, index: u64, text: &str) {
        self.delta(index, "refusal", text);
    }

    fn delta(&mut self, index: u64, name: &str, text: &str) {
        if !text.is_empty() {
            self.begin();
            self.write(index, json!({ name: text }), None);
        }
    }

    /// Any other member of a delta.
    pub(crate) fn other(&mut self, index: u64, name: &str, value: Value) {
        self.begin();
        let delta = Map::from_iter([(name.to_owned(), value)]);
        self.write(index, delta.into(), None);
    }

    /// The probabilities of the tokens that were said.
    pub(crate) fn logprobs(&mut self, index: u64, logprobs: Value) {
        self.begin();
        let mut event = self.event(index, json!({}), None);
        event["choices"][0]["logprobs"] = logprobs;
        self.push(&event);
    }

    /// A call begins; its number is what its [`arguments`](Self::arguments) go by.
    pub(crate) fn call(&mut self, index: u64, id: &str, name: &str) -> u64 {
        self.call_with(index, id, name, None)
    }

    /// The same, with what only the provider understands.
    pub(crate) fn call_with(
        &mut self,
        index: u64,
        id: &str,
        name: &str,
        extra: Option<Value>,
    ) -> u64 {
        self.begin();
        let choice = usize::try_from(index)
            .unwrap_or(MAX_CHOICES)
            .min(MAX_CHOICES);
        if self.calls.len() <= choice {
            self.calls.resize(choice + 1, 0);
        }
        let number = self.calls[choice];
        self.calls[choice] += 1;
        let mut call = json!({
            "index": number,
            "id": id,
            "type": "function",
            "function": {"name": name, "arguments": ""},
        });
        if let Some(extra) = extra {
            call["provider_specific_fields"] = extra;
        }
        self.write(index, json!({"tool_calls": [call]}), None);
        number
    }

    /// A piece of a call's arguments.
    pub(crate) fn arguments(&mut self, index: u64, call: u64, text: &str) {
        if !text.is_empty() {
            let call = json!({"index": call, "function": {"arguments": text}});
            self.write(index, json!({"tool_calls": [call]}), None);
        }
    }

    /// How many tools were called.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.iter().sum()
    }

    /// The end of a choice.
    pub(crate) fn finish(&mut self, index: u64, finish: Finish) {
        self.begin();
        self.write(index, json!({}), finish.as_str());
    }

    /// What the answer used: once, at the end.
    pub(crate) fn usage(&mut self, usage: Tokens) {
        self.begin();
        let event = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [],
            "usage": usage.to_json(),
        });
        self.push(&event);
    }

    /// The end of the stream.
    pub(crate) fn done(&mut self) {
        self.out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn write(&mut self, index: u64, delta: Value, finish: Option<&str>) {
        let event = self.event(index, delta, finish);
        self.push(&event);
    }

    fn event(&self, index: u64, delta: Value, finish: Option<&str>) -> Value {
        let mut event = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": index, "finish_reason": finish}],
        });
        event["choices"][0]["delta"] = delta;
        event
    }

    fn push(&mut self, event: &Value) {
        self.out.extend_from_slice(b"data: ");
        self.out.extend_from_slice(event.to_string().as_bytes());
        self.out.extend_from_slice(b"\n\n");
    }

    /// What was written since the last time.
    pub(crate) fn take(&mut self) -> Bytes {
        self.out.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_those_of_openai() {
        let mut events = Events::new("m", 7);
        events.set_id("x");
        events.text(0, "");
        events.text(0, "hi");
        let call = events.call(0, "c", "f");
        events.arguments(0, call, "{}");
        events.finish(0, Finish::ToolCalls);
        events.usage(Tokens {
            input: 3,
            output: 2,
            ..Tokens::default()
        });
        events.done();
        let text = String::from_utf8(events.take().to_vec()).expect("is text");
        let data: Vec<_> = text
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "))
            .collect();
        let deltas: Vec<_> = data
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event).ok())
            .map(|event| event["choices"][0]["delta"].clone())
            .collect();
        assert_eq!(deltas[0], json!({"role": "assistant", "content": ""}));
        assert_eq!(deltas[1], json!({"content": "hi"}));
        assert_eq!(deltas[2]["tool_calls"][0]["id"], "c");
        assert_eq!(data.last(), Some(&"[DONE]"));
        assert!(data[0].contains("\"id\":\"x\""));
        assert!(events.take().is_empty());
    }

    #[test]
    fn an_overlong_name_is_not_repeated_in_every_event() {
        let mut events = Events::new("m", 7);
        events.set_id(&"x".repeat(MAX_NAME + 1));
        events.set_model(&"x".repeat(MAX_NAME + 1));
        events.text(0, "hi");
        assert!(events.take().len() < MAX_NAME);
    }

    #[test]
    fn each_choice_numbers_its_own_calls() {
        let mut events = Events::new("m", 7);
        let mut call = |index| events.call(index, "c", "f");
        assert_eq!([call(0), call(1), call(0), call(u64::MAX)], [0, 0, 1, 0]);
        assert_eq!(events.calls(), 4);
    }
}

//! What is answered, as texts.

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value, json};
use ziggurat_core::{Error, ErrorKind};

use crate::{
    shape::Encoder,
    sse::{self, Event},
};

/// How many choices of a stream have offsets of their own.
const MAX_CHOICES: usize = 128;

/// The answer as a completion.
///
/// # Errors
///
/// [`ErrorKind::BadAnswer`] if it is none.
pub(super) fn answer(chat: &[u8]) -> Result<Bytes, Error> {
    let mut chat: Value = serde_json::from_slice(chat).unwrap_or_default();
    if !chat["choices"].is_array() {
        let message = "the provider's answer holds no choices";
        return Err(Error::new(ErrorKind::BadAnswer, message));
    }
    rewrite(&mut chat, "message", &mut Vec::new());
    Ok(chat.to_string().into())
}

/// Writes the events of chat as those of completions.
#[derive(Debug)]
pub(super) struct CompletionsEncoder {
    wants_usage: bool,
    /// How many characters each choice has.
    lengths: Vec<usize>,
    out: BytesMut,
}

impl CompletionsEncoder {
    pub(super) fn new(request: &[u8]) -> Self {
        let request: Value = serde_json::from_slice(request).unwrap_or_default();
        Self {
            wants_usage: request["stream_options"]["include_usage"] == true,
            lengths: Vec::new(),
            out: BytesMut::new(),
        }
    }

    fn event(&mut self, event: &[u8]) {
        let Some(data) = Event::read(event).data else {
            // A comment, which keeps the connection alive.
            return self.out.put_slice(event);
        };
        let Ok(mut chunk @ Value::Object(_)) = serde_json::from_slice::<Value>(&data) else {
            return;
        };
        if !self.wants_usage
            && let Some(members) = chunk.as_object_mut()
        {
            members.remove("usage");
            if members.get("choices").is_none_or(|it| *it == json!([])) {
                return;
            }
        }
        rewrite(&mut chunk, "delta", &mut self.lengths);
        self.put(&chunk.to_string());
    }

    fn put(&mut self, data: &str) {
        for text in ["data: ", data, "\n\n"] {
            self.out.put_slice(text.as_bytes());
        }
    }
}

impl Encoder for CompletionsEncoder {
    fn encode(&mut self, events: &Bytes) -> Bytes {
        for event in sse::events(events) {
            self.event(event);
        }
        self.out.split().freeze()
    }

    fn end(&mut self) -> Bytes {
        self.put("[DONE]");
        self.out.split().freeze()
    }
}

/// Writes an answer, or an event of one, in which choices say something under that name.
fn rewrite(answer: &mut Value, said: &str, lengths: &mut Vec<usize>) {
    answer["object"] = "text_completion".into();
    if let Some(Value::String(id)) = answer.get_mut("id")
        && let Some(rest) = id.strip_prefix("chatcmpl-")
    {
        *id = format!("cmpl-{rest}");
    }
    let choices = answer.get_mut("choices").and_then(Value::as_array_mut);
    for choice in choices.into_iter().flatten() {
        let index = choice["index"].as_u64().unwrap_or_default();
        let at = usize::try_from(index).unwrap_or(MAX_CHOICES);
        let at = at.min(MAX_CHOICES - 1);
        if lengths.len() <= at {
            lengths.resize(at + 1, 0);
        }
        let said = &choice[said];
        let words = ["content", "refusal"].map(|name| said[name].as_str().unwrap_or_default());
        let text = words.concat();
        let logprobs = logprobs(&choice["logprobs"], lengths[at]);
        lengths[at] += text.chars().count();
        *choice = json!({
            "text": text,
            "index": index,
            "logprobs": logprobs,
            "finish_reason": choice["finish_reason"],
        });
    }
}

/// The probabilities of tokens, list by list, for a text that stands behind so many characters.
fn logprobs(of_chat: &Value, mut offset: usize) -> Value {
    let Some(tokens) = of_chat["content"].as_array() else {
        return Value::Null;
    };
    let (mut texts, mut own, mut others, mut offsets) = (vec![], vec![], vec![], vec![]);
    for token in tokens {
        let text = token["token"].as_str().unwrap_or_default();
        texts.push(Value::from(text));
        own.push(token["logprob"].clone());
        let top = token["top_logprobs"].as_array().into_iter().flatten();
        let top =
            top.filter_map(|it| Some((it["token"].as_str()?.to_owned(), it["logprob"].clone())));
        others.push(Value::Object(top.collect::<Map<_, _>>()));
        offsets.push(Value::from(offset));
        offset += text.chars().count();
    }
    json!({"tokens": texts, "token_logprobs": own, "top_logprobs": others, "text_offset": offsets})
}

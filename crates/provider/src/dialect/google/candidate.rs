//! What one candidate says, whole or in one event of a stream.

use serde_json::{Map, Value, json};

use super::{grounding, object, partial::Partial};
use crate::chat::{Choice, Finish, ToolCall};

/// Reads one candidate; remembers of it what later events need.
#[derive(Debug, Default)]
pub(super) struct Candidate {
    /// Whether it called something.
    called: bool,
    finished: bool,
    open: Option<Partial>,
    /// How many bytes of text it said in earlier events, and whether all are ASCII's.
    said: u64,
    beyond_ascii: bool,
    /// The sources of the whole answer, which each event may tell anew.
    grounding: Value,
}

impl Candidate {
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// What is new.
    pub(super) fn read(&mut self, candidate: &mut Value) -> Choice {
        let mut choice = Choice::default();
        let mut extra = Map::new();
        let parts = candidate.pointer_mut("/content/parts").map(Value::take);
        if let Some(Value::Array(parts)) = parts {
            for part in parts {
                self.part(part, &mut choice, &mut extra);
            }
        }
        if let Some(grounding) = candidate.get_mut("groundingMetadata") {
            self.grounding = grounding.take();
        }
        let reason = candidate
            .get("finishReason")
            .filter(|reason| !reason.is_null());
        if let Some(reason) = reason.filter(|_| !self.finished) {
            self.close(&mut choice);
            choice.finish = finish(reason, self.called);
            self.finished = true;
        }
        if self.finished {
            let grounding = self.grounding.take();
            let place = |byte| self.place(byte, &choice.content);
            let citations = &candidate["citationMetadata"];
            choice.annotations = grounding::annotations(&grounding, citations, place);
            if !grounding.is_null() {
                extra.insert("grounding_metadata".to_owned(), grounding);
            }
        }
        if choice.finish == Finish::ContentFilter
            && let Some(ratings) = candidate.get_mut("safetyRatings")
        {
            extra.insert("safety_ratings".to_owned(), ratings.take());
        }
        if let Some(fetched) = candidate.get_mut("urlContextMetadata") {
            extra.insert("url_context_metadata".to_owned(), fetched.take());
        }
        choice.logprobs = logprobs(&candidate["logprobsResult"]);
        choice.extra = (!extra.is_empty()).then(|| extra.into());
        self.said += choice.content.len() as u64;
        self.beyond_ascii |= !choice.content.is_ascii();
        choice
    }

    fn part(&mut self, mut part: Value, choice: &mut Choice, extra: &mut Map<String, Value>) {
        let signature = part.get_mut("thoughtSignature").map(Value::take);
        if let Some(call) = part.get_mut("functionCall") {
            return self.call(call, signature, choice);
        }
        let thought = part["thought"] == true;
        if let Some(text) = part["text"].as_str() {
            let place = if thought {
                &mut choice.reasoning
            } else {
                &mut choice.content
            };
            place.push_str(text);
        }
        if let Some(Value::Object(data)) = part.get_mut("inlineData")
            && !thought
        {
            medium(data, choice);
        }
        let mut keep = |name: &str, value| {
            let list = extra.entry(name).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(value);
            }
        };
        if let Some(signature) = signature {
            keep("thought_signatures", signature);
        }
        if part.get("executableCode").is_some() || part.get("codeExecutionResult").is_some() {
            keep("code_execution", part);
        }
    }

    /// A call, whole or a piece of one.
    fn call(&mut self, call: &mut Value, signature: Option<Value>, choice: &mut Choice) {
        if let Some(name) = call["name"].as_str().filter(|name| !name.is_empty()) {
            let name = name.to_owned();
            self.close(choice);
            let id = call["id"].as_str().filter(|id| !id.is_empty());
            let id = id.map_or_else(new_id, str::to_owned);
            let extra = signature.map(|signature| json!({ "thought_signature": signature }));
            self.open = Some(Partial::new(ToolCall {
                id,
                name,
                arguments: String::new(),
                extra,
            }));
        }
        if let Some(open) = &mut self.open {
            open.add(call);
        }
        if call["willContinue"] != true {
            self.close(choice);
        }
    }

    fn close(&mut self, choice: &mut Choice) {
        if let Some(open) = self.open.take() {
            self.called = true;
            choice.tool_calls.push(open.into_call());
        }
    }

    /// Where the character is that so many bytes are before, in all that was said; `text` is the
    /// last of it. Of text that is gone, only that of ASCII can be counted.
    fn place(&self, byte: u64, text: &str) -> Option<u64> {
        if self.said > 0 {
            return (!self.beyond_ascii && text.is_ascii()).then_some(byte);
        }
        let before = text.get(..usize::try_from(byte).ok()?)?;
        Some(before.chars().count() as u64)
    }
}

/// An id for a call that has none.
fn new_id() -> String {
    format!("call_{:032x}", fastrand::u128(..))
}

/// An image, or sound, that was made.
fn medium(data: &mut Map<String, Value>, choice: &mut Choice) {
    let mime = data
        .get("mimeType")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let Some(Value::String(data)) = data.get_mut("data").map(Value::take) else {
        return;
    };
    if mime.starts_with("audio/") {
        choice.audio = Some(object([
            ("id", "audio".into()),
            ("data", data.into()),
            ("expires_at", 0.into()),
            ("transcript", "".into()),
        ]));
        return;
    }
    let url = format!("data:{mime};base64,{data}");
    choice.images.push(object([
        ("type", "image_url".into()),
        ("index", choice.images.len().into()),
        ("image_url", object([("url", url.into())])),
    ]));
}

/// Why it ended. Where nobody asked for names, reasons are numbers.
fn finish(reason: &Value, called: bool) -> Finish {
    let name = match reason {
        Value::String(name) => name.as_str(),
        Value::Number(number) => match number.as_u64() {
            Some(2) => "MAX_TOKENS",
            Some(3..=9) => "SAFETY",
            Some(10) => "MALFORMED_FUNCTION_CALL",
            _ => "STOP",
        },
        _ => "STOP",
    };
    match name {
        "MAX_TOKENS" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "OTHER"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "IMAGE_OTHER" => Finish::ContentFilter,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => Finish::Error,
        _ if called => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// The probabilities of tokens, as OpenAI writes them.
fn logprobs(result: &Value) -> Option<Value> {
    let one = |candidate: &Value| {
        let token = candidate["token"].as_str().unwrap_or_default();
        json!({
            "token": token,
            "logprob": candidate["logProbability"],
            "bytes": token.as_bytes(),
        })
    };
    let chosen = result["chosenCandidates"].as_array()?;
    let tokens = chosen.iter().enumerate().map(|(index, chosen)| {
        let top = result["topCandidates"].get(index);
        let top = top.and_then(|top| top["candidates"].as_array());
        let mut token = one(chosen);
        token["top_logprobs"] = top.into_iter().flatten().map(one).collect();
        token
    });
    let tokens: Vec<_> = tokens.collect();
    Some(json!({"content": tokens, "refusal": null}))
}

//! As much of an answer, whole or one event of it, as settlement needs to know.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use ziggurat_core::{ErrorKind, ServiceTier, Usage};

use super::{
    arguments,
    loose::{Length, Loose, Maybe},
    usage::Counts,
};

/// A whole answer, or one event of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chunk<'a> {
    #[serde(borrow)]
    error: Loose<'a>,
    object: Loose<'a>,
    /// What an event is that is no chat.
    #[serde(rename = "type")]
    pub(super) kind: Loose<'a>,
    pub(super) choices: Choices<'a>,
    data: Length,
    results: Loose<'a>,
    text: Option<IgnoredAny>,
    usage: Maybe<Counts<'a>>,
    service_tier: Loose<'a>,
    x_groq: Maybe<Groq<'a>>,
    meta: Maybe<Meta<'a>>,
}

/// Groq's own place for usage.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Groq<'a> {
    #[serde(borrow)]
    usage: Maybe<Counts<'a>>,
}

/// What Cohere says of a ranking.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Meta<'a> {
    #[serde(borrow)]
    billed_units: Maybe<Billed<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Billed<'a> {
    #[serde(borrow)]
    search_units: Loose<'a>,
}

impl<'a> Chunk<'a> {
    /// Reads an answer; `None` if it is not JSON. JSON of an unknown shape is a chunk of which
    /// nothing is known.
    pub(super) fn read(json: &'a [u8]) -> Option<Self> {
        let json = std::str::from_utf8(json).ok()?;
        serde_json::from_str(json).ok().or_else(|| {
            let valid = serde_json::from_str::<IgnoredAny>(json).is_ok();
            valid.then(Self::default)
        })
    }

    /// Whether it is an error in the place of an answer.
    pub(super) fn is_error(&self) -> bool {
        self.error.is_full() || self.object == Loose::Text("error")
    }

    /// Whether it holds embeddings, or images.
    pub(super) fn has_data(&self) -> bool {
        self.data.0 > 0
    }

    /// How many embeddings, or images, it holds.
    pub(super) fn data_count(&self) -> u64 {
        self.data.0
    }

    /// Whether it holds a ranking, or judgements.
    pub(super) fn has_results(&self) -> bool {
        self.results.is_full()
    }

    /// Whether it holds a transcript, if only one of silence.
    pub(super) fn has_text(&self) -> bool {
        self.text.is_some()
    }

    /// What it says the answer used.
    pub(super) fn usage(&self) -> Option<Usage> {
        let groq = self.x_groq.0.as_ref().and_then(|groq| groq.usage.0);
        let usage = self.usage.0.or(groq).and_then(|counts| counts.read());
        let usage = usage.or_else(|| self.searched())?;
        let tier = self.service_tier.text().and_then(ServiceTier::parse);
        Some(Usage {
            tier: usage.tier.or(tier),
            ..usage
        })
    }

    fn searched(&self) -> Option<Usage> {
        let billed = self.meta.0.as_ref()?.billed_units.0.as_ref()?;
        Some(Usage {
            queries: Some(billed.search_units.count()?),
            ..Usage::default()
        })
    }
}

/// All choices of a chunk together. Choices past the 127th count as that one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Choices<'a> {
    pub(super) count: usize,
    /// Whether one has content, or ended in a way that explains why it has none.
    pub(super) substance: bool,
    /// The same, without those that decline.
    pub(super) content: bool,
    /// How many decline: there is a refusal and nothing else, or a content filter ended it.
    pub(super) refusals: usize,
    /// Whether one calls a tool.
    pub(super) calls: bool,
    /// A bit for the index of each.
    pub(super) seen: u128,
    /// A bit for the index of each that says whose message it is.
    pub(super) roles: u128,
    /// A bit for the index of each that has a finish reason.
    pub(super) finished: u128,
    /// A bit for the index of each that is all that the model wanted to say.
    pub(super) whole: u128,
    /// What went wrong, if a finish reason is a failure.
    pub(super) failure: Option<ErrorKind>,
    /// The text of the last, if it has some without escapes.
    text: Option<&'a str>,
}

impl<'a> Choices<'a> {
    /// The text, if there is nothing else that matters.
    pub(super) fn only_text(&self) -> Option<&'a str> {
        self.text.filter(|_| self.finished == 0)
    }

    /// Whether there is no choice that does not decline.
    pub(super) fn all_refuse(&self) -> bool {
        self.count > 0 && self.refusals == self.count
    }

    fn add(&mut self, choice: &Choice<'a>) {
        self.count += 1;
        let index = choice.index.count().unwrap_or_default().min(127);
        let bit = 1 << index;
        self.seen |= bit;
        let delta = choice.delta.0.unwrap_or_default();
        let message = choice.message.0.unwrap_or_default();
        let either = |has: fn(Message<'a>) -> bool| has(delta) || has(message);
        let mut content = choice.text.is_full() || either(Message::has_content);
        let mut refuses = either(|message| message.refusal.is_full());
        self.substance |= content || refuses;
        refuses &= !either(|message| message.content.is_full());
        self.calls |= either(Message::has_calls);
        if delta.role.is_full() {
            self.roles |= bit;
        }
        let texts = [
            delta.content,
            delta.reasoning_content,
            delta.reasoning,
            choice.text,
        ];
        self.text = texts.into_iter().find_map(Loose::text);
        if choice.finish_reason.is_full() {
            self.finished |= bit;
            let reason = choice.finish_reason.text().unwrap_or_default();
            if !arguments::explains_a_cut(reason) {
                self.whole |= bit;
            }
            match reason {
                "error" => self.failure = Some(ErrorKind::BadAnswer),
                "insufficient_system_resource" | "network_error" => {
                    self.failure = Some(ErrorKind::Unavailable);
                }
                "length" => {
                    self.substance = true;
                    content = true;
                }
                "content_filter" | "sensitive" => {
                    self.substance = true;
                    refuses = true;
                    content = false;
                }
                _ => {}
            }
        }
        self.content |= content;
        self.refusals += usize::from(refuses);
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice<'a> {
    #[serde(borrow)]
    index: Loose<'a>,
    delta: Maybe<Message<'a>>,
    message: Maybe<Message<'a>>,
    text: Loose<'a>,
    finish_reason: Loose<'a>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    role: Loose<'a>,
    content: Loose<'a>,
    refusal: Loose<'a>,
    tool_calls: Loose<'a>,
    function_call: Loose<'a>,
    reasoning_content: Loose<'a>,
    reasoning: Loose<'a>,
    reasoning_details: Loose<'a>,
    audio: Loose<'a>,
    images: Loose<'a>,
}

impl Message<'_> {
    /// Whether it says something, other than that it will not.
    fn has_content(self) -> bool {
        [
            self.content,
            self.tool_calls,
            self.function_call,
            self.reasoning_content,
            self.reasoning,
            self.reasoning_details,
            self.audio,
            self.images,
        ]
        .into_iter()
        .any(Loose::is_full)
    }

    fn has_calls(self) -> bool {
        self.tool_calls.is_full() || self.function_call.is_full()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ChoicesVisitor)
    }
}

struct ChoicesVisitor;

impl<'de> Visitor<'de> for ChoicesVisitor {
    type Value = Choices<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Choices::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut choices = Choices::default();
        while let Some(choice) = seq.next_element::<Maybe<Choice<'de>>>()? {
            choices.add(&choice.0.unwrap_or_default());
        }
        Ok(choices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(json: &str) -> Choices<'static> {
        let json = format!("{{\"choices\":[{json}]}}");
        let choices = Chunk::read(json.as_bytes()).expect("is JSON").choices;
        Choices {
            text: None,
            ..choices
        }
    }

    #[test]
    fn every_form_of_content_is_content_and_nothing_else_is() {
        for delta in [
            r#""content":"x""#,
            r#""content":"\n""#,
            r#""content":[{"type":"thinking"}]"#,
            r#""refusal":"no""#,
            r#""tool_calls":[{"index":0}]"#,
            r#""function_call":{"name":"f"}"#,
            r#""reasoning_content":"hm""#,
            r#""reasoning":"hm""#,
            r#""audio":{"id":"a"}"#,
        ] {
            assert!(
                choices(&format!(r#"{{"index":0,"delta":{{{delta}}}}}"#)).substance,
                "{delta}"
            );
            assert!(
                choices(&format!(r#"{{"index":0,"message":{{{delta}}}}}"#)).substance,
                "{delta}"
            );
        }
        assert!(choices(r#"{"text":"x"}"#).substance);
        assert!(choices(r#"{"delta":{},"finish_reason":"content_filter"}"#).substance);
        for choice in [
            r#"{"delta":{"role":"assistant","content":"","refusal":null}}"#,
            r#"{"delta":{"tool_calls":[]},"finish_reason":null}"#,
            r#"{"text":"","finish_reason":"stop"}"#,
            r#"{"delta":{},"finish_reason":"stop"}"#,
            "null",
            "7",
        ] {
            assert!(!choices(choice).substance, "{choice}");
        }
    }

    #[test]
    fn each_choice_has_its_own_finish() {
        let read = choices(
            r#"{"index":0,"finish_reason":"stop"},{"index":3,"finish_reason":""},{"index":900}"#,
        );
        assert_eq!((read.seen, read.finished), (1 | 1 << 3 | 1 << 127, 1));
    }

    #[test]
    fn a_finish_reason_may_be_a_failure() {
        assert_eq!(
            choices(r#"{"finish_reason":"error"}"#).failure,
            Some(ErrorKind::BadAnswer)
        );
        let starved = choices(r#"{"finish_reason":"insufficient_system_resource"}"#);
        assert_eq!(starved.failure, Some(ErrorKind::Unavailable));
        assert_eq!(choices(r#"{"finish_reason":"stop"}"#).failure, None);
    }

    #[test]
    fn who_declines_is_told_from_who_answers() {
        for (choice, refuses, content) in [
            (r#"{"message":{"refusal":"no","content":null}}"#, 1, false),
            (r#"{"message":{"refusal":"no","content":"but"}}"#, 0, true),
            (r#"{"delta":{"refusal":"n\"o"}}"#, 1, false),
            (
                r#"{"message":{"content":"so"},"finish_reason":"content_filter"}"#,
                1,
                false,
            ),
            (r#"{"text":"so","finish_reason":"sensitive"}"#, 1, false),
            (
                r#"{"message":{"content":"so"},"finish_reason":"length"}"#,
                0,
                true,
            ),
            (
                r#"{"message":{"refusal":""},"finish_reason":"stop"}"#,
                0,
                false,
            ),
        ] {
            let read = choices(choice);
            assert_eq!(
                (read.refusals, read.content),
                (refuses, content),
                "{choice}"
            );
        }
        assert!(!choices(r#"{"delta":{"refusal":"no"}},{}"#).all_refuse());
        assert!(!choices("").all_refuse());
    }

    #[test]
    fn json_of_another_shape_is_still_json() {
        for json in [
            r#"{"choices":{"a":1}}"#,
            r#"{"choices":[],"choices":[]}"#,
            "[]",
            "7",
        ] {
            assert_eq!(
                Chunk::read(json.as_bytes()).expect("is JSON").choices.count,
                0,
                "{json}"
            );
        }
        for json in [
            "",
            "{",
            r#"{"choices":[{"index":0,"delta":{"con"#,
            "\u{fffd}",
            "{}}",
        ] {
            assert!(Chunk::read(json.as_bytes()).is_none(), "{json}");
        }
        assert!(Chunk::read(b"{\"a\":\"\xff\"}").is_none());
    }
}

//! What an answer has used, as far as it was seen.

mod text;

use self::text::Members;
use crate::{Item, LlmRequest, Operation, Usage};

/// What an answer has used, as far as it was seen: by the provider's word, and where that is missing
/// or old, by what came.
///
/// Whoever charges an answer that breaks off, or whose client has gone, charges what this says. Text is
/// estimated as a token for four bytes, and only where an answer is text: of an image or a sound that
/// breaks off nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Input tokens of the request, roughly; `None` where tokens are not estimated.
    input: Option<u64>,
    /// Where the text stands; `None` where each event is taken for a token.
    members: Option<Members>,
    /// Bytes of text that came.
    text: u64,
    /// What the provider said last, and whether text came after it.
    told: Option<Usage>,
    is_stale: bool,
}

/// How many bytes of text are a token, roughly.
const TOKEN: u64 = 4;

impl Seen {
    /// Nothing yet, of an answer to a request.
    #[must_use]
    pub fn of(request: &LlmRequest) -> Self {
        let operation = request.operation();
        match is_text(operation) {
            true => Self::new(operation, request.estimated_input_tokens()),
            false => Self::new(operation, 0),
        }
    }

    /// Nothing yet, of an answer to a request of about so many tokens.
    #[must_use]
    pub const fn new(operation: Operation, input: u64) -> Self {
        Self {
            input: if is_text(operation) {
                Some(input)
            } else {
                None
            },
            members: Some(Members::of(operation)),
            text: 0,
            told: None,
            is_stale: false,
        }
    }

    /// Nothing yet, of an answer of which nobody knows how it is written: each event is taken for a
    /// token.
    #[must_use]
    pub const fn by_events(input: u64) -> Self {
        Self {
            input: Some(input),
            members: None,
            text: 0,
            told: None,
            is_stale: false,
        }
    }

    /// Sees an item of a stream.
    pub fn item(&mut self, item: &Item) {
        let text = match (self.input, self.members) {
            (None, _) => 0,
            (Some(_), None) => TOKEN.saturating_mul(item.events.into()),
            (Some(_), Some(members)) => text::of_events(&item.bytes, members),
        };
        self.text = self.text.saturating_add(text);
        if item.usage.is_some() {
            self.told = item.usage;
            self.is_stale = false;
        } else {
            self.is_stale |= text > 0;
        }
    }

    /// Sees an answer that is not streamed.
    pub fn body(&mut self, bytes: &[u8]) {
        if let (Some(_), Some(members)) = (self.input, self.members) {
            self.text = text::of_json(bytes, members);
        }
    }

    /// What an answer used that did not end well: what the provider said by then, unless more came
    /// after it, and else the [estimate](Self::estimate).
    #[must_use]
    pub fn usage(&self) -> Usage {
        let Some(told) = self.told else {
            return self.estimate();
        };
        // Some say with the first event what they have read, and a number for what they have yet to
        // say, which may come together with the beginning of it.
        let said = self.output();
        let is_behind = said > told.output.saturating_mul(2);
        match self.is_stale || is_behind {
            false => told,
            true => Usage {
                output: told.output.max(said),
                estimated: true,
                ..told
            },
        }
    }

    /// What an answer used of which the provider said nothing: the input, and what came.
    #[must_use]
    pub fn estimate(&self) -> Usage {
        match self.input {
            Some(input) => Usage::new(input, self.output()).as_estimate(),
            None => Usage::default(),
        }
    }

    const fn output(&self) -> u64 {
        self.text.div_ceil(TOKEN)
    }
}

/// Whether what an operation uses are tokens of text, to be estimated.
const fn is_text(operation: Operation) -> bool {
    use Operation::{
        ChatCompletions, Completions, Embeddings, GenerateContent, Messages, Moderation, Rerank,
        Responses,
    };
    matches!(
        operation,
        ChatCompletions
            | Completions
            | Embeddings
            | GenerateContent
            | Messages
            | Moderation
            | Rerank
            | Responses
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str, usage: Option<Usage>) -> Item {
        Item {
            bytes: format!(r#"data: {{"choices":[{{"delta":{{"content":"{text}"}}}}]}}"#).into(),
            events: 1,
            usage,
            is_binary: false,
        }
    }

    fn seen(items: &[Item]) -> Seen {
        let mut seen = Seen::new(Operation::ChatCompletions, 7);
        items.iter().for_each(|item| seen.item(item));
        seen
    }

    #[test]
    fn the_word_of_the_provider_counts_unless_more_came_after_it() {
        let told = Usage::new(9, 3);
        let twelve = "123456789012";
        for (items, expected) in [
            (&[][..], Usage::new(7, 0).as_estimate()),
            (&[item(twelve, None)], Usage::new(7, 3).as_estimate()),
            (&[item(twelve, None), item("", Some(told))], told),
            (
                &[item("", Some(told)), item(twelve, None), item("1", None)],
                Usage::new(9, 4).as_estimate(),
            ),
            (&[item("", Some(told)), item("1", None)], told.as_estimate()),
            (
                &[item(&twelve.repeat(3), Some(told))],
                Usage::new(9, 9).as_estimate(),
            ),
        ] {
            assert_eq!(seen(items).usage(), expected, "{items:?}");
        }
    }

    #[test]
    fn of_what_is_no_text_nothing_is_estimated() {
        let mut seen = Seen::new(Operation::Speech, 7);
        seen.item(&item("1234", None));
        assert_eq!(seen.usage(), Usage::default());
        let mut seen = Seen::by_events(7);
        seen.item(&item("123456789012", None));
        assert_eq!(seen.usage(), Usage::new(7, 1).as_estimate());
    }

    #[test]
    fn a_whole_answer_is_counted_by_its_text() {
        let mut seen = Seen::new(Operation::ChatCompletions, 7);
        seen.body(br#"{"choices":[{"message":{"content":"12345"}}]}"#);
        assert_eq!(seen.estimate(), Usage::new(7, 2).as_estimate());
    }
}

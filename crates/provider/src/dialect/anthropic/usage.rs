//! What an answer used.

use serde_json::Value;

use crate::chat::Tokens;

/// The counts of an answer, as they were said last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    input: Option<u64>,
    cache_write: Option<u64>,
    cache_read: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
}

impl Counts {
    /// Takes a `usage` object. What is said again replaces what was said; zero says nothing new.
    pub(super) fn take(&mut self, usage: &Value) {
        let details = &usage["output_tokens_details"];
        for (count, said) in [
            (&mut self.input, &usage["input_tokens"]),
            (&mut self.cache_write, &usage["cache_creation_input_tokens"]),
            (&mut self.cache_read, &usage["cache_read_input_tokens"]),
            (&mut self.output, &usage["output_tokens"]),
            (&mut self.reasoning, &details["thinking_tokens"]),
        ] {
            let said = said.as_u64();
            if said.is_some_and(|said| said > 0) || count.is_none() {
                *count = said;
            }
        }
    }

    /// All of it, if anything was said: the three kinds of input are one.
    pub(super) fn tokens(&self) -> Option<Tokens> {
        self.input.or(self.output)?;
        let (read, written) = (
            self.cache_read.unwrap_or_default(),
            self.cache_write.unwrap_or_default(),
        );
        let input = self.input.unwrap_or_default();
        Some(Tokens {
            input: input.saturating_add(read).saturating_add(written),
            cached: read,
            cache_write: written,
            output: self.output.unwrap_or_default(),
            reasoning: self.reasoning.unwrap_or_default(),
            ..Tokens::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn input_is_all_that_was_read_and_what_is_said_last_counts() {
        let mut counts = Counts::default();
        assert_eq!(counts.tokens(), None);
        counts.take(
            &json!({"input_tokens": 10, "cache_creation_input_tokens": 44,
            "cache_read_input_tokens": 1650, "output_tokens": 1}),
        );
        counts.take(&json!({"input_tokens": 0, "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 3}}));
        counts.take(
            &json!({"input_tokens": 12, "output_tokens": null, "cache_read_input_tokens": "x"}),
        );
        let expected = Tokens {
            input: 1706,
            cached: 1650,
            cache_write: 44,
            output: 7,
            reasoning: 3,
            ..Tokens::default()
        };
        assert_eq!(counts.tokens(), Some(expected));
    }
}

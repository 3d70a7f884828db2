//! What an answer used.

use serde_json::Value;
use ziggurat_core::ServiceTier;

use crate::chat::Tokens;

/// The counts of an answer, as they were said last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    input: Option<u64>,
    cache_write: Option<u64>,
    /// What of it is kept for an hour.
    cache_write_1h: Option<u64>,
    cache_read: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
    searches: Option<u64>,
    tier: Option<ServiceTier>,
}

impl Counts {
    /// Takes a `usage` object. What is said again replaces what was said; zero says nothing new.
    pub(super) fn take(&mut self, usage: &Value) {
        let details = &usage["output_tokens_details"];
        let for_an_hour = &usage["cache_creation"]["ephemeral_1h_input_tokens"];
        let searches = &usage["server_tool_use"]["web_search_requests"];
        for (count, said) in [
            (&mut self.input, &usage["input_tokens"]),
            (&mut self.cache_write, &usage["cache_creation_input_tokens"]),
            (&mut self.cache_write_1h, for_an_hour),
            (&mut self.searches, searches),
            (&mut self.cache_read, &usage["cache_read_input_tokens"]),
            (&mut self.output, &usage["output_tokens"]),
            (&mut self.reasoning, &details["thinking_tokens"]),
        ] {
            let said = said.as_u64();
            if said.is_some_and(|said| said > 0) || count.is_none() {
                *count = said;
            }
        }
        if let Some(name) = usage["service_tier"].as_str() {
            self.tier = ServiceTier::parse(name);
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
            cache_write_1h: self.cache_write_1h.unwrap_or_default(),
            searches: self.searches.unwrap_or_default(),
            tier: self.tier,
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
            "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 40},
            "server_tool_use": {"web_search_requests": 2}, "service_tier": "batch",
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
            cache_write_1h: 40,
            searches: 2,
            tier: Some(ServiceTier::Batch),
            output: 7,
            reasoning: 3,
            ..Tokens::default()
        };
        assert_eq!(counts.tokens(), Some(expected));
    }
}

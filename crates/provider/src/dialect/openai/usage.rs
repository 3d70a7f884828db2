//! What an answer used, in the words of a dozen providers.

use serde::Deserialize;
use ziggurat_core::Usage;

use super::loose::{Loose, Maybe};

/// The members of a `usage` object.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts<'a> {
    #[serde(borrow)]
    prompt_tokens: Loose<'a>,
    completion_tokens: Loose<'a>,
    total_tokens: Loose<'a>,
    input_tokens: Loose<'a>,
    output_tokens: Loose<'a>,
    /// Together's place for the cached ones.
    cached_tokens: Loose<'a>,
    /// DeepSeek's place for the cached ones.
    prompt_cache_hit_tokens: Loose<'a>,
    cache_creation_input_tokens: Loose<'a>,
    /// The mark of what we estimated where a provider counts nothing.
    estimated: Loose<'a>,
    prompt_tokens_details: Maybe<InputDetails<'a>>,
    completion_tokens_details: Maybe<OutputDetails<'a>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct InputDetails<'a> {
    #[serde(borrow)]
    cached_tokens: Loose<'a>,
    cache_write_tokens: Loose<'a>,
    audio_tokens: Loose<'a>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails<'a> {
    #[serde(borrow)]
    reasoning_tokens: Loose<'a>,
}

impl Counts<'_> {
    /// The usage, if there is a count at all.
    pub(super) fn read(&self) -> Option<Usage> {
        let total = self.total_tokens.count();
        let input = self.prompt_tokens.count().or(self.input_tokens.count());
        let output = self
            .completion_tokens
            .count()
            .or(self.output_tokens.count());
        total.or(input).or(output)?;
        let details = self.prompt_tokens_details.0.unwrap_or_default();
        let cached = [
            details.cached_tokens,
            self.cached_tokens,
            self.prompt_cache_hit_tokens,
        ];
        let written = [details.cache_write_tokens, self.cache_creation_input_tokens];
        let reasoning = self.completion_tokens_details.0.unwrap_or_default();
        let reasoning = reasoning.reasoning_tokens.count().unwrap_or_default();

        let mut output = output.unwrap_or_default();
        let mut input = input.unwrap_or_else(|| total.unwrap_or_default().saturating_sub(output));
        let audio = details.audio_tokens.count().unwrap_or_default();
        let is_total = |more| {
            let counts = [input, output, more].into_iter();
            more > 0 && total.is_some() && total == counts.fold(Some(0), sum)
        };
        // xAI leaves reasoning out of the completion, but not out of the total; Mistral does the
        // same with audio and the prompt.
        let (reasoning_apart, audio_apart) = (is_total(reasoning), is_total(audio));
        if reasoning_apart {
            output += reasoning;
        } else if audio_apart {
            input += audio;
        }
        let first = |places: &[Loose<'_>]| places.iter().find_map(|place| place.count());
        Some(Usage {
            cached_input: first(&cached).unwrap_or_default(),
            cache_write: first(&written).unwrap_or_default(),
            reasoning,
            estimated: self.estimated.is_full(),
            ..Usage::new(input, output)
        })
    }
}

fn sum(sum: Option<u64>, count: u64) -> Option<u64> {
    sum?.checked_add(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(json: &str) -> Option<Usage> {
        serde_json::from_str::<Counts<'_>>(json)
            .expect("is JSON")
            .read()
    }

    #[test]
    fn details_are_taken_from_wherever_a_provider_puts_them() {
        let openai = r#"{"prompt_tokens":10,"completion_tokens":7,"total_tokens":17,
            "prompt_tokens_details":{"cached_tokens":4,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":5}}"#;
        let expected = Usage {
            cached_input: 4,
            reasoning: 5,
            ..Usage::new(10, 7)
        };
        assert_eq!(usage(openai), Some(expected));
        let deepseek = r#"{"prompt_tokens":10,"completion_tokens":7,"prompt_cache_hit_tokens":4,"prompt_tokens_details":null}"#;
        assert_eq!(usage(deepseek).expect("has some").cached_input, 4);
        let together = r#"{"prompt_tokens":10,"completion_tokens":7,"cached_tokens":4}"#;
        assert_eq!(usage(together).expect("has some").cached_input, 4);
    }

    #[test]
    fn reasoning_that_is_counted_apart_is_output() {
        let xai = r#"{"prompt_tokens":654,"completion_tokens":25,"total_tokens":731,"completion_tokens_details":{"reasoning_tokens":52}}"#;
        let expected = Usage {
            reasoning: 52,
            ..Usage::new(654, 77)
        };
        assert_eq!(usage(xai), Some(expected));
    }

    #[test]
    fn audio_that_is_counted_apart_is_input() {
        let mistral = r#"{"prompt_tokens":5,"completion_tokens":20,"total_tokens":400,"prompt_tokens_details":{"audio_tokens":375}}"#;
        assert_eq!(usage(mistral), Some(Usage::new(380, 20)));
        let openai = r#"{"prompt_tokens":40,"completion_tokens":20,"total_tokens":60,"prompt_tokens_details":{"audio_tokens":37}}"#;
        assert_eq!(usage(openai), Some(Usage::new(40, 20)));
    }

    #[test]
    fn embeddings_have_input_only() {
        assert_eq!(
            usage(r#"{"prompt_tokens":8,"total_tokens":8}"#),
            Some(Usage::new(8, 0))
        );
        assert_eq!(usage(r#"{"total_tokens":8}"#), Some(Usage::new(8, 0)));
    }

    #[test]
    fn an_estimate_of_ours_stays_one() {
        let usage = usage(r#"{"prompt_tokens":8,"estimated":true}"#).expect("has some");
        assert!(usage.estimated);
    }

    #[test]
    fn no_count_is_no_usage() {
        assert_eq!(usage("{}"), None);
        assert_eq!(usage(r#"{"prompt_tokens":null,"queue_time":0.2}"#), None);
    }
}

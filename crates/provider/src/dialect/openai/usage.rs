//! What an answer used, in the words of a dozen providers.

use serde::Deserialize;
use ziggurat_core::{ServiceTier, Usage};

use super::loose::{Loose, Maybe, Seconds};

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
    /// How long a sound is, of which no tokens are counted; then Mistral's place for it.
    seconds: Seconds,
    prompt_audio_seconds: Seconds,
    /// Perplexity's place for searches.
    num_search_queries: Loose<'a>,
    server_tool_use: Maybe<Searches<'a>>,
    service_tier: Loose<'a>,
    /// The mark of what we estimated where a provider counts nothing.
    estimated: Loose<'a>,
    prompt_tokens_details: Maybe<Details<'a>>,
    completion_tokens_details: Maybe<Details<'a>>,
    /// What images call the same, and transcripts.
    input_tokens_details: Maybe<Details<'a>>,
    input_token_details: Maybe<Details<'a>>,
    output_tokens_details: Maybe<Details<'a>>,
}

/// What tokens are of one side.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Details<'a> {
    #[serde(borrow)]
    cached_tokens: Loose<'a>,
    cache_write_tokens: Loose<'a>,
    cache_creation_token_details: Maybe<Written<'a>>,
    audio_tokens: Loose<'a>,
    image_tokens: Loose<'a>,
    reasoning_tokens: Loose<'a>,
}

/// How long what was written to the cache stays there.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Written<'a> {
    #[serde(borrow)]
    ephemeral_1h_input_tokens: Loose<'a>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Searches<'a> {
    #[serde(borrow)]
    web_search_requests: Loose<'a>,
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
        let audio_time = self.seconds.0.or(self.prompt_audio_seconds.0);
        let searched = self.server_tool_use.0.unwrap_or_default();
        let searched = [self.num_search_queries, searched.web_search_requests];
        let first = |places: &[Loose<'_>]| places.iter().find_map(|place| place.count());
        let uncounted = Usage {
            audio_time,
            queries: first(&searched),
            tier: self.service_tier.text().and_then(ServiceTier::parse),
            estimated: self.estimated.is_full(),
            ..Usage::default()
        };
        if total.or(input).or(output).is_none() {
            return audio_time.map(|_| uncounted);
        }
        let details = self.prompt_tokens_details.0;
        let details = details.or(self.input_tokens_details.0);
        let details = details.or(self.input_token_details.0).unwrap_or_default();
        let cached = [
            details.cached_tokens,
            self.cached_tokens,
            self.prompt_cache_hit_tokens,
        ];
        let written = [details.cache_write_tokens, self.cache_creation_input_tokens];
        let for_an_hour = details.cache_creation_token_details.0.unwrap_or_default();
        let of_output = self.completion_tokens_details.0;
        let of_output = of_output
            .or(self.output_tokens_details.0)
            .unwrap_or_default();
        let reasoning = of_output.reasoning_tokens.count().unwrap_or_default();

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
        Some(Usage {
            input,
            output,
            cached_input: first(&cached).unwrap_or_default(),
            cache_write: first(&written).unwrap_or_default(),
            cache_write_1h: first(&[for_an_hour.ephemeral_1h_input_tokens]).unwrap_or_default(),
            audio_input: audio,
            image_input: details.image_tokens.count().unwrap_or_default(),
            reasoning,
            audio_output: of_output.audio_tokens.count().unwrap_or_default(),
            image_output: of_output.image_tokens.count().unwrap_or_default(),
            counts_tokens: true,
            ..uncounted
        })
    }
}

fn sum(sum: Option<u64>, count: u64) -> Option<u64> {
    sum?.checked_add(count)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let expected = Usage {
            audio_input: 375,
            ..Usage::new(380, 20)
        };
        assert_eq!(usage(mistral), Some(expected));
        let openai = r#"{"prompt_tokens":40,"completion_tokens":20,"total_tokens":60,"prompt_tokens_details":{"audio_tokens":37}}"#;
        let expected = Usage {
            audio_input: 37,
            ..Usage::new(40, 20)
        };
        assert_eq!(usage(openai), Some(expected));
    }

    #[test]
    fn tokens_of_images_and_sound_are_told_apart_whatever_they_are_called() {
        let image = r#"{"input_tokens":10,"output_tokens":4160,"total_tokens":4170,
            "input_tokens_details":{"image_tokens":3,"text_tokens":7},"output_tokens_details":{"image_tokens":4160}}"#;
        let expected = Usage {
            image_input: 3,
            image_output: 4160,
            ..Usage::new(10, 4160)
        };
        assert_eq!(usage(image), Some(expected));
        let transcript = r#"{"type":"tokens","input_tokens":37,"output_tokens":145,"total_tokens":182,
            "input_token_details":{"text_tokens":0,"audio_tokens":37}}"#;
        assert_eq!(usage(transcript).expect("has some").audio_input, 37);
        let spoken = r#"{"prompt_tokens":1,"completion_tokens":9,"completion_tokens_details":{"audio_tokens":8}}"#;
        assert_eq!(usage(spoken).expect("has some").audio_output, 8);
    }

    #[test]
    fn what_is_no_token_is_counted_too() {
        let time = r#"{"type":"duration","seconds":4.25}"#;
        let expected = Usage {
            audio_time: Some(Duration::from_millis(4_250)),
            ..Usage::default()
        };
        assert_eq!(usage(time), Some(expected));
        let searched = r#"{"prompt_tokens":1,"completion_tokens":2,"num_search_queries":3}"#;
        assert_eq!(usage(searched).expect("has some").queries, Some(3));
        let searched = r#"{"prompt_tokens":1,"server_tool_use":{"web_search_requests":2}}"#;
        assert_eq!(usage(searched).expect("has some").queries, Some(2));
    }

    #[test]
    fn how_long_a_cache_lives_and_the_class_of_service_are_read() {
        let written = r#"{"prompt_tokens":90,"completion_tokens":1,"service_tier":"priority","prompt_tokens_details":
            {"cache_write_tokens":44,"cache_creation_token_details":{"ephemeral_1h_input_tokens":40}}}"#;
        let expected = Usage {
            cache_write: 44,
            cache_write_1h: 40,
            tier: Some(ServiceTier::Priority),
            ..Usage::new(90, 1)
        };
        assert_eq!(usage(written), Some(expected));
        let usual = r#"{"prompt_tokens":90,"service_tier":"standard"}"#;
        assert_eq!(usage(usual).expect("has some").tier, None);
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

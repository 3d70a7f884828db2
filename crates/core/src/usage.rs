//! What an answer used.

use std::time::Duration;

use crate::ServiceTier;

/// What an answer used, in tokens and in whatever else is billed.
///
/// Tokens of some kind are a part of the whole, and counted in it: what a provider counts apart is
/// added when it is read. A part is zero if the provider does not tell it apart. What is no token is
/// `None` if nobody counted it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Input tokens that the provider had cached.
    pub cached_input: u64,
    /// Input tokens written to the provider's cache.
    pub cache_write: u64,
    /// Those of them that are kept for an hour, not for the usual five minutes.
    pub cache_write_1h: u64,
    /// Input tokens of audio.
    pub audio_input: u64,
    /// Input tokens of images.
    pub image_input: u64,
    /// Output tokens spent on reasoning.
    pub reasoning: u64,
    /// Output tokens of audio.
    pub audio_output: u64,
    /// Output tokens of images.
    pub image_output: u64,
    /// Images that were made.
    pub images: Option<u64>,
    /// How much audio was listened to.
    pub audio_time: Option<Duration>,
    /// Characters that were read out.
    pub characters: Option<u64>,
    /// Searches, or whatever else is billed by the query.
    pub queries: Option<u64>,
    /// The class of service that answered, by the provider's word; `None` is the usual one.
    pub tier: Option<ServiceTier>,
    /// Whether tokens were counted at all: an answer may be billed by something else alone.
    pub counts_tokens: bool,
    /// Whether this is our estimate, not the provider's word.
    pub estimated: bool,
}

impl Usage {
    /// Usage of that many input and output tokens, by the provider's word.
    #[must_use]
    pub const fn new(input: u64, output: u64) -> Self {
        Self {
            input,
            output,
            cached_input: 0,
            cache_write: 0,
            cache_write_1h: 0,
            audio_input: 0,
            image_input: 0,
            reasoning: 0,
            audio_output: 0,
            image_output: 0,
            images: None,
            audio_time: None,
            characters: None,
            queries: None,
            tier: None,
            counts_tokens: true,
            estimated: false,
        }
    }

    /// The same as our estimate.
    #[must_use]
    pub const fn as_estimate(mut self) -> Self {
        self.estimated = true;
        self
    }

    /// Input and output together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// Both together; an estimate if one of them is, and of the class of service of the other.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let some = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.saturating_add(b)),
            (a, b) => a.or(b),
        };
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            audio_input: self.audio_input.saturating_add(other.audio_input),
            image_input: self.image_input.saturating_add(other.image_input),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            audio_output: self.audio_output.saturating_add(other.audio_output),
            image_output: self.image_output.saturating_add(other.image_output),
            images: some(self.images, other.images),
            audio_time: match (self.audio_time, other.audio_time) {
                (Some(a), Some(b)) => Some(a.saturating_add(b)),
                (a, b) => a.or(b),
            },
            characters: some(self.characters, other.characters),
            queries: some(self.queries, other.queries),
            tier: other.tier.or(self.tier),
            counts_tokens: self.counts_tokens || other.counts_tokens,
            estimated: self.estimated || other.estimated,
        }
    }
}

//! What kind of request it is.

use ziggurat_core::{Capability, LlmRequest, Param};

/// Something by which requests differ as far as the choice of a model goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Feature {
    /// The input has more than 2,000 tokens, by the estimate.
    LongInput = 1,
    /// Tools are offered.
    Tools = 2,
    /// There are images, audio, video or files in the input.
    Media = 4,
    /// The answer is streamed. Then what counts is the time to the first token, else the time to the
    /// whole answer; so the two are never compared.
    Stream = 8,
}

/// The kind of a request: a [`Bandit`](super::Bandit) learns about each of the sixteen kinds apart.
///
/// [`LlmRequest`] tells its own by its [`Feature`]s. An application with a better idea of what its
/// requests are about numbers them itself, see
/// [`Bandit::contexts_by`](super::Bandit::contexts_by).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Context(u8);

impl Context {
    /// How many there are.
    pub const COUNT: usize = 16;

    /// A kind by its number; sixteen is zero again.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number % Self::COUNT as u8)
    }

    /// The kind with one more feature.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Self {
        Self(self.0 | feature as u8)
    }

    /// Whether it has a feature.
    #[must_use]
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & feature as u8 != 0
    }

    /// Its number, under sixteen.
    #[must_use]
    pub const fn number(self) -> usize {
        self.0 as usize
    }
}

/// Input tokens up to which a request is a short one.
const SHORT: u64 = 2_000;

impl Param<Context> for LlmRequest {
    fn param(&self) -> Context {
        let needs = self.needs();
        let media = [
            Capability::Vision,
            Capability::AudioInput,
            Capability::Video,
            Capability::Pdf,
        ];
        [
            (Feature::LongInput, self.estimated_input_tokens() > SHORT),
            (Feature::Tools, needs.contains(Capability::Tools)),
            (Feature::Media, media.iter().any(|it| needs.contains(*it))),
            (Feature::Stream, self.is_stream()),
        ]
        .into_iter()
        .filter(|(_, is_so)| *is_so)
        .fold(Context::default(), |context, (feature, _)| {
            context.with(feature)
        })
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Operation;

    use super::*;

    #[test]
    fn a_request_is_of_a_kind_by_its_features() {
        let context = |body: &str| -> Context {
            let operation = Operation::ChatCompletions;
            let request = LlmRequest::from_bytes(operation, body.to_owned()).expect("is valid");
            request.param()
        };
        let plain = Context::default();
        assert_eq!(context(r#"{"model":"m"}"#), plain);
        assert_eq!(
            context(r#"{"model":"m","stream":true,"tools":[{"type":"function"}]}"#),
            plain.with(Feature::Stream).with(Feature::Tools)
        );
        let image =
            r#"{"model":"m","messages":[{"content":[{"type":"image_url","image_url":{}}]}]}"#;
        assert_eq!(context(image), plain.with(Feature::Media));
        let long = format!(r#"{{"model":"m","prompt":"{}"}}"#, "a".repeat(9_000));
        assert_eq!(context(&long), plain.with(Feature::LongInput));
    }

    #[test]
    fn every_set_of_features_has_a_number_of_its_own() {
        use Feature::{LongInput, Media, Stream, Tools};
        let all = [LongInput, Tools, Media, Stream];
        let full = all.into_iter().fold(Context::default(), Context::with);
        assert_eq!(full.number(), Context::COUNT - 1);
        assert!(all.into_iter().all(|feature| full.has(feature)));
        assert_eq!(Context::new(16), Context::default());
    }
}

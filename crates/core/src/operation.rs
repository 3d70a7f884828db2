//! What a client asks a provider to do.

/// One of the operations of an LLM API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// `/chat/completions`
    ChatCompletions,
    /// `/completions`
    Completions,
    /// `/embeddings`
    Embeddings,
    /// `/images/generations`
    ImageGeneration,
    /// `/images/edits`
    ImageEdit,
    /// `/images/variations`
    ImageVariation,
    /// `/audio/transcriptions`
    Transcription,
    /// `/audio/translations`
    Translation,
    /// `/audio/speech`
    Speech,
    /// `/moderations`
    Moderation,
    /// `/rerank`
    Rerank,
    /// `/responses`
    Responses,
    /// `/messages`, in Anthropic's shape.
    Messages,
    /// `/messages/count_tokens`, in Anthropic's shape: how long a prompt is.
    CountTokens,
    /// `/models/{model}:generateContent` and `:streamGenerateContent`, in Google's shape. The model
    /// and the wish for a stream are in the path: see
    /// [`LlmRequest::read_for`](crate::LlmRequest::read_for).
    GenerateContent,
    /// `/realtime`: a WebSocket. Its request is the query of the URL, as the members of a JSON object.
    Realtime,
    /// Any other path, passed through as it is.
    PassThrough,
}

impl Operation {
    /// Every operation with a path of its own: the same for each model.
    pub const ALL: [Self; 15] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Embeddings,
        Self::ImageGeneration,
        Self::ImageEdit,
        Self::ImageVariation,
        Self::Transcription,
        Self::Translation,
        Self::Speech,
        Self::Moderation,
        Self::Rerank,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
        Self::Realtime,
    ];

    /// The path under the base URL; empty for a pass-through, and where it names the model.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::ImageGeneration => "/images/generations",
            Self::ImageEdit => "/images/edits",
            Self::ImageVariation => "/images/variations",
            Self::Transcription => "/audio/transcriptions",
            Self::Translation => "/audio/translations",
            Self::Speech => "/audio/speech",
            Self::Moderation => "/moderations",
            Self::Rerank => "/rerank",
            Self::Responses => "/responses",
            Self::Messages => "/messages",
            Self::CountTokens => "/messages/count_tokens",
            Self::Realtime => "/realtime",
            Self::GenerateContent | Self::PassThrough => "",
        }
    }

    /// Whether a request may come as `multipart/form-data`.
    #[must_use]
    pub const fn takes_form(self) -> bool {
        matches!(
            self,
            Self::ImageEdit | Self::ImageVariation | Self::Transcription | Self::Translation
        )
    }

    /// Whether the body of a request may be JSON.
    #[must_use]
    pub const fn takes_json(self) -> bool {
        !matches!(self, Self::Realtime) && !self.takes_form() || matches!(self, Self::ImageEdit)
    }

    /// Whether an answer may come as events, if that is asked for.
    #[must_use]
    pub const fn can_stream(self) -> bool {
        !matches!(
            self,
            Self::Embeddings
                | Self::ImageVariation
                | Self::Translation
                | Self::Moderation
                | Self::Rerank
                | Self::CountTokens
        )
    }

    /// Whether an answer is a stream whatever is asked for.
    #[must_use]
    pub const fn always_streams(self) -> bool {
        matches!(self, Self::Realtime)
    }

    /// A short name in snake case, as logs and metric labels show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::ImageGeneration => "image_generation",
            Self::ImageEdit => "image_edit",
            Self::ImageVariation => "image_variation",
            Self::Transcription => "transcription",
            Self::Translation => "translation",
            Self::Speech => "speech",
            Self::Moderation => "moderation",
            Self::Rerank => "rerank",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::GenerateContent => "generate_content",
            Self::Realtime => "realtime",
            Self::PassThrough => "pass_through",
        }
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

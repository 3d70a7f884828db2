//! What a model is for.

use std::fmt;

macro_rules! modes {
    ($($(#[$doc:meta])+ $name:ident = $text:literal,)+) => {
        /// What a model is for: `mode` of a configuration's `model_info`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Mode {
            $($(#[$doc])+ $name,)+
        }

        impl Mode {
            /// Every mode.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in configurations.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

modes! {
    /// Chat.
    Chat = "chat",
    /// Completion of a text.
    Completion = "completion",
    /// OpenAI's Responses only.
    Responses = "responses",
    /// Embeddings.
    Embedding = "embedding",
    /// Making images.
    ImageGeneration = "image_generation",
    /// Changing images.
    ImageEdit = "image_edit",
    /// Audio to text.
    AudioTranscription = "audio_transcription",
    /// Text to audio.
    AudioSpeech = "audio_speech",
    /// Making videos.
    VideoGeneration = "video_generation",
    /// Judging content.
    Moderation = "moderation",
    /// Ordering documents.
    Rerank = "rerank",
    /// Talking over a WebSocket.
    Realtime = "realtime",
    /// Reading pages.
    Ocr = "ocr",
    /// Searching.
    Search = "search",
    /// Batches only.
    Batch = "batch",
}

impl Mode {
    /// The mode of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|it| it.as_str() == name)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

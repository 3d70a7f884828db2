//! The filter by what models are for.

use ziggurat_core::{LlmRequest, Mode, Operation};

use super::{Filter, Members};

/// Leaves out the deployments whose model is known to be for something else: a chat model for a
/// request for embeddings.
///
/// A model of which nothing is known serves. So does one that may be able to do both: a model that
/// makes images may chat, but one that is known to chat makes no images. A request that names its deployment by id is left alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModeFilter;

impl Filter<LlmRequest> for ModeFilter {
    fn filter(&self, request: &LlmRequest, members: &mut Members<'_>) {
        let operation = request.operation();
        if members.is_by_id() {
            return;
        }
        members.retain_traits(
            "mode",
            |member| member.mode.is_none_or(|mode| may_serve(mode, operation)),
            |member| {
                let mode = member.mode.map_or("", Mode::as_str);
                format!("is for {mode}, not {operation}")
            },
        );
    }
}

fn may_serve(mode: Mode, operation: Operation) -> bool {
    match operation {
        Operation::ChatCompletions
        | Operation::Completions
        | Operation::Responses
        | Operation::Messages
        | Operation::GenerateContent
        | Operation::CountTokens => !matches!(
            mode,
            Mode::Embedding
                | Mode::Rerank
                | Mode::Moderation
                | Mode::AudioTranscription
                | Mode::AudioSpeech
                | Mode::VideoGeneration
                | Mode::Realtime
                | Mode::Ocr
                | Mode::Search
        ),
        Operation::Embeddings => mode == Mode::Embedding,
        Operation::Rerank => mode == Mode::Rerank,
        Operation::Moderation => mode == Mode::Moderation,
        Operation::ImageGeneration | Operation::ImageEdit | Operation::ImageVariation => {
            matches!(mode, Mode::ImageGeneration | Mode::ImageEdit)
        }
        Operation::Transcription | Operation::Translation => mode == Mode::AudioTranscription,
        Operation::Speech => mode == Mode::AudioSpeech,
        Operation::Realtime => mode == Mode::Realtime,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Deployment;

    use super::*;
    use crate::filter::members::left;

    #[test]
    fn a_model_that_is_for_something_else_does_not_serve() {
        let members = || {
            let mode = |mode: Mode| Deployment::new(mode.as_str(), "g", "m").with_mode(mode);
            [
                Deployment::new("unknown", "g", "m"),
                mode(Mode::Chat),
                mode(Mode::Embedding),
                mode(Mode::ImageGeneration),
                mode(Mode::AudioTranscription),
                mode(Mode::Realtime),
            ]
        };
        for (operation, expected) in [
            (
                Operation::ChatCompletions,
                &["unknown", "chat", "image_generation"][..],
            ),
            (Operation::Embeddings, &["unknown", "embedding"]),
            (
                Operation::ImageGeneration,
                &["unknown", "image_generation"][..],
            ),
            (Operation::ImageEdit, &["unknown", "image_generation"]),
            (Operation::Speech, &["unknown"]),
            (Operation::Moderation, &["unknown"]),
            (
                Operation::Transcription,
                &["unknown", "audio_transcription"],
            ),
            (Operation::Rerank, &["unknown"]),
            (Operation::Realtime, &["unknown", "realtime"]),
            (
                Operation::PassThrough,
                &[
                    "unknown",
                    "chat",
                    "embedding",
                    "image_generation",
                    "audio_transcription",
                    "realtime",
                ],
            ),
        ] {
            let request = LlmRequest::from_bytes(operation, r#"{"model":"g"}"#);
            let (left, refused) = left(&ModeFilter, &request.expect("is valid"), members());
            assert_eq!(left, expected, "{operation}");
            if operation == Operation::Embeddings {
                assert_eq!(refused[0], "chat (mode: is for chat, not embeddings)");
            }
        }
    }
}

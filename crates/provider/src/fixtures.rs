//! Recorded traffic, if `ZIGGURAT_FIXTURES` names the folder it lies in; nothing otherwise.

use std::{fs, path::Path};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use ziggurat_core::Operation;

/// The folders of providers that speak OpenAI's dialect.
const PROVIDERS: &[&str] = &[
    "azure",
    "cerebras",
    "deepseek",
    "gpustack",
    "groq",
    "huggingface",
    "llamacpp",
    "mistral",
    "openai",
    "openrouter",
    "perplexity",
    "together",
    "vllm",
    "xai",
    "zai",
];

pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) status: StatusCode,
    pub(crate) content_type: HeaderValue,
    pub(crate) body: Bytes,
    /// What is known of it: among others the `request`, if it was kept.
    pub(crate) meta: Value,
}

pub(crate) fn streams() -> Vec<Recorded> {
    let chat = recorded("chat_stream", Operation::ChatCompletions, "sse");
    let completions = recorded("completions_stream", Operation::Completions, "sse");
    chat.into_iter().chain(completions).collect()
}

pub(crate) fn answers() -> Vec<Recorded> {
    let chat = recorded("chat", Operation::ChatCompletions, "json");
    let completions = recorded("completions", Operation::Completions, "json");
    let embeddings = recorded("embeddings", Operation::Embeddings, "json");
    chat.into_iter()
        .chain(completions)
        .chain(embeddings)
        .collect()
}

pub(crate) fn errors() -> Vec<Recorded> {
    recorded("errors", Operation::ChatCompletions, "json")
}

/// Answers about images, audio and moderation.
pub(crate) fn media() -> Vec<Recorded> {
    let all = [
        ("images", Operation::ImageGeneration, "json"),
        ("moderation", Operation::Moderation, "json"),
        ("audio_transcription", Operation::Transcription, "json"),
        ("audio_transcription", Operation::Transcription, "bin"),
        ("audio_speech", Operation::Speech, "json"),
        ("audio_speech", Operation::Speech, "bin"),
    ];
    let each = |(folder, operation, extension)| recorded(folder, operation, extension);
    all.into_iter().flat_map(each).collect()
}

pub(crate) fn transcript_streams() -> Vec<Recorded> {
    recorded(
        "audio_transcription_stream",
        Operation::Transcription,
        "sse",
    )
}

pub(crate) fn responses() -> Vec<Recorded> {
    recorded("responses", Operation::Responses, "json")
}

pub(crate) fn responses_streams() -> Vec<Recorded> {
    recorded("responses_stream", Operation::Responses, "sse")
}

/// Errors inside streams that began with a success.
pub(crate) fn errors_in_streams() -> Vec<Recorded> {
    recorded("errors", Operation::Responses, "sse")
}

fn recorded(folder: &str, operation: Operation, extension: &str) -> Vec<Recorded> {
    let of = |provider| of(provider, folder, operation, extension);
    let all: Vec<_> = PROVIDERS.iter().copied().flat_map(of).collect();
    let is_there = std::env::var_os("ZIGGURAT_FIXTURES").is_some();
    assert!(!is_there || !all.is_empty(), "there are recordings");
    all
}

/// What one provider answers.
pub(crate) fn of(
    provider: &str,
    folder: &str,
    operation: Operation,
    extension: &str,
) -> Vec<Recorded> {
    let mut all = Vec::new();
    let Some(root) = std::env::var_os("ZIGGURAT_FIXTURES") else {
        return all;
    };
    let Ok(files) = fs::read_dir(Path::new(&root).join(provider).join(folder)) else {
        return all;
    };
    for meta in files.map(|file| file.expect("can be listed").path()) {
        if !meta.to_string_lossy().ends_with(".meta.json") {
            continue;
        }
        let json: Value =
            serde_json::from_slice(&fs::read(&meta).expect("can be read")).expect("is JSON");
        let file = meta.with_file_name(json["body_file"].as_str().expect("names a file"));
        if file.extension().is_none_or(|found| found != extension) {
            continue;
        }
        let status = json["status"]
            .as_u64()
            .and_then(|status| status.try_into().ok());
        let content_type = json["content_type"].as_str();
        all.push(Recorded {
            name: file.display().to_string(),
            operation,
            status: StatusCode::from_u16(status.unwrap_or(200)).expect("is a status"),
            content_type: content_type
                .and_then(|kind| kind.parse().ok())
                .unwrap_or_else(|| HeaderValue::from_static("")),
            body: fs::read(&file).expect("can be read").into(),
            meta: json,
        });
    }
    all
}

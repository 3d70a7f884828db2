//! Recorded traffic, if `ZIGGURAT_FIXTURES` names the folder it lies in; nothing otherwise.

use std::{fs, path::Path};

use bytes::Bytes;
use http::StatusCode;
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
    pub(crate) body: Bytes,
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

fn recorded(folder: &str, operation: Operation, extension: &str) -> Vec<Recorded> {
    let Some(root) = std::env::var_os("ZIGGURAT_FIXTURES") else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for provider in PROVIDERS {
        let Ok(files) = fs::read_dir(Path::new(&root).join(provider).join(folder)) else {
            continue;
        };
        for meta in files.map(|file| file.expect("can be listed").path()) {
            if !meta.to_string_lossy().ends_with(".meta.json") {
                continue;
            }
            let json: Value =
                serde_json::from_slice(&fs::read(&meta).expect("can be read")).expect("is JSON");
            let file = meta.with_file_name(json["body_file"].as_str().expect("names a file"));
            if file.extension().is_some_and(|found| found == extension) {
                let status = json["status"]
                    .as_u64()
                    .and_then(|status| status.try_into().ok());
                all.push(Recorded {
                    name: file.display().to_string(),
                    operation,
                    status: StatusCode::from_u16(status.unwrap_or(200)).expect("is a status"),
                    body: fs::read(&file).expect("can be read").into(),
                });
            }
        }
    }
    assert!(
        !all.is_empty(),
        "there are recordings in {}",
        root.display()
    );
    all
}

//! OpenAI's dialect, and what the many servers that follow it make of it.

mod answer;
mod arguments;
mod chunk;
mod error;
mod foreign;
mod headers;
mod likeness;
mod loose;
mod media;
mod models;
mod out;
mod prefill;
mod progress;
mod reader;
mod report;
mod roles;
mod transcript;
mod usage;
mod watch;

use http::Uri;
use ziggurat_core::Operation;

pub use self::transcript::{OpenAiTranscript, OpenAiTranscripts};
pub(crate) use self::{
    answer::{as_events, as_one_event, check, usage_of},
    error::{failure, in_band},
    foreign::fitted,
    headers::for_client,
    media::{Content, Whole, is_media},
    models::lists,
    out::Out,
    prefill::marked,
    progress::Progress,
    reader::{Asked, Reader},
    watch::Watch,
};

/// The operations that are served, in the order of an endpoint's addresses.
pub(crate) const OPERATIONS: [Operation; 13] = [
    Operation::ChatCompletions,
    Operation::Completions,
    Operation::Embeddings,
    Operation::Rerank,
    Operation::ImageGeneration,
    Operation::ImageEdit,
    Operation::ImageVariation,
    Operation::Transcription,
    Operation::Translation,
    Operation::Speech,
    Operation::Moderation,
    Operation::Responses,
    Operation::Realtime,
];

/// Whether usage comes at the end of a stream only if it is asked for. Others send it anyway, and
/// refuse to be asked.
pub(crate) fn must_ask_for_usage(provider: &str, operation: Operation) -> bool {
    provider != "mistral"
        && matches!(
            operation,
            Operation::ChatCompletions | Operation::Completions
        )
}

/// Where a provider lives, if that is known.
pub(crate) fn default_base(provider: &str) -> Option<&'static str> {
    Some(match provider {
        "openai" => "https://api.openai.com/v1",
        "deepseek" => "https://api.deepseek.com/v1",
        "groq" => "https://api.groq.com/openai/v1",
        "jina_ai" => "https://api.jina.ai/v1",
        "mistral" => "https://api.mistral.ai/v1",
        "openrouter" => "https://openrouter.ai/api/v1",
        "perplexity" => "https://api.perplexity.ai",
        "together" | "together_ai" => "https://api.together.xyz/v1",
        "xai" => "https://api.x.ai/v1",
        _ => return None,
    })
}

/// Where the models are listed, under a base URL.
pub(crate) const MODELS: &str = "/models";

/// The address of a path under a base URL, which may have a query. `None` if the base is no plain
/// address of a web server.
pub(crate) fn address(base: &str, path: &str) -> Option<Uri> {
    let base: Uri = base.trim().parse().ok()?;
    let authority = base.authority()?;
    let is_web = matches!(base.scheme_str(), Some("http" | "https"));
    // What stands before an `@` is a credential, which has its own place.
    if !is_web || authority.as_str().contains('@') {
        return None;
    }
    let mut path = format!("{}{}", base.path().trim_end_matches('/'), path);
    if let Some(query) = base.query() {
        path.push('?');
        path.push_str(query);
    }
    Uri::builder()
        .scheme(base.scheme()?.clone())
        .authority(authority.clone())
        .path_and_query(path)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_the_path_and_the_query_of_its_base() {
        for (base, expected) in [
            (
                "https://api.openai.com/v1",
                Some("https://api.openai.com/v1/chat/completions"),
            ),
            (
                "http://10.0.0.7:8000/v1/",
                Some("http://10.0.0.7:8000/v1/chat/completions"),
            ),
            (
                "http://localhost",
                Some("http://localhost/chat/completions"),
            ),
            (
                "https://x.example/openai/v1?api-version=preview",
                Some("https://x.example/openai/v1/chat/completions?api-version=preview"),
            ),
            ("https://user:pass@x.example/v1", None),
            ("ftp://x.example", None),
            ("x.example/v1", None),
            ("", None),
        ] {
            let address = address(base, Operation::ChatCompletions.path());
            assert_eq!(
                address.map(|address| address.to_string()).as_deref(),
                expected,
                "{base}"
            );
        }
    }
}

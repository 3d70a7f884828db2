//! Recorded streams through the leaf, if `ZIGGURAT_FIXTURES` names the folder they lie in.

use std::{fs, path::Path};

use crate::support::{Client, DONE, Read, chat_stream_with_usage, request, send};
use serde_json::Value;
use ziggurat_core::{ErrorKind, Operation};

const PROVIDERS: &[&str] = &[
    "azure",
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

fn recordings(folder: &str) -> Vec<(String, String)> {
    let Some(root) = std::env::var_os("ZIGGURAT_FIXTURES") else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for provider in PROVIDERS {
        let Ok(files) = fs::read_dir(Path::new(&root).join(provider).join(folder)) else {
            continue;
        };
        for file in files.map(|file| file.expect("can be listed").path()) {
            if file.extension().is_some_and(|extension| extension == "sse") {
                let text = fs::read_to_string(&file).expect("is text");
                all.push((file.display().to_string(), text));
            }
        }
    }
    assert!(!all.is_empty(), "there are recordings");
    all
}

/// The JSON of the events, read as simply as can be.
fn events(stream: &str) -> Vec<Value> {
    stream
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok())
        .collect()
}

/// Whether an event of one choice says nothing but the role.
fn is_bare_role(event: &Value) -> bool {
    let choice = &event["choices"][0];
    let says = |value: &Value| !value.is_null() && *value != "" && *value != Value::Array(vec![]);
    let delta = choice["delta"].as_object().into_iter().flatten();
    choice["index"] == 0
        && !says(&choice["finish_reason"])
        && !says(&event["usage"])
        && delta
            .filter(|(_, value)| says(value))
            .all(|(name, _)| name == "role")
        && choice["delta"]["role"].is_string()
}

#[tokio::test(start_paused = true)]
async fn recorded_streams_pass_whole_with_exact_usage() {
    for (name, stream) in recordings("chat_stream")
        .into_iter()
        .chain(recordings("completions_stream"))
    {
        for pieces in [1, 7, 1_000_000] {
            let size = stream.len().div_ceil(pieces);
            let client = Client::stream(
                stream
                    .as_bytes()
                    .chunks(size)
                    .map(|piece| send(piece.to_vec())),
            );
            let operation = if name.contains("/completions_stream/") {
                Operation::Completions
            } else {
                Operation::ChatCompletions
            };
            let body =
                String::from_utf8(chat_stream_with_usage().body().to_vec()).expect("is text");
            let response = client.call(request(operation, &body)).await;
            let response = response.unwrap_or_else(|error| panic!("{name}: {error}"));
            let read = Read::to_the_end(response).await;
            read.end
                .as_ref()
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut expected = events(&stream);
            let mut roles = 0;
            expected.retain(|event| {
                roles += usize::from(event["choices"][0]["delta"]["role"].is_string());
                roles < 2 || !is_bare_role(event)
            });
            assert_eq!(events(&read.text()), expected, "{name}");
            assert!(read.text().trim_end().ends_with(DONE.trim_end()), "{name}");
            let total = expected.iter().rev().find_map(|event| {
                let usage = [&event["usage"], &event["x_groq"]["usage"]];
                usage
                    .into_iter()
                    .find_map(|usage| usage["total_tokens"].as_u64())
            });
            assert_eq!(read.usage().map(|usage| usage.total()), total, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn recorded_streams_that_are_cut_never_look_whole() {
    for (name, stream) in recordings("chat_stream") {
        let finish = stream
            .find("\"finish_reason\":\"")
            .or(stream.find("\"finish_reason\": \""))
            .expect("finishes");
        let event = stream[..finish].rfind("data:").expect("is in an event");
        for end in (0..event).step_by(event.div_ceil(40)) {
            let client =
                Client::stream([send(stream[..stream.floor_char_boundary(end)].to_owned())]);
            let end = match client.call(chat_stream_with_usage()).await {
                Ok(response) => Read::to_the_end(response).await.end,
                Err(error) => Err(error),
            };
            let kind = end.expect_err(&name).kind();
            assert!(
                matches!(kind, ErrorKind::StreamBroken | ErrorKind::BadAnswer),
                "{name}: {kind}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn recorded_errors_in_streams_are_failures() {
    for (name, stream) in recordings("errors") {
        let client = Client::stream([send(stream)]);
        let end = match client.call(chat_stream_with_usage()).await {
            Ok(response) => Read::to_the_end(response).await.end,
            Err(error) => Err(error),
        };
        let kind = end.expect_err(&name).kind();
        assert!(!matches!(kind, ErrorKind::StreamBroken), "{name}: {kind}");
    }
}

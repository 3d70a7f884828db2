//! Serves simulated providers that speak every dialect, for clients in other languages.
//!
//! ```sh
//! cargo run -p ziggurat-tests --bin providers [-- 127.0.0.1:8090]
//! ```
//!
//! The first line of the output is the address. What follows, up to an empty line, is a
//! configuration of Ziggurat with a group for each dialect. Each provider is under a path of its own
//! name, and says who it is. It runs until it is ended.

use std::{env, error::Error, future};

use ziggurat_testkit::provider::{Simulator, Step};

/// The groups, their models, and where the API of each is under the URL of its provider.
const GROUPS: [(&str, &str, &str); 20] = [
    ("openai", "openai/gpt-4.1", "/v1"),
    ("azure", "azure/gpt-4.1", ""),
    ("anthropic", "anthropic/claude-sonnet-4-5", ""),
    ("gemini", "gemini/gemini-2.5-flash", "/v1beta"),
    ("vertex", "vertex_ai/gemini-2.5-flash", "/v1"),
    ("bedrock", "bedrock/cohere.command-r-plus-v1:0", ""),
    ("cohere", "cohere/command-a-03-2025", ""),
    ("ollama", "ollama/llama3.2", ""),
    ("responses", "openai/gpt-4.1", "/v1"),
    ("openai-embed", "openai/text-embedding-3-small", "/v1"),
    ("azure-embed", "azure/text-embedding-3-small", ""),
    ("gemini-embed", "gemini/gemini-embedding-001", "/v1beta"),
    ("vertex-embed", "vertex_ai/text-embedding-005", "/v1"),
    ("bedrock-embed", "bedrock/cohere.embed-english-v3", ""),
    ("cohere-embed", "cohere/embed-v4.0", ""),
    ("ollama-embed", "ollama/nomic-embed-text", ""),
    ("images", "openai/dall-e-2", "/v1"),
    ("speech", "openai/tts-1", "/v1"),
    ("transcription", "openai/whisper-1", "/v1"),
    ("moderation", "openai/omni-moderation-latest", "/v1"),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = env::args().nth(1);
    let address = address.as_deref().unwrap_or("127.0.0.1:0");
    let providers = Simulator::bind(address).await?;
    println!("{}\nmodel_list:", providers.addr());
    for (name, model, path) in GROUPS {
        // A stream says no more than a whole answer.
        providers.script(name, Step::ok().words(4));
        let base = format!("{}{path}", providers.root_url(name));
        println!("- model_name: {name}");
        println!("  litellm_params: {{{}}}", params(name, model, &base));
        if matches!(name, "openai" | "responses") {
            println!("  model_info: {{mode: responses}}");
        }
    }
    println!();
    future::pending::<()>().await;
    Ok(())
}

fn params(name: &str, model: &str, base: &str) -> String {
    let more = match name.trim_end_matches("-embed") {
        "azure" => ", api_version: '2025-04-01-preview'",
        "vertex" => ", vertex_project: simulated, vertex_location: us-central1",
        "bedrock" => ", aws_region_name: us-east-1",
        _ => "",
    };
    format!("model: '{model}', api_base: '{base}', api_key: key-{name}{more}")
}

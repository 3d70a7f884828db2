//! How a recording is asked for: the deployment, and the words in which it answers.

use ziggurat::{Deployment, Mode, Secret};

use crate::fixture::Fixture;

/// In whose words a provider answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    OpenAi,
    Responses,
    Anthropic,
    Google,
    Converse,
    Cohere,
    Ollama,
}

/// Where OpenAI's dialect is spoken by a provider that has one of its own.
fn compatible(fixture: &Fixture) -> Option<&'static str> {
    let (provider, operation) = (&*fixture.provider, &*fixture.operation);
    Some(match (provider, operation) {
        ("bedrock", "chat" | "responses" | "responses_stream") => {
            "https://bedrock-mantle.us-east-1.api.aws/v1"
        }
        ("gemini", "chat") => "https://generativelanguage.googleapis.com/v1beta/openai",
        ("ollama", _) if fixture.is_at("/v1/chat/completions") => "http://localhost:11434/v1",
        ("ollama", _) if fixture.is_at("<OLLAMA_API_BASE>/chat/completions") => {
            "http://localhost:11434/v1"
        }
        _ => return None,
    })
}

pub(crate) fn deployment(fixture: &Fixture) -> Deployment {
    let provider = match &*fixture.provider {
        "gpustack" | "llamacpp" | "vllm" => "hosted_vllm",
        "huggingface" | "zai" => "openai_like",
        "together" => "together_ai",
        "vertex" => "vertex_ai",
        provider => provider,
    };
    let deployment = Deployment::new("a", "group", model(fixture));
    let deployment = deployment.with_credential(Secret::new("key-0123456789"));
    if let Some(base) = compatible(fixture) {
        let deployment = deployment.with_provider("openai_like").with_base_url(base);
        return match fixture.operation.starts_with("responses") {
            true => deployment.with_mode(Mode::Responses),
            false => deployment,
        };
    }
    let deployment = deployment.with_provider(provider);
    match &*fixture.provider {
        "azure" if path_of(fixture).contains("/openai/v1/") => {
            deployment.with_base_url("https://resource.openai.azure.com/openai/v1")
        }
        "azure" => deployment.with_base_url("https://resource.openai.azure.com"),
        "bedrock" => deployment.with_param("aws_region_name", Secret::new("us-east-1")),
        "cerebras" => deployment.with_base_url("https://api.cerebras.ai/v1"),
        // It is asked in Responses only where the deployment says so.
        "deepseek" if fixture.operation.starts_with("responses") => {
            deployment.with_mode(Mode::Responses)
        }
        "huggingface" => deployment.with_base_url("https://router.huggingface.co/v1"),
        "zai" => deployment.with_base_url("https://api.z.ai/api/paas/v4"),
        "vertex" => deployment.with_param("vertex_project", Secret::new("project")),
        "gpustack" | "llamacpp" | "vllm" => deployment.with_base_url("http://localhost:8000/v1"),
        _ => deployment,
    }
}

fn path_of(fixture: &Fixture) -> &str {
    fixture.path.as_deref().unwrap_or_default()
}

/// A model that is asked as the one that was recorded.
fn model(fixture: &Fixture) -> String {
    let path = path_of(fixture);
    let after = |mark: &str| Some(path.split_once(mark)?.1);
    match &*fixture.provider {
        "bedrock" => {
            let id = after("/model/").and_then(|rest| rest.split('/').next());
            let id = id.map(|id| id.replace("%3A", ":"));
            let id = id.unwrap_or_else(|| "us.anthropic.claude-sonnet-4-5-20250929-v1:0".into());
            match fixture.operation.starts_with("invoke") && id.contains("claude") {
                true => format!("invoke/{id}"),
                false => id,
            }
        }
        "gemini" | "vertex" => {
            let model = after("/models/").and_then(|rest| rest.split(':').next());
            model.unwrap_or("gemini-2.5-flash").to_owned()
        }
        _ => "model".to_owned(),
    }
}

pub(crate) fn words(fixture: &Fixture) -> Words {
    if fixture.operation.starts_with("responses") {
        return Words::Responses;
    }
    if compatible(fixture).is_some() {
        return Words::OpenAi;
    }
    match (&*fixture.provider, &*fixture.operation) {
        ("anthropic", _) | ("vertex", "raw_predict" | "raw_predict_stream") => Words::Anthropic,
        ("bedrock", "invoke" | "invoke_stream") if model(fixture).contains("claude") => {
            Words::Anthropic
        }
        ("bedrock", _) => Words::Converse,
        ("gemini" | "vertex", _) => Words::Google,
        ("cohere", _) => Words::Cohere,
        ("ollama", _) => Words::Ollama,
        _ => Words::OpenAi,
    }
}

/// Whether a recording was made where the leaf asks: the last word of the path tells. Nova answers
/// InvokeModel in the words of Converse.
pub(crate) fn is_same_place(recorded: &str, asked: &str) -> bool {
    let last = |path: &str| {
        let last = path.rsplit(['/', ':']).next();
        last.unwrap_or_default().to_owned()
    };
    let (recorded_at, asked_at) = (last(recorded), last(asked));
    let is_nova = recorded.contains("amazon.nova-lite") && recorded_at == "invoke";
    recorded_at == asked_at || is_nova && asked_at == "converse"
}

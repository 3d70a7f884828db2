//! The providers that a `model` may name, and what they are asked for by default.

use crate::{keys::near, read::name};

/// A provider that can be asked.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Where it lives, if that is one place.
    pub(crate) base: Option<&'static str>,
    /// The variables that may say where it lives; the first that is set counts.
    pub(crate) base_variables: &'static [&'static str],
    /// The variables that may hold its key; the first that is set counts.
    pub(crate) key_variables: &'static [&'static str],
    /// Whether it answers nobody without a key.
    pub(crate) needs_key: bool,
}

/// What a deployment has to say beyond a model and a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: it speaks the OpenAI dialect.
    OpenAi,
    Anthropic,
    Azure,
    Bedrock,
    Gemini,
    Vertex,
    /// Nothing: it speaks a dialect of its own.
    Other,
}

impl Provider {
    const fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

const fn hosted(
    name: &'static str,
    base: &'static str,
    base_variables: &'static [&'static str],
    key_variables: &'static [&'static str],
) -> Provider {
    Provider {
        name,
        kind: Kind::OpenAi,
        base: Some(base),
        base_variables,
        key_variables,
        needs_key: true,
    }
}

const fn own(
    name: &'static str,
    base: Option<&'static str>,
    base_variables: &'static [&'static str],
    key_variables: &'static [&'static str],
) -> Provider {
    Provider {
        name,
        kind: Kind::OpenAi,
        base,
        base_variables,
        key_variables,
        needs_key: false,
    }
}

const OPENAI: &str = "https://api.openai.com/v1";
const OPENAI_BASE: &[&str] = &["OPENAI_BASE_URL", "OPENAI_API_BASE"];
const OPENAI_KEY: &[&str] = &["OPENAI_API_KEY"];
const ANTHROPIC_BASE: &[&str] = &["ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"];
const AZURE_KEY: &[&str] = &["AZURE_OPENAI_API_KEY", "AZURE_API_KEY"];
const BEDROCK_BASE: &[&str] = &["AWS_BEDROCK_RUNTIME_ENDPOINT"];
const BEDROCK_KEY: &[&str] = &["AWS_BEARER_TOKEN_BEDROCK"];
const COHERE: &str = "https://api.cohere.com";
const COHERE_KEY: &[&str] = &["COHERE_API_KEY", "CO_API_KEY"];
const GEMINI: &str = "https://generativelanguage.googleapis.com/v1beta";
const OLLAMA: &str = "http://localhost:11434";
const VERTEX_BASE: &[&str] = &["VERTEXAI_API_BASE", "VERTEX_API_BASE"];
const VOYAGE_KEY: &[&str] = &["VOYAGE_API_KEY", "VOYAGE_AI_API_KEY", "VOYAGE_AI_TOKEN"];

/// Names and variables are those of LiteLLM, so that a file and an environment need no change.
#[rustfmt::skip]
static PROVIDERS: [Provider; 51] = [
    hosted("openai", OPENAI, OPENAI_BASE, OPENAI_KEY),
    hosted("text-completion-openai", OPENAI, OPENAI_BASE, OPENAI_KEY),
    hosted("cerebras", "https://api.cerebras.ai/v1", &["CEREBRAS_API_BASE"], &["CEREBRAS_API_KEY"]),
    hosted("codestral", "https://codestral.mistral.ai/v1", &["CODESTRAL_API_BASE"], &["CODESTRAL_API_KEY"]),
    hosted("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", &["DASHSCOPE_API_BASE"], &["DASHSCOPE_API_KEY"]),
    hosted("deepinfra", "https://api.deepinfra.com/v1/openai", &["DEEPINFRA_API_BASE"], &["DEEPINFRA_API_KEY"]),
    hosted("deepseek", "https://api.deepseek.com/v1", &["DEEPSEEK_API_BASE"], &["DEEPSEEK_API_KEY"]),
    hosted("fireworks_ai", "https://api.fireworks.ai/inference/v1", &["FIREWORKS_API_BASE"], &["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY", "FIREWORKSAI_API_KEY", "FIREWORKS_AI_TOKEN"]),
    hosted("friendliai", "https://api.friendli.ai/serverless/v1", &["FRIENDLI_API_BASE"], &["FRIENDLIAI_API_KEY", "FRIENDLI_TOKEN"]),
    hosted("groq", "https://api.groq.com/openai/v1", &["GROQ_API_BASE"], &["GROQ_API_KEY"]),
    hosted("jina_ai", "https://api.jina.ai/v1", &["JINA_AI_API_BASE"], &["JINA_AI_API_KEY", "JINA_AI_TOKEN"]),
    hosted("meta_llama", "https://api.llama.com/compat/v1", &["LLAMA_API_BASE"], &["LLAMA_API_KEY"]),
    hosted("mistral", "https://api.mistral.ai/v1", &["MISTRAL_API_BASE"], &["MISTRAL_API_KEY"]),
    hosted("moonshot", "https://api.moonshot.ai/v1", &["MOONSHOT_API_BASE"], &["MOONSHOT_API_KEY"]),
    hosted("nvidia_nim", "https://integrate.api.nvidia.com/v1", &["NVIDIA_NIM_API_BASE"], &["NVIDIA_NIM_API_KEY"]),
    hosted("openrouter", "https://openrouter.ai/api/v1", &["OPENROUTER_API_BASE"], &["OPENROUTER_API_KEY", "OR_API_KEY"]),
    hosted("perplexity", "https://api.perplexity.ai", &["PERPLEXITY_API_BASE"], &["PERPLEXITYAI_API_KEY", "PERPLEXITY_API_KEY"]),
    hosted("sambanova", "https://api.sambanova.ai/v1", &["SAMBANOVA_API_BASE"], &["SAMBANOVA_API_KEY"]),
    hosted("together_ai", "https://api.together.xyz/v1", &["TOGETHER_AI_API_BASE"], &["TOGETHER_API_KEY", "TOGETHER_AI_API_KEY", "TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"]),
    hosted("volcengine", "https://ark.cn-beijing.volces.com/api/v3", &["VOLCENGINE_API_BASE"], &["VOLCENGINE_API_KEY"]),
    hosted("xai", "https://api.x.ai/v1", &["XAI_API_BASE"], &["XAI_API_KEY"]),
    hosted("baseten", "https://inference.baseten.co/v1", &["BASETEN_API_BASE"], &["BASETEN_API_KEY"]),
    hosted("featherless_ai", "https://api.featherless.ai/v1", &["FEATHERLESS_API_BASE"], &["FEATHERLESS_AI_API_KEY", "FEATHERLESS_API_KEY"]),
    hosted("huggingface", "https://router.huggingface.co/v1", &["HF_API_BASE"], &["HF_TOKEN", "HUGGINGFACE_API_KEY"]),
    hosted("hyperbolic", "https://api.hyperbolic.xyz/v1", &["HYPERBOLIC_API_BASE"], &["HYPERBOLIC_API_KEY"]),
    hosted("lambda_ai", "https://api.lambda.ai/v1", &["LAMBDA_API_BASE"], &["LAMBDA_API_KEY"]),
    hosted("nebius", "https://api.studio.nebius.ai/v1", &["NEBIUS_API_BASE"], &["NEBIUS_API_KEY"]),
    hosted("novita", "https://api.novita.ai/v3/openai", &["NOVITA_API_BASE"], &["NOVITA_API_KEY"]),
    hosted("vercel_ai_gateway", "https://ai-gateway.vercel.sh/v1", &["VERCEL_AI_GATEWAY_API_BASE"], &["VERCEL_AI_GATEWAY_API_KEY", "VERCEL_OIDC_TOKEN"]),
    hosted("zai", "https://api.z.ai/api/paas/v4", &["ZAI_API_BASE"], &["ZAI_API_KEY"]),
    own("custom_openai", None, OPENAI_BASE, OPENAI_KEY),
    own("hosted_vllm", None, &["HOSTED_VLLM_API_BASE"], &["HOSTED_VLLM_API_KEY"]),
    own("litellm_proxy", None, &["LITELLM_PROXY_API_BASE"], &["LITELLM_PROXY_API_KEY"]),
    own("llamafile", Some("http://127.0.0.1:8080/v1"), &["LLAMAFILE_API_BASE"], &["LLAMAFILE_API_KEY"]),
    own("lm_studio", None, &["LM_STUDIO_API_BASE"], &["LM_STUDIO_API_KEY"]),
    own("openai_like", None, &["OPENAI_LIKE_API_BASE"], &["OPENAI_LIKE_API_KEY"]),
    own("vllm", None, &["VLLM_API_BASE"], &["VLLM_API_KEY"]),
    hosted("anthropic", "https://api.anthropic.com/v1", ANTHROPIC_BASE, &["ANTHROPIC_API_KEY"]).of(Kind::Anthropic),
    own("azure", None, &["AZURE_API_BASE"], AZURE_KEY).of(Kind::Azure),
    own("azure_ai", None, &["AZURE_AI_API_BASE"], &["AZURE_AI_API_KEY"]).of(Kind::Azure),
    own("azure_text", None, &["AZURE_API_BASE"], AZURE_KEY).of(Kind::Azure),
    own("bedrock", None, BEDROCK_BASE, BEDROCK_KEY).of(Kind::Bedrock),
    own("bedrock_converse", None, BEDROCK_BASE, BEDROCK_KEY).of(Kind::Bedrock),
    hosted("cohere", COHERE, &["COHERE_API_BASE"], COHERE_KEY).of(Kind::Other),
    hosted("cohere_chat", COHERE, &["COHERE_API_BASE"], COHERE_KEY).of(Kind::Other),
    hosted("gemini", GEMINI, &["GEMINI_API_BASE"], &["GOOGLE_API_KEY", "GEMINI_API_KEY"]).of(Kind::Gemini),
    own("ollama", Some(OLLAMA), &["OLLAMA_API_BASE"], &["OLLAMA_API_KEY"]).of(Kind::Other),
    own("ollama_chat", Some(OLLAMA), &["OLLAMA_API_BASE"], &["OLLAMA_API_KEY"]).of(Kind::Other),
    own("vertex_ai", None, VERTEX_BASE, &[]).of(Kind::Vertex),
    own("vertex_ai_beta", None, VERTEX_BASE, &[]).of(Kind::Vertex),
    hosted("voyage", "https://api.voyageai.com/v1", &["VOYAGE_API_BASE"], VOYAGE_KEY).of(Kind::Other),
];

/// Providers that LiteLLM translates for, and we do not yet.
const FOREIGN: &[&str] = &[
    "ai21",
    "ai21_chat",
    "aleph_alpha",
    "anthropic_text",
    "assemblyai",
    "auto_router",
    "aws_polly",
    "bytez",
    "clarifai",
    "cloudflare",
    "databricks",
    "deepgram",
    "elevenlabs",
    "gigachat",
    "github",
    "github_copilot",
    "infinity",
    "nlp_cloud",
    "oci",
    "palm",
    "petals",
    "predibase",
    "recraft",
    "replicate",
    "sagemaker",
    "sagemaker_chat",
    "snowflake",
    "stability",
    "topaz",
    "triton",
    "watsonx",
    "watsonx_text",
];

/// Splits `openai/gpt-4o` into the provider and its name of the model. A model that names no
/// provider is OpenAI's, unless `custom` names one.
pub(crate) fn split<'a>(
    model: &'a str,
    custom: Option<&str>,
) -> Result<(&'static Provider, &'a str), String> {
    let (prefix, rest) = match model.split_once('/') {
        Some((prefix, rest)) => (Some(prefix), rest),
        None => (None, model),
    };
    let Some(provider) = custom.or(prefix) else {
        return Ok((&PROVIDERS[0], model));
    };
    let rest = if prefix == Some(provider) {
        rest
    } else {
        model
    };
    if rest.is_empty() {
        return Err(format!("{} names no model", name(model)));
    }
    match PROVIDERS.iter().find(|known| known.name == provider) {
        Some(known) => Ok((known, rest)),
        None => Err(unknown(provider, rest, custom.is_some())),
    }
}

fn unknown(provider: &str, rest: &str, custom: bool) -> String {
    let told = name(provider);
    if FOREIGN.contains(&provider) {
        return format!(
            "provider {told} is not supported yet; use an OpenAI-compatible `api_base` with `openai/…`"
        );
    }
    let names = PROVIDERS.iter().map(|known| known.name);
    let near = near(provider, names.chain(FOREIGN.iter().copied()));
    let meant = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    if custom {
        return format!("unknown provider {told}; {meant}an OpenAI-compatible one is `openai`");
    }
    let whole = name(&format!("openai/{provider}/{rest}"));
    format!("unknown provider {told}; {meant}for an OpenAI-compatible `api_base` write {whole}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(model: &str, custom: Option<&str>) -> Result<(&'static str, String), String> {
        split(model, custom).map(|(provider, model)| (provider.name, model.to_owned()))
    }

    #[test]
    fn the_prefix_names_the_provider() {
        assert_eq!(told("groq/llama", None), Ok(("groq", "llama".into())));
        assert_eq!(told("gpt-4o", None), Ok(("openai", "gpt-4o".into())));
        assert_eq!(
            told("openrouter/openai/gpt-4o", None),
            Ok(("openrouter", "openai/gpt-4o".into()))
        );
    }

    #[test]
    fn a_custom_provider_beats_the_prefix() {
        let custom = Some("hosted_vllm");
        assert_eq!(
            told("meta/llama", custom),
            Ok(("hosted_vllm", "meta/llama".into()))
        );
        assert_eq!(
            told("hosted_vllm/meta/llama", custom),
            Ok(("hosted_vllm", "meta/llama".into()))
        );
    }

    #[test]
    fn other_prefixes_say_what_to_do() {
        let told = |model| told(model, None).expect_err("is not supported");
        assert!(told("replicate/llama").contains("not supported yet"));
        assert!(told("opnai/gpt-4o").contains("did you mean `openai`?"));
        assert!(told("meta-llama/Llama-3").contains("write `openai/meta-llama/Llama-3`"));
        assert!(told("openai/").contains("names no model"));
    }

    #[test]
    fn no_name_stands_twice() {
        let mut names: Vec<_> = PROVIDERS
            .iter()
            .map(|p| p.name)
            .chain(FOREIGN.iter().copied())
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}

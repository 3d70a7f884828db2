//! Who speaks Responses.

use http::Uri;
use ziggurat_core::{Deployment, Mode};

/// Providers that speak OpenAI's dialect, and Responses with it.
const PROVIDERS: &[&str] = &["azure", "azure_ai", "openai", "openrouter", "xai"];

/// Whose `/responses` it is that stands behind any other address of provider `openai`, if somebody's.
const HOSTS: &[&str] = &[".openai.com", ".azure.com", ".x.ai"];

/// Whether a deployment is asked in Responses; it is asked in chat otherwise.
///
/// A mode of `responses` says so, and the parameter `use_chat_completions_api` says the opposite.
/// Behind `openai` with an address of its own there may be any server that follows OpenAI's chat,
/// and few of them know more.
pub(crate) fn is_native(deployment: &Deployment) -> bool {
    let param = deployment.param("use_chat_completions_api");
    if param.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return false;
    }
    if deployment.mode() == Some(Mode::Responses) {
        return true;
    }
    let provider = deployment.provider();
    match deployment.base_url() {
        Some(base) if provider == "openai" => is_known(base),
        _ => PROVIDERS.contains(&provider),
    }
}

fn is_known(base: &str) -> bool {
    let base = base.trim().parse::<Uri>().ok();
    let host = base.as_ref().and_then(Uri::host);
    host.is_some_and(|host| HOSTS.iter().any(|known| host.ends_with(known)))
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Secret;

    use super::*;

    #[test]
    fn who_is_known_to_speak_it_is_asked_in_it() {
        let of = |provider: &str, base: &str| {
            let deployment = Deployment::new("a", "gpt", "m").with_provider(provider);
            match base {
                "" => deployment,
                base => deployment.with_base_url(base),
            }
        };
        for (provider, base, native) in [
            ("openai", "", true),
            ("openai", "https://eu.api.openai.com/v1", true),
            ("openai", "https://x.openai.azure.com/openai/v1", true),
            ("openai", "http://10.0.0.7:8000/v1", false),
            ("openai", "https://api.openai.com.evil.example/v1", false),
            ("azure", "https://mine.example/openai/v1", true),
            ("xai", "", true),
            ("groq", "", false),
            ("hosted_vllm", "http://10.0.0.7:8000/v1", false),
        ] {
            let deployment = of(provider, base);
            assert_eq!(is_native(&deployment), native, "{provider} {base}");
            let only = deployment.with_mode(Mode::Responses);
            assert!(is_native(&only));
            let chats = only.with_param("use_chat_completions_api", Secret::new("True"));
            assert!(!is_native(&chats));
        }
    }
}

//! Claude in Azure AI Foundry: Anthropic's dialect under another address, with another credential.

use bytes::Bytes;
use http::HeaderMap;
use ziggurat_core::{Deployment, Error, Operation};

use super::{authorization, token};
use crate::{
    dialect::{Call, Decoder, Dialect, Outgoing, anthropic::Anthropic},
    tokens::TokenSource,
};

/// What of a resource speaks Anthropic's dialect.
const SURFACE: &str = "/anthropic";

/// Whether a deployment is one.
pub(crate) fn is_claude(deployment: &Deployment) -> bool {
    deployment.provider() == "azure_ai"
        && (deployment.model().starts_with("claude")
            || deployment.base_url().is_some_and(is_surface))
}

fn is_surface(base: &str) -> bool {
    let base = base.trim().trim_end_matches('/');
    let ends = [SURFACE, "/anthropic/v1", "/anthropic/v1/messages"];
    ends.iter().any(|end| base.ends_with(end))
}

/// The dialect.
#[derive(Debug)]
pub(crate) struct AzureClaude;

/// The same request under the surface, if the base URL does not say it.
fn placed(call: &Call<'_>, mut outgoing: Outgoing) -> Outgoing {
    let base = call.deployment.base_url().unwrap_or_default();
    if !is_surface(base) {
        outgoing.path.insert_str(0, SURFACE);
    }
    outgoing
}

impl Dialect for AzureClaude {
    fn base(&self, _: &Deployment) -> Option<String> {
        None
    }

    fn authorization(&self, deployment: &Deployment) -> Result<HeaderMap, Error> {
        let base = deployment.base_url().unwrap_or_default();
        let mut headers = authorization(deployment, base)?;
        let (name, version) = crate::dialect::anthropic::VERSION;
        headers.insert(name, version);
        Ok(headers)
    }

    fn token(&self, deployment: &Deployment) -> Result<Option<TokenSource>, Error> {
        token(deployment)
    }

    fn request(&self, call: &Call<'_>) -> Result<Outgoing, Error> {
        Anthropic
            .request(call)
            .map(|outgoing| placed(call, outgoing))
    }

    fn speaks(&self, operation: Operation, model: &str) -> bool {
        Anthropic.speaks(operation, model)
    }

    fn native(&self, call: &Call<'_>, body: Bytes) -> Result<Outgoing, Error> {
        Anthropic
            .native(call, body)
            .map(|outgoing| placed(call, outgoing))
    }

    fn count(&self, call: &Call<'_>) -> Result<Outgoing, Error> {
        Anthropic.count(call).map(|outgoing| placed(call, outgoing))
    }

    fn counted(&self, body: &[u8]) -> Option<u64> {
        Anthropic.counted(body)
    }

    fn answer(&self, call: &Call<'_>, headers: &HeaderMap, body: &[u8]) -> Result<Bytes, Error> {
        Anthropic.answer(call, headers, body)
    }

    fn decoder(&self, call: &Call<'_>) -> Box<dyn Decoder> {
        Anthropic.decoder(call)
    }

    fn lists_models(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use ziggurat_core::Secret;

    use super::*;
    use crate::dialect::{self, trial::Trial};

    fn claude(base: &str) -> Deployment {
        Deployment::new("a", "g", "claude-sonnet-4-5")
            .with_provider("azure_ai")
            .with_base_url(base)
            .with_credential(Secret::new("k"))
    }

    #[test]
    fn a_claude_of_foundry_is_asked_in_anthropic_s_words_wherever_its_base_ends() {
        let bare = "https://x.services.ai.azure.com";
        for end in [
            "",
            "/",
            "/anthropic",
            "/anthropic/",
            "/anthropic/v1",
            "/anthropic/v1/messages",
        ] {
            let base = format!("{bare}{end}");
            let deployment = claude(&base);
            let dialect = dialect::of_deployment(&deployment).expect("is its own");
            let body = json!({"messages": [{"role": "user", "content": "hi"}]});
            let trial = Trial::chat(dialect, body).with(|_| deployment.clone());
            let sent = trial.outgoing().expect("can be asked");
            let address = format!("{}{}", base.trim_end_matches('/'), sent.path);
            assert_eq!(address, format!("{bare}/anthropic/v1/messages"), "{end}");
            let body: Value = serde_json::from_slice(&sent.body).expect("is JSON");
            assert_eq!(body["messages"][0]["content"][0]["text"], "hi");
            let headers = dialect.authorization(&deployment).expect("can be sent");
            assert_eq!(headers["api-key"], "k");
            assert_eq!(headers["anthropic-version"], "2023-06-01");
        }
    }

    #[test]
    fn other_models_of_azure_are_asked_in_openai_s() {
        let other = Deployment::new("a", "g", "gpt-4o").with_provider("azure_ai");
        assert!(dialect::of_deployment(&other).is_none());
        let other = claude("https://x").with_provider("azure");
        assert!(dialect::of_deployment(&other).is_none());
        let wildcard = Deployment::new("a", "g", "*")
            .with_provider("azure_ai")
            .with_base_url("https://x.services.ai.azure.com/anthropic");
        assert!(dialect::of_deployment(&wildcard).is_some());
    }
}

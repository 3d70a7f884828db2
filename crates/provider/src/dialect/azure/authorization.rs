//! Who asks.

use http::{HeaderMap, HeaderName};
use ziggurat_core::{Deployment, Error};

use super::place;
use crate::dialect::credential::{bearer, bearer_of, header};

/// The header with the deployment's key, or with its token of Entra: `azure_ad_token`.
///
/// # Errors
///
/// [`ErrorKind::Internal`](ziggurat_core::ErrorKind::Internal) if no header may have it.
pub(crate) fn authorization(deployment: &Deployment, base: &str) -> Result<HeaderMap, Error> {
    let takes_key = deployment.provider() != "azure_ai" || place::is_azure(base);
    match (deployment.credential(), deployment.param("azure_ad_token")) {
        (Some(key), _) if takes_key => {
            let name = HeaderName::from_static("api-key");
            header(deployment, name, key.expose().trim())
        }
        (None, Some(token)) => bearer_of(deployment, token),
        _ => bearer(deployment),
    }
}

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;
    use ziggurat_core::Secret;

    use super::*;

    #[test]
    fn a_key_and_a_token_have_their_own_headers() {
        let of = |provider: &str, base: &str| {
            let deployment = Deployment::new("a", "gpt", "m").with_provider(provider);
            let key = deployment.clone().with_credential(Secret::new("k\n"));
            let token = deployment.with_param("azure_ad_token", Secret::new("t"));
            [key, token].map(|deployment| authorization(&deployment, base).expect("can be sent"))
        };
        let [key, token] = of("azure", "https://gateway.example");
        assert_eq!(key["api-key"], "k");
        assert!(key["api-key"].is_sensitive());
        assert_eq!(token[AUTHORIZATION], "Bearer t");
        let [key, _] = of("azure_ai", "https://x.services.ai.azure.com/models");
        assert_eq!(key["api-key"], "k");
        let [key, _] = of("azure_ai", "https://x.eastus.models.ai.azure.com");
        assert_eq!(key[AUTHORIZATION], "Bearer k");
    }
}

//! The parameters that only some providers know, and the variables that may hold them.

use crate::provider::{Kind, Provider};

/// A parameter, and the variables that may hold it; the first that is set counts.
pub(crate) type Part = (&'static str, &'static [&'static str]);

/// What proves together who asks, where a deployment has no `api_key`.
pub(crate) type Way = &'static [Part];

const AZURE: [Way; 2] = [
    &[("azure_ad_token", &["AZURE_AD_TOKEN"])],
    &[
        ("tenant_id", &["AZURE_TENANT_ID"]),
        ("client_id", &["AZURE_CLIENT_ID"]),
        ("client_secret", &["AZURE_CLIENT_SECRET"]),
    ],
];

const BEDROCK: [Way; 1] = [&[
    ("aws_access_key_id", &["AWS_ACCESS_KEY_ID"]),
    ("aws_secret_access_key", &["AWS_SECRET_ACCESS_KEY"]),
]];

/// What goes with a key of AWS that is temporary.
pub(crate) const SESSION: Part = ("aws_session_token", &["AWS_SESSION_TOKEN"]);

const VERTEX: [Way; 1] = [&[(
    "vertex_credentials",
    &[
        "VERTEXAI_CREDENTIALS",
        "VERTEX_CREDENTIALS",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ],
)]];

/// Every parameter that has an effect for some providers only.
pub(crate) const KEYS: [&str; 14] = [
    "api_version",
    "aws_access_key_id",
    "aws_bedrock_runtime_endpoint",
    "aws_secret_access_key",
    "aws_session_token",
    "azure_ad_token",
    "azure_authority_host",
    "azure_scope",
    "client_id",
    "client_secret",
    "model_id",
    "tenant_id",
    "vertex_credentials",
    "vertex_project",
];

impl Provider {
    /// How a deployment can prove who asks.
    pub(crate) fn ways(&self) -> &'static [Way] {
        match self.kind {
            Kind::Azure => &AZURE,
            Kind::Bedrock => &BEDROCK,
            Kind::Vertex => &VERTEX,
            _ => &[],
        }
    }

    /// What is no credential.
    pub(crate) fn others(&self) -> &'static [Part] {
        const ENTRA: [Part; 2] = [
            ("azure_authority_host", &["AZURE_AUTHORITY_HOST"]),
            ("azure_scope", &["AZURE_SCOPE"]),
        ];
        match self.kind {
            Kind::Azure if self.name == "azure_ai" => &[("api_version", &[]), ENTRA[0], ENTRA[1]],
            Kind::Azure => &[("api_version", &["AZURE_API_VERSION"]), ENTRA[0], ENTRA[1]],
            Kind::Bedrock => &[("model_id", &[])],
            Kind::Vertex => &[("vertex_project", &["VERTEXAI_PROJECT", "VERTEX_PROJECT"])],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::split;

    #[test]
    fn every_parameter_is_looked_at_by_some_provider() {
        let mut names: Vec<_> = ["azure/m", "bedrock/m", "vertex_ai/m"]
            .into_iter()
            .flat_map(|model| {
                let (provider, _) = split(model, None).expect("is known");
                let parts = provider.ways().iter().copied().flatten();
                parts.chain(provider.others()).map(|(name, _)| *name)
            })
            .chain(["aws_bedrock_runtime_endpoint", SESSION.0])
            .collect();
        names.sort_unstable();
        assert_eq!(names, KEYS);
    }
}

//! Where the operations of a resource are.

use ziggurat_core::{Deployment, Operation};

/// What LiteLLM asks for where nothing is configured.
const VERSION: &str = "2025-02-01-preview";
/// The version of Foundry's own surface.
const FOUNDRY_VERSION: &str = "2024-05-01-preview";
/// The first version of Azure OpenAI that knows `stream_options`.
const FIRST_WITH_USAGE: &str = "2024-09-01";
/// The first version of Azure OpenAI that serves Responses.
const FIRST_WITH_RESPONSES: &str = "2025-03-01";

/// How the addresses of a resource are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surface {
    /// Each deployment has a path of its own.
    Deployments,
    /// As OpenAI's own; the model is the name of the deployment.
    V1,
    /// Foundry's, for models of every maker.
    Models,
    /// Right behind the base.
    Plain,
}

/// Where a resource is, and how it is addressed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Without the parts of the surface.
    root: String,
    surface: Surface,
    /// All of the query.
    query: String,
}

impl Place {
    /// The place of a deployment under its base URL; `None` if it is not one of Azure's.
    pub(crate) fn of(deployment: &Deployment, base: &str) -> Option<Self> {
        if !super::is(deployment.provider()) {
            return None;
        }
        let (path, query) = base.trim().split_once('?').unwrap_or((base.trim(), ""));
        let path = path.trim_end_matches('/');
        let version = deployment.param("api_version");
        let surface = surface(deployment.provider(), path, version);
        let root = match surface {
            Surface::V1 => without(path, &["/models", "/openai/v1", "/openai"]),
            Surface::Deployments => without(path, &["/openai"]),
            Surface::Models => without(path, &["/models"]),
            Surface::Plain => path,
        };
        let version = match (surface, version) {
            (Surface::V1, Some(version @ "preview")) => Some(version),
            (Surface::V1, _) => None,
            (_, Some(version)) => Some(version),
            (Surface::Deployments, None) => Some(VERSION),
            (Surface::Models, None) => Some(FOUNDRY_VERSION),
            (Surface::Plain, None) if path.contains(DEPLOYMENTS) => Some(VERSION),
            (Surface::Plain, None) => None,
        };
        let mut query = query.to_owned();
        if let Some(version) = version
            && version_in(&query).is_none()
        {
            let and = if query.is_empty() { "" } else { "&" };
            query.push_str(&format!("{and}api-version={}", encoded(version)));
        }
        Some(Self {
            root: root.trim_end_matches('/').to_owned(),
            surface,
            query,
        })
    }

    /// Whether the address depends on the model.
    pub(crate) fn is_by_model(&self) -> bool {
        self.surface == Surface::Deployments
    }

    /// The base of an operation of a model: what comes before the path of the operation.
    pub(crate) fn base(&self, operation: Operation, model: &str) -> String {
        let path = match self.surface {
            // Answers are kept, and connections made, by the resource.
            Surface::Deployments
                if matches!(operation, Operation::Responses | Operation::Realtime) =>
            {
                "/openai".to_owned()
            }
            Surface::Deployments => format!("{DEPLOYMENTS}{}", encoded(model)),
            Surface::V1 => "/openai/v1".to_owned(),
            Surface::Models => "/models".to_owned(),
            Surface::Plain => String::new(),
        };
        self.with_query(&path)
    }

    /// The base of the list of models.
    pub(crate) fn models_base(&self) -> String {
        match self.surface {
            Surface::Deployments => self.with_query("/openai"),
            Surface::V1 => self.with_query("/openai/v1"),
            Surface::Models => format!("{}/openai/v1", self.root),
            Surface::Plain => self.with_query(""),
        }
    }

    /// The base of what is kept by the resource, whatever the model: files, batches, answers, ….
    pub(crate) fn kept_base(&self) -> String {
        match self.root.split_once(DEPLOYMENTS) {
            Some((resource, _)) => {
                let mark = if self.query.is_empty() { "" } else { "?" };
                format!("{resource}/openai{mark}{}", self.query)
            }
            None => self.models_base(),
        }
    }

    /// The base of all paths.
    pub(crate) fn root_base(&self) -> String {
        self.with_query("")
    }

    /// Whether it can be asked for usage at the end of a stream. Old versions refuse to be.
    pub(crate) fn knows_usage(&self) -> bool {
        let version = version_in(&self.query).unwrap_or_default();
        let is_old = version.starts_with("20") && version < FIRST_WITH_USAGE;
        self.surface != Surface::Deployments || !is_old
    }

    /// Whether it serves Responses.
    pub(crate) fn knows_responses(&self) -> bool {
        let version = version_in(&self.query).unwrap_or_default();
        match self.surface {
            Surface::V1 => true,
            Surface::Deployments => version >= FIRST_WITH_RESPONSES,
            Surface::Models | Surface::Plain => false,
        }
    }

    /// Whether it makes connections.
    pub(crate) fn knows_realtime(&self) -> bool {
        matches!(self.surface, Surface::V1 | Surface::Deployments)
    }

    fn with_query(&self, path: &str) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{}{path}{mark}{}", self.root, self.query)
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place")
            .field("surface", &self.surface)
            .finish_non_exhaustive()
    }
}

const DEPLOYMENTS: &str = "/openai/deployments/";

fn surface(provider: &str, path: &str, version: Option<&str>) -> Surface {
    let is_v1 =
        path.ends_with("/openai/v1") || matches!(version, Some("v1" | "preview" | "latest"));
    let is_foundry = host(path).ends_with(".services.ai.azure.com");
    let is_elsewhere = provider == "azure_ai" && !is_azure(path);
    if path.contains(DEPLOYMENTS) || is_elsewhere {
        Surface::Plain
    } else if is_v1 {
        Surface::V1
    } else if provider == "azure_ai" && is_foundry {
        Surface::Models
    } else {
        Surface::Deployments
    }
}

/// Whether a URL is one of Azure's resources, which take their key in `api-key`. A model that is
/// hosted for one customer does not.
pub(super) fn is_azure(url: &str) -> bool {
    let resources = [
        ".openai.azure.com",
        ".services.ai.azure.com",
        ".cognitiveservices.azure.com",
    ];
    resources.iter().any(|suffix| host(url).ends_with(suffix))
}

fn host(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.split(':').next().unwrap_or_default()
}

fn without<'a>(path: &'a str, endings: &[&str]) -> &'a str {
    let mut endings = endings.iter();
    endings
        .find_map(|ending| path.strip_suffix(ending))
        .unwrap_or(path)
}

fn version_in(query: &str) -> Option<&str> {
    let mut pairs = query.split('&');
    pairs.find_map(|pair| pair.strip_prefix("api-version="))
}

/// A text as a segment of a path or a value of a query (RFC 3986).
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use ziggurat_core::Secret;

    use super::*;

    const CHAT: Operation = Operation::ChatCompletions;

    fn place(provider: &str, base: &str, version: Option<&str>) -> Place {
        let mut deployment = Deployment::new("a", "gpt", "m").with_provider(provider);
        if let Some(version) = version {
            deployment = deployment.with_param("api_version", Secret::new(version));
        }
        Place::of(&deployment, base).expect("is one of Azure's")
    }

    #[test]
    fn every_form_of_a_base_gives_its_address() {
        for (provider, base, version, expected) in [
            (
                "azure",
                "https://x.openai.azure.com/",
                Some("2024-10-21"),
                "https://x.openai.azure.com/openai/deployments/gpt%204o%2Fa?api-version=2024-10-21",
            ),
            (
                "azure_text",
                "https://x.openai.azure.com/openai",
                None,
                "https://x.openai.azure.com/openai/deployments/gpt%204o%2Fa?api-version=2025-02-01-preview",
            ),
            (
                "azure",
                "https://gateway.example/x?api-version=2024-02-01&k=v",
                Some("2024-10-21"),
                "https://gateway.example/x/openai/deployments/gpt%204o%2Fa?api-version=2024-02-01&k=v",
            ),
            (
                "azure",
                "https://x.openai.azure.com/openai/deployments/mine/",
                None,
                "https://x.openai.azure.com/openai/deployments/mine?api-version=2025-02-01-preview",
            ),
            (
                "azure",
                "https://x.openai.azure.com/openai/v1/",
                Some("2024-10-21"),
                "https://x.openai.azure.com/openai/v1",
            ),
            (
                "azure",
                "https://x.openai.azure.com",
                Some("preview"),
                "https://x.openai.azure.com/openai/v1?api-version=preview",
            ),
            (
                "azure",
                "https://x.openai.azure.com",
                Some("v1"),
                "https://x.openai.azure.com/openai/v1",
            ),
            (
                "azure_ai",
                "https://x.services.ai.azure.com",
                None,
                "https://x.services.ai.azure.com/models?api-version=2024-05-01-preview",
            ),
            (
                "azure_ai",
                "https://x.services.ai.azure.com/models",
                Some("v1"),
                "https://x.services.ai.azure.com/openai/v1",
            ),
            (
                "azure_ai",
                "https://x.openai.azure.com",
                Some("2024-10-21"),
                "https://x.openai.azure.com/openai/deployments/gpt%204o%2Fa?api-version=2024-10-21",
            ),
            (
                "azure_ai",
                "https://x.eastus.models.ai.azure.com/v1",
                None,
                "https://x.eastus.models.ai.azure.com/v1",
            ),
        ] {
            let place = place(provider, base, version);
            assert_eq!(place.base(CHAT, "gpt 4o/a"), expected, "{base} {version:?}");
        }
    }

    #[test]
    fn what_belongs_to_the_resource_is_not_under_a_deployment() {
        let place = place(
            "azure",
            "https://x.openai.azure.com",
            Some("2025-04-01-preview"),
        );
        let expected = "https://x.openai.azure.com/openai?api-version=2025-04-01-preview";
        assert_eq!(place.base(Operation::Responses, "m"), expected);
        assert_eq!(place.models_base(), expected);
        assert!(place.is_by_model());
    }

    #[test]
    fn old_versions_are_not_asked_for_usage() {
        let knows = |provider, base, version| place(provider, base, Some(version)).knows_usage();
        let base = "https://x.openai.azure.com";
        assert!(!knows("azure", base, "2024-02-01"));
        assert!(!knows("azure", base, "2023-07-01-preview"));
        assert!(knows("azure", base, "2024-09-01-preview"));
        assert!(knows("azure", base, "preview"));
        let foundry = "https://x.services.ai.azure.com";
        assert!(knows("azure_ai", foundry, "2024-05-01-preview"));
    }

    #[test]
    fn others_have_no_such_place() {
        let deployment = Deployment::new("a", "gpt", "m");
        assert_eq!(Place::of(&deployment, "https://x.openai.azure.com"), None);
    }

    #[test]
    fn responses_are_served_by_new_surfaces() {
        let knows = |provider, base, version| place(provider, base, version).knows_responses();
        let base = "https://x.openai.azure.com";
        assert!(knows("azure", base, Some("2025-03-01-preview")));
        assert!(knows("azure", base, Some("v1")));
        assert!(knows("azure", "https://x.openai.azure.com/openai/v1", None));
        assert!(!knows("azure", base, Some("2024-10-21")));
        assert!(!knows("azure", base, None));
        let models = "https://x.services.ai.azure.com/models";
        assert!(!knows("azure_ai", models, None));
    }
}

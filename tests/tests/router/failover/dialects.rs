//! What the providers speak.

/// How a request is declined for its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declines {
    /// With an error that has a code for it.
    WithACode,
    /// With an error whose message says so.
    InWords,
    /// With an answer that ends with the reason.
    InAnswer,
    /// With an error like any other.
    LikeAnything,
}

/// A wire format, and how a deployment is configured for it.
#[derive(Debug)]
pub(crate) struct Dialect {
    pub(crate) name: &'static str,
    /// What comes before the name of the model.
    prefix: &'static str,
    /// What comes behind the URL of the provider.
    path: &'static str,
    params: &'static str,
    /// What every path has on which it is asked.
    pub(crate) asks: &'static str,
    mode: &'static str,
    /// How the trail tells of a 503 of the first provider.
    pub(crate) down: &'static str,
    /// Whether a stream has an event after the one that tells its end.
    pub(crate) has_last: bool,
    /// Whether an error has a code of OpenAI's.
    pub(crate) has_codes: bool,
    /// How a request is declined for its content.
    pub(crate) declines: Declines,
}

pub(crate) static OPENAI: Dialect = PLAIN;
pub(crate) static OPENAI_RESPONSES: Dialect = Dialect {
    name: "openai (responses)",
    mode: ", mode: responses",
    has_last: false,
    asks: "/v1/responses",
    ..PLAIN
};
pub(crate) static AZURE: Dialect = Dialect {
    name: "azure",
    prefix: "azure/",
    path: "",
    params: ", api_version: '2024-10-21'",
    has_codes: false,
    asks: "/openai/deployments/model-",
    ..PLAIN
};
pub(crate) static AZURE_V1: Dialect = Dialect {
    name: "azure (responses)",
    prefix: "azure/",
    path: "/openai/v1",
    has_last: false,
    asks: "/openai/v1/responses",
    ..PLAIN
};
pub(crate) static ANTHROPIC: Dialect = Dialect {
    name: "anthropic",
    prefix: "anthropic/",
    path: "",
    down: "a=overloaded",
    has_codes: false,
    declines: Declines::InWords,
    asks: "/v1/messages",
    ..PLAIN
};
pub(crate) static GEMINI: Dialect = Dialect {
    name: "gemini",
    prefix: "gemini/",
    path: "/v1beta",
    has_last: false,
    has_codes: false,
    declines: Declines::InAnswer,
    asks: "/v1beta/models/model-",
    ..PLAIN
};
pub(crate) static VERTEX: Dialect = Dialect {
    name: "vertex",
    prefix: "vertex_ai/",
    path: "/v1",
    params: ", vertex_project: p, vertex_location: us-central1",
    has_last: false,
    has_codes: false,
    declines: Declines::InAnswer,
    asks: "/publishers/google/models/model-",
    ..PLAIN
};
pub(crate) static BEDROCK: Dialect = Dialect {
    name: "bedrock",
    prefix: "bedrock/",
    path: "",
    params: ", aws_region_name: us-east-1",
    has_last: false,
    has_codes: false,
    declines: Declines::InAnswer,
    asks: "/model/model-",
    ..PLAIN
};
pub(crate) static COHERE: Dialect = Dialect {
    name: "cohere",
    prefix: "cohere/",
    path: "",
    has_codes: false,
    declines: Declines::InWords,
    asks: "/v2/chat",
    ..PLAIN
};
pub(crate) static OLLAMA: Dialect = Dialect {
    name: "ollama",
    prefix: "ollama/",
    path: "",
    has_last: false,
    declines: Declines::LikeAnything,
    has_codes: false,
    asks: "/api/chat",
    ..PLAIN
};

const PLAIN: Dialect = Dialect {
    name: "openai",
    prefix: "openai/",
    path: "/v1",
    params: "",
    asks: "/v1/",
    mode: "",
    down: "a=unavailable",
    has_last: true,
    has_codes: true,
    declines: Declines::WithACode,
};

impl Dialect {
    /// The entry of the only deployment of a group, at the provider of that name.
    pub(crate) fn deployment(&self, group: &str, provider: &str, info: &str) -> String {
        let Self {
            prefix,
            path,
            params,
            mode,
            ..
        } = self;
        format!(
            "- model_name: {group}
  litellm_params: {{model: {prefix}model-{provider}, api_base: '{{{provider}/}}{path}', api_key: key-{provider}{params}}}
  model_info: {{id: {provider}{info}{mode}}}
"
        )
    }
}

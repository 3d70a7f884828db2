//! Which headers of a provider's answer the client sees.

use http::{HeaderMap, HeaderName};

/// Those that are usual, with the names they get: making a name anew costs an allocation.
static USUAL: [(&str, HeaderName); 13] = [
    (
        "x-amzn-requestid",
        HeaderName::from_static("llm_provider-x-amzn-requestid"),
    ),
    (
        "request-id",
        HeaderName::from_static("llm_provider-request-id"),
    ),
    (
        "x-request-id",
        HeaderName::from_static("llm_provider-x-request-id"),
    ),
    (
        "retry-after",
        HeaderName::from_static("llm_provider-retry-after"),
    ),
    (
        "openai-model",
        HeaderName::from_static("llm_provider-openai-model"),
    ),
    (
        "openai-processing-ms",
        HeaderName::from_static("llm_provider-openai-processing-ms"),
    ),
    (
        "openai-version",
        HeaderName::from_static("llm_provider-openai-version"),
    ),
    (
        "x-ratelimit-limit-requests",
        HeaderName::from_static("llm_provider-x-ratelimit-limit-requests"),
    ),
    (
        "x-ratelimit-limit-tokens",
        HeaderName::from_static("llm_provider-x-ratelimit-limit-tokens"),
    ),
    (
        "x-ratelimit-remaining-requests",
        HeaderName::from_static("llm_provider-x-ratelimit-remaining-requests"),
    ),
    (
        "x-ratelimit-remaining-tokens",
        HeaderName::from_static("llm_provider-x-ratelimit-remaining-tokens"),
    ),
    (
        "x-ratelimit-reset-requests",
        HeaderName::from_static("llm_provider-x-ratelimit-reset-requests"),
    ),
    (
        "x-ratelimit-reset-tokens",
        HeaderName::from_static("llm_provider-x-ratelimit-reset-tokens"),
    ),
];

/// How the names of further limits begin.
const LIMITS: [&str; 2] = ["x-ratelimit-", "anthropic-ratelimit-"];

/// The headers that help a client, under names that tell where they come from: limits, request ids,
/// times. Who the operator is at the provider is none of the client's business.
pub(crate) fn for_client(headers: &HeaderMap) -> HeaderMap {
    let mut out = HeaderMap::new();
    for (name, value) in headers {
        let name = name.as_str();
        if let Some((_, renamed)) = USUAL.iter().find(|(usual, _)| *usual == name) {
            out.insert(renamed, value.clone());
        } else if LIMITS.iter().any(|limits| name.starts_with(limits))
            && let Ok(renamed) = format!("llm_provider-{name}").parse::<HeaderName>()
        {
            out.insert(renamed, value.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn limits_and_ids_are_passed_on_and_nothing_else_is() {
        let headers: HeaderMap = [
            "x-request-id",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-project-tokens",
            "request-id",
            "x-amzn-requestid",
            "x-amzn-errortype",
            "anthropic-ratelimit-requests-limit",
            "anthropic-organization-id",
            "openai-organization",
            "set-cookie",
            "content-length",
            "authorization",
        ]
        .into_iter()
        .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")))
        .collect();
        let out = for_client(&headers);
        let mut names: Vec<_> = out.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "llm_provider-anthropic-ratelimit-requests-limit",
            "llm_provider-request-id",
            "llm_provider-x-amzn-requestid",
            "llm_provider-x-ratelimit-remaining-tokens",
            "llm_provider-x-ratelimit-reset-project-tokens",
            "llm_provider-x-request-id",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn every_usual_name_is_the_provider_s_with_a_prefix() {
        for (usual, renamed) in &USUAL {
            assert_eq!(renamed.as_str(), format!("llm_provider-{usual}"));
        }
    }
}

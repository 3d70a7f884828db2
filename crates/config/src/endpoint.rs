//! Where a deployment lives.

use std::{borrow::Cow, sync::Arc};

use http::Uri;

use crate::{
    environment::Environment,
    place,
    problem::Report,
    provider::{Kind, Provider},
    read::{Found, Section, first},
    source::Source,
    yaml::Pos,
};

/// The base URL, without a slash at its end: given, in the environment, or the provider's own.
/// If there is none, that is reported for the model at `at`.
pub(crate) fn read(
    params: &Section<'_>,
    provider: &Provider,
    place: Option<&Found<Arc<str>>>,
    environment: &Environment<'_>,
    at: Pos,
    report: &mut Report,
) -> Option<(Arc<str>, Source)> {
    let keys: &[&'static str] = match provider.kind {
        Kind::Bedrock => &["api_base", "base_url", "aws_bedrock_runtime_endpoint"],
        _ => &["api_base", "base_url"],
    };
    let given: Vec<_> = keys.iter().map(|key| params.text(key, report)).collect();
    if let Some(found) = first(given, report) {
        if let Err(why) = check(&found.value, provider.kind) {
            report.error(found.at, format!("`{}` {why}", found.path));
            return None;
        }
        let url = normal(&found.value, provider.kind);
        if url.ends_with("/chat/completions") {
            let message = "`api_base` is what stands before `/chat/completions`, which is added";
            report.warning(found.at, message);
        }
        return Some((url, found.source));
    }
    if keys.iter().any(|key| params.field(key).is_some()) {
        return None;
    }
    if let Some(found) = environment.found(provider.base_variables) {
        if let Err(why) = check(&found.value, provider.kind) {
            report.error(
                at,
                format!("the environment variable `{}` {why}", found.path),
            );
            return None;
        }
        return Some((normal(&found.value, provider.kind), found.source));
    }
    if provider.kind.place_key().is_some() {
        let place = place?;
        let url = place::base(provider, &place.value);
        return Some((Arc::from(url), Source::Default));
    }
    if provider.base.is_none() {
        report.error(
            at,
            format!("provider `{}` needs an `api_base`", provider.name),
        );
    }
    Some((Arc::from(provider.base?), Source::Default))
}

/// A base in the form in which the provider is asked. LiteLLM adds versions, and takes what some
/// providers call their address: that of one operation.
fn normal(url: &Arc<str>, kind: Kind) -> Arc<str> {
    let url = trim(url);
    let without = |endings: &[&str]| {
        let mut endings = endings.iter();
        endings.find_map(|ending| url.strip_suffix(ending))
    };
    match kind {
        Kind::Anthropic => {
            let base = without(&["/messages"]).filter(|base| has_version(base));
            let base = base.unwrap_or(&url);
            match has_version(base) {
                true => Arc::from(base),
                false => Arc::from(format!("{base}/v1")),
            }
        }
        Kind::Gemini if is_bare(&url) => Arc::from(format!("{url}/v1beta")),
        Kind::Azure => match url.split_once("/chat/completions") {
            Some((base, rest)) if rest.is_empty() || rest.starts_with('?') => {
                Arc::from(format!("{base}{rest}"))
            }
            _ => url,
        },
        Kind::Other => match without(&["/chat", "/embed", "/embeddings", "/rerank"]) {
            Some(base) if !base.ends_with('/') => Arc::from(base),
            _ => url,
        },
        _ => url,
    }
}

/// Whether its last part is a version.
fn has_version(url: &str) -> bool {
    let last = url.rsplit('/').next().unwrap_or_default();
    let number = last.strip_prefix('v').filter(|_| !is_bare(url));
    number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
}

/// Whether it names a server and nothing on it.
fn is_bare(url: &str) -> bool {
    url.split_once("://")
        .is_some_and(|(_, rest)| !rest.contains('/'))
}

/// Without a slash at its end.
pub(crate) fn trim(url: &Arc<str>) -> Arc<str> {
    match url.strip_suffix('/') {
        Some(_) => Arc::from(url.trim_end_matches('/')),
        None => Arc::clone(url),
    }
}

/// Whether paths can be put behind it, or into it: one of Azure may say its version in a query.
fn check(url: &str, kind: Kind) -> Result<(), &'static str> {
    match url.split_once('?') {
        Some((path, query)) if kind == Kind::Azure && !query.contains('#') => is_base(path),
        _ => is_base(url),
    }
}

/// Whether paths can be put behind it.
pub(crate) fn is_base(url: &str) -> Result<(), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "must be a URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("must be a URL that begins with http:// or https://");
    }
    if url.contains(['?', '#']) {
        return Err("must have nothing after its path");
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = uri.host().unwrap_or_default();
    let after_user = authority.rsplit('@').next().unwrap_or_default();
    let port = after_user.strip_prefix(host).unwrap_or_default();
    if host.is_empty() || !port.is_empty() && uri.port_u16().is_none() {
        return Err("must name a host, and a port below 65536 if any");
    }
    Ok(())
}

/// A URL as it may be told: without user, password and query.
pub(crate) fn shown(url: &str) -> Cow<'_, str> {
    let url = url.split('?').next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return Cow::Borrowed(url);
    };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => Cow::Owned(format!("{scheme}://{}", &rest[at + 1..])),
        None => Cow::Borrowed(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_has_a_scheme_a_host_and_nothing_after_the_path() {
        for good in [
            "http://127.0.0.1:8000",
            "https://[::1]:8000/v1/",
            "https://user:pass@example.com/v1",
        ] {
            assert_eq!(is_base(good), Ok(()), "{good}");
        }
        for bad in [
            "localhost:8000/v1",
            "/v1",
            "ftp://example.com",
            "http://",
            "http://:80",
            "http://example.com:99999/v1",
            "http://example.com:/v1",
            "http://example.com/v1?key=x",
            "http://example.com/v1#x",
            "http://exa mple.com",
        ] {
            assert!(is_base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        assert_eq!(shown("https://u:p@ss@h/v1/@x"), "https://h/v1/@x");
        assert_eq!(shown("https://h/v1/@x"), "https://h/v1/@x");
        assert_eq!(shown("https://u@h?k=@v"), "https://h");
    }

    #[test]
    fn only_azure_takes_a_query() {
        let url = "https://h/x?api-version=1";
        assert_eq!(check(url, Kind::Azure), Ok(()));
        for (url, kind) in [
            (url, Kind::OpenAi),
            ("https://h/x?a#b", Kind::Azure),
            ("?a", Kind::Azure),
        ] {
            assert!(check(url, kind).is_err(), "{url} {kind:?}");
        }
    }

    #[test]
    fn a_base_is_what_the_provider_is_asked_under() {
        for (kind, url, expected) in [
            (Kind::Anthropic, "https://a", "https://a/v1"),
            (Kind::Anthropic, "https://a/", "https://a/v1"),
            (Kind::Anthropic, "https://v2.a", "https://v2.a/v1"),
            (Kind::Anthropic, "https://a/v1", "https://a/v1"),
            (Kind::Anthropic, "https://a/v1/messages", "https://a/v1"),
            (
                Kind::Anthropic,
                "https://a/v1/x/anthropic",
                "https://a/v1/x/anthropic/v1",
            ),
            (Kind::Gemini, "https://g", "https://g/v1beta"),
            (Kind::Gemini, "https://g/v1", "https://g/v1"),
            (
                Kind::Azure,
                "https://z/openai/deployments/d/chat/completions?api-version=1",
                "https://z/openai/deployments/d?api-version=1",
            ),
            (
                Kind::Azure,
                "https://z/chat/completionsx",
                "https://z/chat/completionsx",
            ),
            (Kind::Other, "https://c/v2/chat", "https://c/v2"),
            (Kind::Other, "http://o:11434/", "http://o:11434"),
            (Kind::Other, "https://chat", "https://chat"),
            (Kind::OpenAi, "https://o", "https://o"),
        ] {
            assert_eq!(&*normal(&Arc::from(url), kind), expected, "{kind:?} {url}");
        }
    }
}

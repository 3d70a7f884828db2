//! Where a deployment lives.

use std::{borrow::Cow, sync::Arc};

use http::Uri;

use crate::{
    environment::Environment,
    problem::Report,
    provider::Provider,
    read::{Section, first},
    source::Source,
    yaml::Pos,
};

/// The base URL, without a slash at its end: given, in the environment, or the provider's own.
/// If there is none, that is reported for the model at `at`.
pub(crate) fn read(
    params: &Section<'_>,
    provider: &Provider,
    environment: &Environment<'_>,
    at: Pos,
    report: &mut Report,
) -> Option<(Arc<str>, Source)> {
    let keys = ["api_base", "base_url"];
    let given = keys.map(|key| params.text(key, report));
    if let Some(found) = first(given, report) {
        if let Err(why) = check(&found.value) {
            report.error(found.at, format!("`{}` {why}", found.path));
            return None;
        }
        if found
            .value
            .trim_end_matches('/')
            .ends_with("/chat/completions")
        {
            let message = "`api_base` is what stands before `/chat/completions`, which is added";
            report.warning(found.at, message);
        }
        return Some((trim(&found.value), found.source));
    }
    if keys.iter().any(|key| params.field(key).is_some()) {
        return None;
    }
    if let Some(found) = environment.found(provider.base_variables) {
        if let Err(why) = check(&found.value) {
            report.error(
                at,
                format!("the environment variable `{}` {why}", found.path),
            );
            return None;
        }
        return Some((trim(&found.value), found.source));
    }
    if provider.base.is_none() {
        report.error(
            at,
            format!("provider `{}` needs an `api_base`", provider.name),
        );
    }
    Some((Arc::from(provider.base?), Source::Default))
}

/// Without a slash at its end.
pub(crate) fn trim(url: &Arc<str>) -> Arc<str> {
    match url.strip_suffix('/') {
        Some(_) => Arc::from(url.trim_end_matches('/')),
        None => Arc::clone(url),
    }
}

/// Whether paths can be put behind it.
pub(crate) fn check(url: &str) -> Result<(), &'static str> {
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

/// A URL as it may be told.
pub(crate) fn without_userinfo(url: &str) -> Cow<'_, str> {
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
            assert_eq!(check(good), Ok(()), "{good}");
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
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn userinfo_is_cut_out_of_the_host_only() {
        assert_eq!(
            without_userinfo("https://u:p@ss@h/v1/@x"),
            "https://h/v1/@x"
        );
        assert_eq!(without_userinfo("https://h/v1/@x"), "https://h/v1/@x");
    }
}

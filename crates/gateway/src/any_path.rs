//! Any path of a provider, for those deployments that allow it.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use ziggurat::{Deployment, Error, ErrorKind, LlmRequest, Passed, Snapshot};

use crate::passing::{for_path, in_query, may_use, wrong};

/// Behind it stand the name of a group, or the id of a deployment, and the path.
const NAMED: &str = "/pass-through/";

/// The providers whose name may stand before a path.
const PROVIDERS: [&str; 11] = [
    "anthropic",
    "azure",
    "cohere",
    "gemini",
    "groq",
    "mistral",
    "openai",
    "openrouter",
    "vertex_ai",
    "voyage",
    "xai",
];

/// The paths that are served.
pub(crate) fn paths() -> impl Iterator<Item = String> {
    let providers = PROVIDERS
        .iter()
        .map(|provider| format!("/{provider}/{{*path}}"));
    providers.chain([format!("{NAMED}{{name}}/{{*path}}")])
}

/// The request of a client.
pub(crate) fn request(
    snapshot: &Snapshot,
    parts: &Parts,
    body: Bytes,
) -> Result<LlmRequest, Error> {
    let whole = parts.uri.path();
    let (named, rest) = match whole.strip_prefix(NAMED) {
        Some(rest) => (true, rest),
        None => (false, whole.trim_start_matches('/')),
    };
    let slash = rest.find('/').unwrap_or(rest.len());
    let (name, path) = rest.split_at(slash);
    if named {
        let name = decoded(name).ok_or_else(|| wrong("the name of the group cannot be read"))?;
        let passed = Passed::any(&for_path(parts, path, &[], body)?)?;
        if passed.owner().is_some() {
            return LlmRequest::pass_through("", passed);
        }
        let is_open = snapshot.route(&name).is_some_and(|route| match route.only {
            Some(only) => only.takes_any_path(),
            None => route.group.members().iter().any(|it| it.takes_any_path()),
        });
        return match is_open {
            true => LlmRequest::pass_through(&name, passed),
            false => Err(closed()),
        };
    }
    let passed = Passed::any(&for_path(parts, path, &["model"], body)?)?;
    if passed.owner().is_some() {
        return LlmRequest::pass_through("", passed);
    }
    let serves = |it: &Deployment| it.takes_any_path() && it.provider() == name;
    let model = in_query(parts, "model").or_else(|| passed.model().map(str::to_owned));
    let is_served = |model: &String| {
        let group = snapshot.resolve(model);
        group.is_some_and(|group| group.members().iter().any(|it| serves(it)))
    };
    if let Some(model) = model.filter(is_served) {
        return LlmRequest::pass_through(&model, passed);
    }
    let is_open = |it: &&Arc<Deployment>| serves(it) && may_use(snapshot, parts, it.group());
    let open = snapshot.deployments().filter(is_open);
    let first = open.min_by_key(|it| it.id()).ok_or_else(closed)?;
    LlmRequest::pass_through(first.group(), passed)
}

fn closed() -> Error {
    let message = "no deployment of that name takes requests for any path; `use_in_pass_through: true` in its `litellm_params` lets it";
    Error::new(ErrorKind::Permission, message).with_code("pass_through_not_allowed")
}

/// A segment without its percent-encoding.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = segment.bytes();
    let mut out = Vec::with_capacity(segment.len());
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?,
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn ask(uri: &str, body: &str) -> Result<(String, String), Error> {
        let open = |id: &str, group: &str, provider: &str| {
            let deployment = Deployment::new(id, group, "m").with_provider(provider);
            deployment.with_any_path(true)
        };
        let snapshot = Snapshot::new([
            Deployment::new("a", "openai/gpt", "m").with_provider("openai"),
            open("b", "openai/gpt", "openai"),
            open("c", "mini", "openai"),
            open("d", "claude", "anthropic"),
            Deployment::new("e", "closed", "m").with_provider("cohere"),
        ]);
        let request = Request::post(uri).header("content-type", "application/json");
        let (parts, ()) = request.body(()).expect("is a request").into_parts();
        let request = request_of(&snapshot, &parts, body)?;
        let passed = request.passed().expect("is passed on");
        let path = format!("{}?{}", passed.path(), passed.query());
        Ok((request.group().to_string(), path))
    }

    fn request_of(snapshot: &Snapshot, parts: &Parts, body: &str) -> Result<LlmRequest, Error> {
        request(snapshot, parts, Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn a_name_or_a_provider_says_who_is_asked() {
        for (uri, body, group, path) in [
            (
                "/pass-through/openai%2Fgpt/v1/x?model=1",
                "",
                "openai/gpt",
                "/v1/x?model=1",
            ),
            ("/pass-through/c/v1/x", "", "c", "/v1/x?"),
            ("/openai/v1/x", "", "openai/gpt", "/v1/x?"),
            ("/openai/v1/x?model=mini&y=1", "", "mini", "/v1/x?y=1"),
            ("/openai/v1/x", r#"{"model":"mini"}"#, "mini", "/v1/x?"),
            (
                "/openai/v1/x",
                r#"{"model":"claude"}"#,
                "openai/gpt",
                "/v1/x?",
            ),
            ("/anthropic/v1/x", "", "claude", "/v1/x?"),
        ] {
            let asked = ask(uri, body).expect("is open");
            assert_eq!((&*asked.0, &*asked.1), (group, path), "{uri} {body}");
        }
    }

    #[test]
    fn what_nobody_opened_is_closed() {
        for uri in [
            "/cohere/v2/x",
            "/gemini/x",
            "/pass-through/closed/x",
            "/pass-through/none/x",
            "/pass-through/e/x",
            "/pass-through/a/x",
        ] {
            assert_eq!(ask(uri, "").expect_err("is closed").status(), 403, "{uri}");
        }
        assert_eq!(
            ask("/pass-through/%ff/x", "")
                .expect_err("is no name")
                .status(),
            400
        );
    }
}

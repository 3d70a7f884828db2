//! What is asked under the path of a model.

use http::Uri;

use crate::shape::ErrorShape;

/// What a model is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Generate,
    /// The same as a stream.
    Stream,
    Count,
    Embed,
    EmbedAll,
    /// Something that is not served.
    Other,
}

/// A model, and what it is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) model: String,
    pub(crate) method: Method,
}

/// Reads a path: `…/models/{model}:{method}`. A model may have slashes and colons in its name, and be
/// percent-encoded. One of another publisher than Google has its name before its own.
pub(crate) fn read(path: &str) -> Option<Asked> {
    let (before, rest) = path.split_once("/models/")?;
    let rest = decoded(rest)?;
    let (model, method) = rest.rsplit_once(':')?;
    let publisher = before
        .split_once("/publishers/")
        .map(|(_, publisher)| publisher);
    let model = match publisher {
        Some(publisher) if publisher != "google" => format!("{}/{model}", decoded(publisher)?),
        _ => model.to_owned(),
    };
    let method = match method {
        "generateContent" => Method::Generate,
        "streamGenerateContent" => Method::Stream,
        "countTokens" => Method::Count,
        "embedContent" => Method::Embed,
        "batchEmbedContents" => Method::EmbedAll,
        _ => Method::Other,
    };
    Some(Asked { model, method })
}

/// Whether a path is one that Google's clients ask for, whether it is served or not.
pub(crate) fn is_google_s(path: &str) -> bool {
    const STARTS: [&str; 4] = ["/gemini/", "/v1beta/", "/v1beta1/", "/vertex_ai/"];
    STARTS.iter().any(|start| path.starts_with(start))
        || read(path).is_some_and(|asked| asked.method != Method::Other)
}

/// How errors of a path are told: among the others of a list, where the answers would be.
pub(crate) fn errors_of(uri: &Uri) -> ErrorShape {
    let is_stream = read(uri.path()).is_some_and(|asked| asked.method == Method::Stream);
    let pairs = uri.query().unwrap_or_default().split('&');
    let mut formats = pairs.filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        matches!(name, "alt" | "$alt" | "%24alt").then_some(value)
    });
    match is_stream && !formats.any(|format| format.eq_ignore_ascii_case("sse")) {
        true => ErrorShape::GoogleList,
        false => ErrorShape::Google,
    }
}

/// The key that a query holds, and the same address without it.
pub(crate) fn key_of(uri: &Uri) -> Option<(String, Uri)> {
    let query = uri.query()?;
    let is_key = |pair: &&str| pair.split('=').next() == Some("key");
    let key = query.split('&').find(is_key)?;
    let key = decoded(key.split_once('=')?.1)?;
    let rest: Vec<_> = query.split('&').filter(|pair| !is_key(pair)).collect();
    let path = match rest.is_empty() {
        true => uri.path().to_owned(),
        false => format!("{}?{}", uri.path(), rest.join("&")),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path.parse().ok()?);
    Some((key, Uri::from_parts(parts).ok()?))
}

/// A text without its percent-encoding.
fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
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
    use super::*;

    #[test]
    fn a_path_names_a_model_and_what_it_is_to_do() {
        for (path, model, method) in [
            (
                "/v1beta/models/gemini-2.5-pro:generateContent",
                "gemini-2.5-pro",
                Method::Generate,
            ),
            (
                "/models/a/b:c:streamGenerateContent",
                "a/b:c",
                Method::Stream,
            ),
            (
                "/v1/models/a%2Fb%3Ac%20d%3AcountTokens",
                "a/b:c d",
                Method::Count,
            ),
            (
                "/gemini/v1beta/models/models/x:embedContent",
                "models/x",
                Method::Embed,
            ),
            (
                "/v1/projects/p/locations/l/publishers/google/models/x:batchEmbedContents",
                "x",
                Method::EmbedAll,
            ),
            (
                "/vertex_ai/v1/projects/p/locations/l/publishers/open%61i/models/gpt:predict",
                "openai/gpt",
                Method::Other,
            ),
        ] {
            let model = model.to_owned();
            assert_eq!(read(path), Some(Asked { model, method }), "{path}");
        }
        for path in [
            "/v1/models",
            "/v1/models/gpt",
            "/v1/models/%ff:x",
            "/v1/models/%4:x",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_tells_who_asks() {
        for path in [
            "/v1beta/models",
            "/v1/models/x:generateContent",
            "/models/x:countTokens",
            "/gemini/v1beta/x",
            "/vertex_ai/v1/x",
        ] {
            assert!(is_google_s(path), "{path}");
        }
        for path in [
            "/v1/models",
            "/v1/models/ft:gpt-4o:org::id",
            "/v1betax",
            "/v1/chat/completions",
        ] {
            assert!(!is_google_s(path), "{path}");
        }
    }

    #[test]
    fn a_stream_is_a_list_unless_events_are_asked_for() {
        for (uri, expected) in [
            (
                "/v1beta/models/x:streamGenerateContent?alt=sse",
                ErrorShape::Google,
            ),
            (
                "/v1beta/models/x:streamGenerateContent?key=k&$alt=SSE",
                ErrorShape::Google,
            ),
            (
                "/v1beta/models/x:streamGenerateContent",
                ErrorShape::GoogleList,
            ),
            (
                "/v1beta/models/x:streamGenerateContent?%24alt=json%3Benum-encoding%3Dint",
                ErrorShape::GoogleList,
            ),
            (
                "/v1beta/models/x:generateContent?alt=json",
                ErrorShape::Google,
            ),
        ] {
            assert_eq!(errors_of(&uri.parse().expect("is one")), expected, "{uri}");
        }
    }

    #[test]
    fn a_key_is_taken_out_of_the_query() {
        let taken = |uri: &str| {
            let (key, rest) = key_of(&uri.parse().expect("is one"))?;
            Some((key, rest.to_string()))
        };
        let some = |key: &str, rest: &str| Some((key.to_owned(), rest.to_owned()));
        assert_eq!(
            taken("/x?alt=sse&key=a%2Bb&y=1"),
            some("a+b", "/x?alt=sse&y=1")
        );
        assert_eq!(taken("http://h/x?key=a"), some("a", "http://h/x"));
        assert_eq!(taken("/x?key=a&key=b"), some("a", "/x"));
        for uri in ["/x", "/x?keys=a", "/x?key", "/x?key=%f"] {
            assert_eq!(taken(uri), None, "{uri}");
        }
    }
}

//! Where clients put their key.

use std::borrow::Cow;

use http::{HeaderMap, Uri, header::AUTHORIZATION, request::Parts};
use ziggurat::provider::realtime::client_key;

use crate::google::{is_google_s, key_of};

/// The keys that a request presents, in the order in which they are tried: of `Authorization: Bearer`,
/// `x-api-key`, `x-goog-api-key`, of the query on paths of Google's clients (`?key=`), and of the
/// subprotocol by which browsers present one that ask for a WebSocket. Most requests have one; some
/// clients send two.
pub fn presented_keys(parts: &Parts) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let headers = &parts.headers;
    let bare = |name| headers.get(name).map(|value| value.as_bytes());
    let given = [
        bearer(headers),
        // As Anthropic's clients send it.
        bare("x-api-key"),
        // As Google's clients send it, the older ones in the query.
        bare("x-goog-api-key"),
    ];
    let asked = in_query(&parts.uri).map(|(key, _)| Cow::Owned(key.into_bytes()));
    let offered = client_key(headers).map(str::as_bytes);
    let given = given.into_iter().flatten().map(Cow::Borrowed);
    given.chain(asked).chain(offered.map(Cow::Borrowed))
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ");
    is_bearer.then(|| token.trim_ascii())
}

/// The key in the query of a request in which Google's clients have one, and the address without it.
pub(super) fn in_query(uri: &Uri) -> Option<(String, Uri)> {
    uri.query()?;
    is_google_s(uri.path()).then(|| key_of(uri)).flatten()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn presented(uri: &str, headers: &[(&str, &str)]) -> Vec<String> {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("is valid").into_parts();
        let keys = presented_keys(&parts).map(|key| String::from_utf8_lossy(&key).into_owned());
        keys.collect()
    }

    #[test]
    fn a_key_is_found_wherever_clients_put_it() {
        assert_eq!(presented("/", &[]), [""; 0]);
        for (name, value, key) in [
            ("authorization", "Bearer  k ", "k"),
            ("authorization", "bEARER k", "k"),
            ("x-api-key", "k", "k"),
            ("x-goog-api-key", "k", "k"),
        ] {
            assert_eq!(presented("/v1/models", &[(name, value)]), [key]);
        }
        assert_eq!(presented("/", &[("authorization", "Basic k")]), [""; 0]);
        let uri = "/v1beta/models/m:generateContent?key=a%2Bb";
        assert_eq!(presented(uri, &[("x-api-key", "k")]), ["k", "a+b"]);
        assert_eq!(presented("/v1/models?key=k", &[]), [""; 0]);
    }
}

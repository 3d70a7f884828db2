//! The client's side of the handshake (RFC 6455, section 4.2.1).

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Version,
    header::{CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
    request::Parts,
};
use ziggurat::{Error, ErrorKind};

/// The key of a request for a connection.
///
/// # Errors
///
/// With status 426 if it asks for none, or for one that is not spoken here.
pub(super) fn key(parts: &Parts) -> Result<HeaderValue, Error> {
    let headers = &parts.headers;
    let asks = parts.version == Version::HTTP_11
        && has(headers, &CONNECTION, "upgrade")
        && has(headers, &UPGRADE, "websocket")
        && has(headers, &SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| asks);
    key.cloned().ok_or_else(required)
}

pub(super) fn required() -> Error {
    let message = "this is a WebSocket: ask for it over HTTP/1.1, in version 13";
    Error::new(ErrorKind::BadRequest, message)
        .with_status(StatusCode::UPGRADE_REQUIRED)
        .with_code("upgrade_required")
}

/// Whether a word is in a header that lists some.
fn has(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter();
    let lists = values.filter_map(|value| value.to_str().ok());
    let mut words = lists.flat_map(|list| list.split(','));
    words.any(|it| it.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(change: impl FnOnce(&mut Parts)) -> Parts {
        let request = Request::get("/v1/realtime?model=m")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "x")
            .body(());
        let (mut parts, ()) = request.expect("is valid").into_parts();
        change(&mut parts);
        parts
    }

    #[test]
    fn only_a_whole_handshake_is_one() {
        assert_eq!(key(&parts(|_| {})).expect("is one"), "x");
        for name in [
            "connection",
            "upgrade",
            "sec-websocket-version",
            "sec-websocket-key",
        ] {
            let without = parts(|parts| drop(parts.headers.remove(name)));
            let error = key(&without).expect_err(name);
            assert_eq!(error.status(), StatusCode::UPGRADE_REQUIRED, "{name}");
        }
        assert!(key(&parts(|parts| parts.version = Version::HTTP_2)).is_err());
        let old = HeaderValue::from_static("8");
        let old = parts(|parts| drop(parts.headers.insert(SEC_WEBSOCKET_VERSION, old)));
        assert!(key(&old).is_err());
    }
}

//! The request that becomes a connection, and its answer (RFC 6455, section 4).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use serde_json::{Map, Value};
use ziggurat_core::{Error, ErrorKind};

use super::Offer;
use crate::{RequestBody, endpoint::Endpoint};

/// What stands in a query for somebody else: who is asked and as whom is for the deployment to say.
const OURS: [&str; 5] = ["model", "deployment", "api-version", "api-key", "key"];

/// The answer to the key of a handshake, which shows that it was understood.
#[must_use]
pub fn accept(key: &HeaderValue) -> HeaderValue {
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    digest.update(key.as_bytes());
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let text = STANDARD.encode(digest.finish());
    HeaderValue::try_from(text).expect("Base64 is a header value")
}

/// The request, and its key. What the client's query says more is passed on.
pub(super) fn request(
    endpoint: &Endpoint,
    model: &str,
    query: &[u8],
    offer: &Offer,
) -> Result<(Request<RequestBody>, HeaderValue), Error> {
    let query: Map<String, Value> = serde_json::from_slice(query).unwrap_or_default();
    let more = query.iter().filter_map(|(name, value)| {
        let value = value.as_str()?;
        (!OURS.contains(&&**name)).then_some((&**name, value))
    });
    let mut request = endpoint.upgrade(model, more)?;
    let key = STANDARD.encode(fastrand::u128(..).to_ne_bytes());
    let key = HeaderValue::try_from(key).expect("Base64 is a header value");
    let headers = request.headers_mut();
    headers.extend(offer.headers());
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, key.clone());
    Ok((request, key))
}

/// Whether an answer is a connection.
pub(super) fn check(
    status: StatusCode,
    headers: &HeaderMap,
    key: &HeaderValue,
) -> Result<(), Error> {
    let wrong = |message: String| Err(Error::new(ErrorKind::BadAnswer, message));
    if status != StatusCode::SWITCHING_PROTOCOLS {
        return wrong(format!(
            "the provider answered {status} instead of a connection"
        ));
    }
    if headers.get(SEC_WEBSOCKET_ACCEPT) != Some(&accept(key)) {
        return wrong("the provider's answer is no handshake of a WebSocket".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ziggurat_core::{Deployment, Secret};

    use super::*;

    fn sent(deployment: &Deployment, query: &str) -> Result<Request<RequestBody>, Error> {
        let endpoint = Endpoint::new(deployment).expect("can be called");
        let offer = Offer::default();
        let sent = request(&endpoint, deployment.model(), query.as_bytes(), &offer);
        sent.map(|(request, _)| request)
    }

    #[test]
    fn the_answer_to_a_key_is_that_of_the_rfc() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_a_handshake_is_a_connection() {
        let key = HeaderValue::from_static("x");
        let of = |key| HeaderMap::from_iter([(SEC_WEBSOCKET_ACCEPT, accept(&key))]);
        let switching = StatusCode::SWITCHING_PROTOCOLS;
        assert!(check(switching, &of(key.clone()), &key).is_ok());
        let other = of(HeaderValue::from_static("y"));
        for (status, headers) in [
            (StatusCode::OK, of(key.clone())),
            (switching, other),
            (switching, HeaderMap::new()),
        ] {
            let error = check(status, &headers, &key).expect_err("is none");
            assert_eq!(error.kind(), ErrorKind::BadAnswer);
        }
    }

    #[test]
    fn the_deployment_says_who_is_asked_and_the_client_the_rest() {
        let query = r#"{"model":"other","intent":"a b&c","api-key":"k","deployment":"d","n":1}"#;
        let openai = Deployment::new("a", "gpt", "gpt-realtime").with_credential(Secret::new("sk"));
        let request = sent(&openai, query).expect("is served");
        assert_eq!(request.method(), http::Method::GET);
        assert_eq!(
            request.uri(),
            "https://api.openai.com/v1/realtime?model=gpt-realtime&intent=a%20b%26c"
        );
        let headers = request.headers();
        assert_eq!(headers["authorization"], "Bearer sk");
        assert_eq!(headers["upgrade"], "websocket");
        assert!(!headers.contains_key("content-type"));
    }

    #[test]
    fn azure_has_two_addresses() {
        let azure = |base: &str, version| {
            let deployment = Deployment::new("a", "gpt", "my rt")
                .with_provider("azure")
                .with_base_url(base)
                .with_param("api_version", Secret::new(version));
            let request = sent(&deployment, r#"{"model":"gpt"}"#).expect("is served");
            request.uri().to_string()
        };
        let base = "https://x.openai.azure.com";
        assert_eq!(
            azure(base, "2025-04-01-preview"),
            format!("{base}/openai/realtime?api-version=2025-04-01-preview&deployment=my%20rt")
        );
        assert_eq!(
            azure(base, "v1"),
            format!("{base}/openai/v1/realtime?model=my%20rt")
        );
    }
}

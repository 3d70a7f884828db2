//! What a client asks for beside its request.

use http::{HeaderMap, HeaderName, HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};

const BETA: HeaderName = HeaderName::from_static("openai-beta");

/// What stands before the key of a browser, which can send no header: among the protocols.
const KEY: &str = "openai-insecure-api-key.";
/// What else says whose account it is. That is for the deployment to say.
const ACCOUNT: [&str; 2] = ["openai-organization.", "openai-project."];
/// What a browser needs to see chosen, if it offered it.
const USUAL: &str = "realtime";

/// What a client offers when it asks for a connection: to be put into the
/// [`extensions`](ziggurat_core::LlmRequest::extensions_mut) of its request.
///
/// Keys and accounts among the protocols are left out, so a provider never sees them.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    pub(super) beta: Option<HeaderValue>,
    protocols: Vec<Box<str>>,
}

impl Offer {
    /// What stands in the headers `openai-beta` and `sec-websocket-protocol`.
    #[must_use]
    pub fn new(headers: &HeaderMap) -> Self {
        let for_others = |name: &str| [KEY].iter().chain(&ACCOUNT).any(|it| name.starts_with(it));
        let offered = protocols(headers).filter(|name| !for_others(name));
        Self {
            beta: headers.get(BETA).cloned(),
            protocols: offered.map(Box::from).collect(),
        }
    }

    /// The headers for the provider.
    pub(super) fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let protocols = (!self.protocols.is_empty()).then(|| self.protocols.join(", "));
        let protocols = protocols.and_then(|list| list.parse().ok());
        let protocols = protocols.map(|list| (SEC_WEBSOCKET_PROTOCOL, list));
        let beta = self.beta.clone().map(|beta| (BETA, beta));
        protocols.into_iter().chain(beta)
    }

    /// The protocol for the client: the one that the provider chose, if it was offered. A client
    /// that offers some goes away if none is chosen.
    pub(super) fn chosen(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let offered = |name: &&str| self.protocols.iter().any(|it| **it == **name);
        let theirs = protocols(headers).find(offered);
        let chosen = theirs.or_else(|| Some(USUAL).filter(offered));
        chosen.and_then(|name| name.parse().ok())
    }
}

/// The key that a browser sends among the protocols of the connection that it asks for.
#[must_use]
pub fn client_key(headers: &HeaderMap) -> Option<&str> {
    protocols(headers).find_map(|name| name.strip_prefix(KEY))
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let lists = values.filter_map(|value| value.to_str().ok());
    let names = lists.flat_map(|list| list.split(','));
    names.map(str::trim).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(protocols: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocols))])
    }

    #[test]
    fn a_key_among_the_protocols_is_read_and_never_passed_on() {
        let headers = headers(
            "realtime, openai-insecure-api-key.sk-canary,openai-organization.org-canary, \
             openai-project.canary, openai-beta.realtime-v1",
        );
        assert_eq!(client_key(&headers), Some("sk-canary"));
        let offer = Offer::new(&headers);
        assert!(!format!("{offer:?}").contains("canary"));
        let sent: Vec<_> = offer.headers().collect();
        let list = HeaderValue::from_static("realtime, openai-beta.realtime-v1");
        assert_eq!(sent, [(SEC_WEBSOCKET_PROTOCOL, list)]);
    }

    #[test]
    fn a_client_that_offers_protocols_gets_one_of_them() {
        let chosen = |offered, answered| {
            let chosen = Offer::new(&headers(offered)).chosen(&headers(answered));
            chosen.map(|name| name.to_str().expect("is text").to_owned())
        };
        assert_eq!(chosen("realtime, x", "x").as_deref(), Some("x"));
        assert_eq!(chosen("x, realtime", "").as_deref(), Some("realtime"));
        assert_eq!(chosen("x", "realtime"), None);
        let nothing = Offer::new(&HeaderMap::new());
        assert_eq!(nothing.chosen(&headers("realtime")), None);
        assert_eq!(nothing.headers().count(), 0);
    }
}

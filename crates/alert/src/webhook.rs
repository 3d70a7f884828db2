//! Where messages go.

use std::{fmt, sync::Arc};

use http::Uri;
use ziggurat_core::Secret;

use crate::Kind;

/// The shape of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `{"text": …}`, which Slack reads, and Mattermost and others that read the same.
    Slack,
    /// All members, for programs.
    Json,
}

/// Where messages go: an address, which is a secret, and what is sent there.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    url: Secret,
    address: Uri,
    format: Format,
    kinds: Option<Arc<[Kind]>>,
}

/// The address is none that can be called: it needs a scheme, `http` or `https`, and a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadAddress(());

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address of a webhook must be that of an http or https server")
    }
}

impl std::error::Error for BadAddress {}

impl Webhook {
    /// A webhook that is told of everything.
    ///
    /// # Errors
    ///
    /// If the address cannot be called.
    pub fn new(url: Secret, format: Format) -> Result<Self, BadAddress> {
        let address: Uri = url.expose().parse().map_err(|_| BadAddress(()))?;
        let is_http = matches!(address.scheme_str(), Some("http" | "https"));
        let has_host = address.host().is_some_and(|host| !host.is_empty());
        if !is_http || !has_host {
            return Err(BadAddress(()));
        }
        Ok(Self {
            url,
            address,
            format,
            kinds: None,
        })
    }

    /// Is told of these kinds of events alone.
    #[must_use]
    pub fn only(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.kinds = Some(kinds.into_iter().collect());
        self
    }

    /// The shape of its messages.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Whether it is told of events of that kind.
    #[must_use]
    pub fn wants(&self, kind: Kind) -> bool {
        self.kinds
            .as_ref()
            .is_none_or(|kinds| kinds.contains(&kind))
    }

    pub(crate) const fn address(&self) -> &Uri {
        &self.address
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("format", &self.format)
            .field("kinds", &self.kinds)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_called_is_an_address() {
        for (url, is_one) in [
            ("https://hooks.slack.com/services/T/B/x", true),
            ("http://127.0.0.1:8080", true),
            ("https:///path", false),
            ("ftp://a.example", false),
            ("hooks.slack.com/services", false),
            ("/path", false),
            ("", false),
        ] {
            let webhook = Webhook::new(Secret::new(url), Format::Slack);
            assert_eq!(webhook.is_ok(), is_one, "{url}");
        }
    }

    #[test]
    fn the_address_is_in_no_debug_output() {
        let url = Secret::new("https://user:secret@a.example/secret?key=secret");
        let webhook = Webhook::new(url, Format::Json).expect("is one");
        assert!(!format!("{webhook:?}").contains("secret"));
    }
}

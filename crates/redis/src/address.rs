//! Where a server listens.

use std::fmt;

/// The host and the port of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: Box<str>,
    port: u16,
}

impl Address {
    /// The port of servers that name none.
    pub const PORT: u16 = 6379;

    /// A server by the name or number of its host.
    #[must_use]
    pub fn new(host: impl Into<Box<str>>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// Reads `host`, `host:port`, `[v6]` and `[v6]:port`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_with(text, Self::PORT)
    }

    /// The same, with the port that is meant where none is said.
    #[must_use]
    pub fn parse_with(text: &str, port: u16) -> Option<Self> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']')?,
            // A number of IPv6 without brackets has no port.
            None if text.matches(':').count() > 1 => (text, ""),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match rest {
            "" => port,
            rest => rest.strip_prefix(':')?.parse().ok()?,
        };
        (!host.is_empty()).then(|| Self::new(host, port))
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port_and_brackets() {
        let read = |text| Address::parse(text).map(|it| it.to_string());
        assert_eq!(read("redis").as_deref(), Some("redis:6379"));
        assert_eq!(read("redis:1").as_deref(), Some("redis:1"));
        assert_eq!(read("::1").as_deref(), Some("[::1]:6379"));
        assert_eq!(read("[::1]:7").as_deref(), Some("[::1]:7"));
        for wrong in [
            "",
            ":1",
            "redis:",
            "redis:x",
            "redis:70000",
            "[::1",
            "[::1]7",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}

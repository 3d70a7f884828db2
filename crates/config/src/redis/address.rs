use std::{fmt, sync::Arc};

use crate::{
    problem::Report,
    read::{self, Range},
    yaml::{Node, Value},
};

/// The port of servers that name none.
const PORT: u16 = 6379;
/// The port of sentinels that name none.
pub(super) const SENTINEL: u16 = 26379;

/// The host and the port of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisAddress {
    /// The name or the number of the host.
    pub host: Arc<str>,
    /// The port; never 0.
    pub port: u16,
}

impl RedisAddress {
    pub(super) fn new(host: &str, port: Option<u16>) -> Self {
        Self {
            host: host.into(),
            port: port.unwrap_or(PORT),
        }
    }

    /// Reads `host`, `host:port`, `[v6]` and `[v6]:port`.
    pub(super) fn parse(text: &str, port: u16) -> Option<Self> {
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
        let is_host = !host.is_empty() && !host.contains(['/', '@', ' ', '[', ']', '?']);
        (is_host && port != 0).then(|| Self {
            host: host.into(),
            port,
        })
    }

    /// Reads a node that is an address as a text, a mapping with `host` and `port`, or a list of both.
    pub(super) fn read(
        node: &Node,
        key: &'static str,
        port: u16,
        report: &mut Report,
    ) -> Option<Self> {
        let (host, said) = match &node.value {
            Value::Map(entries) => {
                let of = |name: &str| entries.iter().find(|(key, _)| *key.text == *name);
                (of("host").map(|it| &it.1), of("port").map(|it| &it.1))
            }
            Value::List(items) => (items.first(), items.get(1)),
            _ => {
                let found = read::text(node, key, report)?;
                let address = Self::parse(&found.value, port);
                if address.is_none() {
                    let told = read::name(key);
                    report.error(node.at, format!("{told} must be addresses, as `host:port`"));
                }
                return address;
            }
        };
        let Some(host) = host else {
            let told = read::name(key);
            report.error(node.at, format!("{told}: an address needs a host"));
            return None;
        };
        let host = read::text(host, key, report)?.value;
        let port = match said {
            None => port,
            Some(node) => read::whole_of(node, key, Range::OverZero, report)?,
        };
        Some(Self { host, port })
    }
}

impl fmt::Display for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.escape_debug();
        if self.host.contains(':') {
            write!(f, "[{host}]:{}", self.port)
        } else {
            write!(f, "{host}:{}", self.port)
        }
    }
}

use std::sync::Arc;

use ziggurat_core::Secret;

use super::RedisAddress;

/// What the URL of one server says: `redis://[[user]:password@]host[:port][/db]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) address: RedisAddress,
    pub(super) username: Option<Arc<str>>,
    pub(super) password: Option<Secret>,
    pub(super) db: Option<u32>,
    pub(super) tls: bool,
}

impl Url {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let tls = match scheme {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return None,
        };
        // What may follow the question mark are settings of other clients.
        let rest = rest.split(['?', '#']).next()?;
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (login, rest),
            None => ("", rest),
        };
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        let db = match path {
            "" => None,
            path => Some(path.parse().ok()?),
        };
        let (username, password) = login.split_once(':').unwrap_or((login, ""));
        let [username, password] = [decode(username)?, decode(password)?];
        let some = |text: String| (!text.is_empty()).then_some(text);
        Some(Self {
            address: RedisAddress::parse(address, 6379)?,
            username: some(username).map(Arc::from),
            password: some(password).map(Secret::new),
            db,
            tls,
        })
    }
}

/// A text without its percent signs.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || (rest.next()? as char).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_all_of_one_server() {
        let url = Url::parse("rediss://me:p%40s:s@[::1]:7/3?timeout=1").expect("is a URL");
        assert_eq!(url.address.to_string(), "[::1]:7");
        assert_eq!(url.username.as_deref(), Some("me"));
        assert!(url.password.expect("is there").matches(b"p@s:s"));
        assert_eq!((url.db, url.tls), (Some(3), true));
        let url = Url::parse("valkey://:x@host").expect("is a URL");
        assert_eq!(url.address.to_string(), "host:6379");
        assert!(url.username.is_none() && url.db.is_none() && !url.tls);
        for wrong in [
            "",
            "host",
            "http://host",
            "redis://",
            "redis://a:b",
            "redis://h/x",
            "redis://a%4@h",
            "redis://%ff@h",
            "redis://h:0",
            "unix:///tmp/redis",
        ] {
            assert_eq!(Url::parse(wrong), None, "{wrong}");
        }
    }
}

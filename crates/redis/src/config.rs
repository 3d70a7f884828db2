//! What is known of the servers before they are called.

use std::{fmt, num::NonZeroU32, time::Duration};

use redis::IntoConnectionInfo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use ziggurat_core::Secret;

use crate::Address;

/// The longest namespace.
const MAX_NAMESPACE: usize = 128;

/// Where Redis or Valkey is, and how it is called.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_core::Secret;
/// use ziggurat_redis::{Address, RedisConfig};
///
/// # fn main() -> Result<(), ziggurat_redis::InvalidConfig> {
/// let one = RedisConfig::from_url("rediss://:hunter2@redis.internal/1")?
///     .with_namespace("gateway")?
///     .with_deadline(Duration::from_millis(10))?;
/// assert!(!format!("{one:?}").contains("hunter2"));
///
/// let watched = [Address::new("sentinel", 26379)];
/// let watched = RedisConfig::sentinel(watched, "mymaster")?.with_password(Secret::new("x"));
/// let many = RedisConfig::cluster([Address::new("a", 6379), Address::new("b", 6379)])?;
/// # let _ = (watched, many);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RedisConfig {
    pub(crate) nodes: Nodes,
    pub(crate) username: Option<Box<str>>,
    pub(crate) password: Option<Secret>,
    pub(crate) db: u32,
    pub(crate) tls: Option<Tls>,
    pub(crate) namespace: Box<str>,
    pub(crate) deadline: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) failures: NonZeroU32,
}

/// Who is asked for the servers.
#[derive(Clone, Debug)]
pub(crate) enum Nodes {
    Single(Address),
    Sentinel {
        sentinels: Box<[Address]>,
        service: Box<str>,
        username: Option<Box<str>>,
        password: Option<Secret>,
    },
    Cluster(Box<[Address]>),
}

/// How connections are encrypted.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    /// Those who are trusted, if not those of the system.
    pub(crate) authorities: Option<Vec<CertificateDer<'static>>>,
    pub(crate) identity: Option<Identity>,
}

/// Who we are, for servers that ask for a certificate.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl RedisConfig {
    /// One server.
    #[must_use]
    pub fn single(address: Address) -> Self {
        Self::new(Nodes::Single(address))
    }

    /// The server that Sentinel has made the master of the service.
    ///
    /// # Errors
    ///
    /// If no sentinel is named.
    pub fn sentinel(
        sentinels: impl IntoIterator<Item = Address>,
        service: impl Into<Box<str>>,
    ) -> Result<Self, InvalidConfig> {
        let sentinels: Box<[_]> = sentinels.into_iter().collect();
        if sentinels.is_empty() {
            return Err(InvalidConfig("no sentinel is named"));
        }
        Ok(Self::new(Nodes::Sentinel {
            sentinels,
            service: service.into(),
            username: None,
            password: None,
        }))
    }

    /// The cluster that these servers are a part of. The others are found through them.
    ///
    /// # Errors
    ///
    /// If no server is named.
    pub fn cluster(nodes: impl IntoIterator<Item = Address>) -> Result<Self, InvalidConfig> {
        let nodes: Box<[_]> = nodes.into_iter().collect();
        if nodes.is_empty() {
            return Err(InvalidConfig("no server of the cluster is named"));
        }
        Ok(Self::new(Nodes::Cluster(nodes)))
    }

    /// One server by its URL: `redis://[[user]:password@]host[:port][/db]`, with `rediss` for TLS.
    /// `valkey` and `valkeys` mean the same.
    ///
    /// # Errors
    ///
    /// If it is no such URL. The error does not repeat it.
    pub fn from_url(url: &str) -> Result<Self, InvalidConfig> {
        const WRONG: InvalidConfig = InvalidConfig("not a URL of a Redis server");
        let (scheme, rest) = url.split_once("://").ok_or(WRONG)?;
        let is_secret = match scheme {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(WRONG),
        };
        // The encryption is ours, so the library is not asked for it.
        let plain = format!("redis://{rest}");
        let info = plain.into_connection_info().map_err(|_| WRONG)?;
        let redis::ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(WRONG);
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut config = Self::single(Address::new(host, *port));
        let settings = info.redis_settings();
        config.username = settings.username().map(Into::into);
        config.password = settings.password().map(Secret::new);
        config.db = u32::try_from(settings.db()).map_err(|_| WRONG)?;
        config.tls = is_secret.then(Tls::default);
        Ok(config)
    }

    fn new(nodes: Nodes) -> Self {
        Self {
            nodes,
            username: None,
            password: None,
            db: 0,
            tls: None,
            namespace: "ziggurat".into(),
            deadline: Duration::from_millis(5),
            connect_timeout: Duration::from_secs(1),
            failures: NonZeroU32::new(3).expect("is over zero"),
        }
    }

    /// The name of the user; without one, the password is that of the default user.
    #[must_use]
    pub fn with_username(mut self, username: impl Into<Box<str>>) -> Self {
        self.username = Some(username.into());
        self
    }

    /// The password of the servers.
    #[must_use]
    pub fn with_password(mut self, password: Secret) -> Self {
        self.password = Some(password);
        self
    }

    /// The name and password of the sentinels, which are asked without them otherwise.
    ///
    /// # Errors
    ///
    /// If there is no Sentinel.
    pub fn with_sentinel_login(
        mut self,
        name: Option<Box<str>>,
        secret: Secret,
    ) -> Result<Self, InvalidConfig> {
        let Nodes::Sentinel {
            username, password, ..
        } = &mut self.nodes
        else {
            return Err(InvalidConfig("a password of sentinels without a sentinel"));
        };
        *username = name;
        *password = Some(secret);
        Ok(self)
    }

    /// The number of the database; 0 by default.
    ///
    /// # Errors
    ///
    /// If it is another one than 0, of a cluster, which has no other.
    pub fn with_db(mut self, db: u32) -> Result<Self, InvalidConfig> {
        if db != 0 && matches!(self.nodes, Nodes::Cluster(_)) {
            return Err(InvalidConfig("a cluster has one database, 0"));
        }
        self.db = db;
        Ok(self)
    }

    /// Encrypts connections, to servers that those vouch for whom the system trusts.
    #[must_use]
    pub fn with_tls(mut self) -> Self {
        self.tls.get_or_insert_default();
        self
    }

    /// Encrypts connections, to servers that one of these certificates (PEM) vouches for.
    ///
    /// # Errors
    ///
    /// If there is no certificate in it, or one that cannot be read.
    pub fn with_authorities(mut self, pem: &[u8]) -> Result<Self, InvalidConfig> {
        let tls = self.tls.get_or_insert_default();
        tls.authorities = Some(certificates(pem)?);
        Ok(self)
    }

    /// Encrypts connections, and shows servers a certificate: its chain and its key (PEM).
    ///
    /// # Errors
    ///
    /// If either cannot be read.
    pub fn with_identity(mut self, chain: &[u8], key: &[u8]) -> Result<Self, InvalidConfig> {
        let chain = certificates(chain)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| InvalidConfig("the key of the certificate cannot be read"))?;
        let tls = self.tls.get_or_insert_default();
        tls.identity = Some(Identity { chain, key });
        Ok(self)
    }

    /// What all keys begin with; `ziggurat` by default. Routers share state if they have the same.
    ///
    /// # Errors
    ///
    /// If it is empty, longer than 128 bytes, or has a brace or a control character in it.
    pub fn with_namespace(mut self, namespace: impl Into<Box<str>>) -> Result<Self, InvalidConfig> {
        let namespace = namespace.into();
        let is_wrong = |it: char| matches!(it, '{' | '}') || it.is_control();
        if namespace.is_empty() || namespace.len() > MAX_NAMESPACE || namespace.contains(is_wrong) {
            return Err(InvalidConfig(
                "a namespace is up to 128 bytes without braces",
            ));
        }
        self.namespace = namespace;
        Ok(self)
    }

    /// How long a request waits for an answer; 5 ms by default.
    ///
    /// A server that is slower does not serve: choose what a request may lose, over what the network
    /// needs.
    ///
    /// # Errors
    ///
    /// If it is zero.
    pub fn with_deadline(mut self, deadline: Duration) -> Result<Self, InvalidConfig> {
        if deadline.is_zero() {
            return Err(InvalidConfig("a deadline is over zero"));
        }
        self.deadline = deadline;
        Ok(self)
    }

    /// How long a connection may take to be made, in the background; 1 s by default.
    ///
    /// # Errors
    ///
    /// If it is zero.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Result<Self, InvalidConfig> {
        if timeout.is_zero() {
            return Err(InvalidConfig("a time for connecting is over zero"));
        }
        self.connect_timeout = timeout;
        Ok(self)
    }

    /// How many calls fail one after the other before a server is left alone; 3 by default.
    #[must_use]
    pub const fn with_failures(mut self, failures: NonZeroU32) -> Self {
        self.failures = failures;
        self
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidConfig> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok()
        .filter(|read| !read.is_empty())
        .ok_or(InvalidConfig("the certificates cannot be read"))
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// A configuration that no server can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidConfig(&'static str);

impl fmt::Display for InvalidConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidConfig {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_all_that_one_server_needs() {
        let config = RedisConfig::from_url("rediss://me:p%40ss@[::1]:7000/3").expect("is a URL");
        assert!(
            matches!(&config.nodes, Nodes::Single(it) if it.to_string() == "[::1]:7000"),
            "{config:?}"
        );
        assert_eq!(config.username.as_deref(), Some("me"));
        assert!(config.password.expect("is said").matches(b"p@ss"));
        assert_eq!(config.db, 3);
        assert!(config.tls.is_some());

        let config = RedisConfig::from_url("valkey://:x@host").expect("is a URL");
        assert!(matches!(&config.nodes, Nodes::Single(it) if it.port() == 6379));
        assert!(config.username.is_none() && config.tls.is_none());
    }

    #[test]
    fn what_no_server_can_have_is_refused_without_repeating_it() {
        for wrong in [
            "",
            "host:1",
            "http://hunter2@x",
            "redis://",
            "redis+unix:///hunter2",
            "redis://x/hunter2",
        ] {
            let error = RedisConfig::from_url(wrong).expect_err(wrong);
            assert!(!format!("{error}{error:?}").contains("hunter2"), "{error}");
        }
        let one = || RedisConfig::single(Address::new("a", 1));
        for namespace in ["", "a{b", "a}b", "a\nb"] {
            assert!(one().with_namespace(namespace).is_err(), "{namespace}");
        }
        assert!(one().with_deadline(Duration::ZERO).is_err());
        assert!(one().with_connect_timeout(Duration::ZERO).is_err());
        assert!(one().with_authorities(b"x").is_err());
        assert!(one().with_identity(b"x", b"y").is_err());
        assert!(one().with_sentinel_login(None, Secret::new("x")).is_err());
        assert!(RedisConfig::sentinel([], "x").is_err());
        assert!(RedisConfig::cluster([]).is_err());
        let many = RedisConfig::cluster([Address::new("a", 1)]).expect("has a node");
        assert!(many.clone().with_db(0).is_ok());
        assert!(many.with_db(1).is_err());
    }

    #[test]
    fn nothing_that_is_formatted_shows_a_secret() {
        let config = RedisConfig::sentinel([Address::new("a", 1)], "s")
            .and_then(|it| it.with_sentinel_login(None, Secret::new("hunter2")))
            .expect("has a sentinel")
            .with_password(Secret::new("hunter3"));
        assert!(!format!("{config:?}").contains("hunter"));
    }
}

//! The HTTP clients, all of which behave alike: no retry, no redirect, no limit on the time of a
//! body; HTTP/2 where the server offers it, but for what is to be upgraded; connections are kept and
//! have `TCP_NODELAY`.

mod failure;
mod hyper;
mod reqwest;
mod tls;

use std::time::Duration;

use http::{Request, header::UPGRADE};

pub(crate) use self::failure::{failure, stream_failure};
pub use self::{hyper::HyperClient, reqwest::ReqwestClient};

const IDLE_PER_HOST: usize = 2048;
const IDLE_TIME: Duration = Duration::from_secs(90);
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How often an HTTP/2 connection in use is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);

/// Whether a request is to become a connection that goes both ways, which HTTP/1.1 alone can do.
fn is_upgrade<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(UPGRADE)
}

/// How connections to providers are made.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    connect_timeout: Duration,
}

impl TransportConfig {
    /// The usual: a connection, with all of its handshakes, is made within ten seconds.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// Sets how long making a connection may take.
    #[must_use]
    pub const fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
}

impl Default for TransportConfig {
    fn default() -> Self {
        Self::new()
    }
}

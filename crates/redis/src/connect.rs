//! Connections.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, RedisConnectionInfo, RedisError, RedisResult, Value,
    aio::MultiplexedConnection,
};
use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    Address, RedisConfig, StoreError, Trouble,
    config::{Nodes, Tls},
};

/// How many calls wait for the socket of one server, at most.
const WAITING: usize = 256;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Makes connections.
pub(crate) struct Connector {
    login: RedisConnectionInfo,
    sentinel_login: RedisConnectionInfo,
    tls: Option<TlsConnector>,
    timeout: Duration,
}

/// Where a connection goes.
pub(crate) enum Target {
    To(Address),
    /// The master of a service, as one of the sentinels names it.
    Master(Box<[Address]>, Box<str>),
}

/// A connection: calls go in by one half, and the other does the work.
pub(crate) struct Link {
    pub(crate) calls: MultiplexedConnection,
    pub(crate) work: BoxFuture<'static, ()>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connector {
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, Trouble> {
        let name = |info: RedisConnectionInfo| info.set_lib_name("ziggurat", VERSION);
        let mut login = name(RedisConnectionInfo::default()).set_db(config.db.into());
        if let Some(username) = &config.username {
            login = login.set_username(username);
        }
        if let Some(password) = &config.password {
            login = login.set_password(password.expose());
        }
        let mut sentinel_login = name(RedisConnectionInfo::default());
        if let Nodes::Sentinel {
            username, password, ..
        } = &config.nodes
        {
            if let Some(username) = username {
                sentinel_login = sentinel_login.set_username(username);
            }
            if let Some(password) = password {
                sentinel_login = sentinel_login.set_password(password.expose());
            }
        }
        Ok(Self {
            login,
            sentinel_login,
            tls: config.tls.as_ref().map(connector).transpose()?,
            timeout: config.connect_timeout,
        })
    }

    /// A connection to the target, on which the password was taken.
    pub(crate) async fn connect(&self, target: &Target) -> Result<Link, Trouble> {
        match target {
            Target::To(address) => self.to(address).await,
            Target::Master(sentinels, service) => self.master(sentinels, service).await,
        }
    }

    /// A connection to that server.
    pub(crate) async fn to(&self, address: &Address) -> Result<Link, Trouble> {
        self.open(address, &self.login).await
    }

    /// Asks all sentinels at once, and takes the first master that one of them names and that
    /// answers: one that is cut off may name a master that is gone.
    async fn master(&self, sentinels: &[Address], service: &str) -> Result<Link, Trouble> {
        let mut cmd = redis::cmd("SENTINEL");
        cmd.arg("get-master-addr-by-name").arg(service);
        let cmd = &cmd;
        let mut asking: FuturesUnordered<_> = sentinels
            .iter()
            .map(|sentinel| async move {
                let link = self.open(sentinel, &self.sentinel_login).await.ok()?;
                let answer = timeout(self.timeout, link.ask(cmd)).await.ok()?.ok()?;
                let (host, port): (String, u16) = redis::from_redis_value(answer).ok()?;
                Some(Address::new(host, port))
            })
            .collect();
        let mut trouble = Trouble::NoMaster;
        let mut tried = Vec::new();
        while let Some(answer) = asking.next().await {
            let Some(address) = answer.filter(|it| !tried.contains(it)) else {
                continue;
            };
            match self.to(&address).await {
                Ok(link) => return Ok(link),
                Err(it) => trouble = it,
            }
            tried.push(address);
        }
        Err(trouble)
    }

    async fn open(&self, address: &Address, login: &RedisConnectionInfo) -> Result<Link, Trouble> {
        let opening = async {
            let stream = TcpStream::connect((address.host(), address.port())).await;
            let stream = stream.map_err(|_| Trouble::Unreachable)?;
            let _ = stream.set_nodelay(true);
            let stream: Pin<Box<dyn Stream>> = match &self.tls {
                None => Box::pin(stream),
                Some(tls) => {
                    let name = ServerName::try_from(address.host().to_owned());
                    let name = name.map_err(|_| Trouble::Tls)?;
                    let stream = tls.connect(name, stream).await;
                    Box::pin(stream.map_err(|_| Trouble::Tls)?)
                }
            };
            let config = AsyncConnectionConfig::new()
                .set_response_timeout(None)
                .set_pipeline_buffer_size(WAITING);
            let made = MultiplexedConnection::new_with_config(login, stream, config).await;
            let (calls, work) = made.map_err(trouble)?;
            Ok(Link {
                calls,
                work: Box::pin(work),
            })
        };
        timeout(self.timeout, opening)
            .await
            .unwrap_or(Err(Trouble::Slow))
    }
}

impl Link {
    /// One question, and the end of the connection.
    pub(crate) async fn ask(mut self, cmd: &Cmd) -> RedisResult<Value> {
        tokio::select! {
            biased;
            answer = self.calls.send_packed_command(cmd) => answer?.extract_error(),
            () = self.work => Err(RedisError::from((ErrorKind::Io, "the connection broke"))),
        }
    }
}

fn connector(tls: &Tls) -> Result<TlsConnector, Trouble> {
    let mut roots = RootCertStore::empty();
    match &tls.authorities {
        Some(own) => roots.add_parsable_certificates(own.iter().cloned()),
        None => roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| Trouble::Tls)?
        .with_root_certificates(roots);
    let config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some(it) => config
            .with_client_auth_cert(it.chain.clone(), it.key.clone_key())
            .map_err(|_| Trouble::Tls)?,
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Why a connection cannot be used.
fn trouble(error: RedisError) -> Trouble {
    Trouble::from(StoreError::from(error))
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Late => Self::Slow,
            StoreError::Unfit { code } if matches!(&*code, "NOAUTH" | "WRONGPASS") => Self::Login,
            StoreError::Unfit { code } | StoreError::Refused { code, .. } => Self::Unfit { code },
            _ => Self::Unreachable,
        }
    }
}

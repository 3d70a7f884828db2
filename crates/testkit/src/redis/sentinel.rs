//! A server, its replica, and a sentinel that watches them.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    RedisServer,
    process::{Process, free_port},
    talk,
};

/// How long a sentinel may take to know both servers.
const START: Duration = Duration::from_secs(30);

/// Two servers, of which one is the master of the service [`SERVICE`](Self::SERVICE), and a sentinel
/// that makes the other one the master when the first is gone for half a second.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: [RedisServer; 2],
    sentinel: Process,
    port: u16,
}

impl RedisSentinel {
    /// The name of the service.
    pub const SERVICE: &str = "mymaster";

    /// Starts them. `None` if tests go without.
    ///
    /// # Panics
    ///
    /// If there is no `redis-server`, or the sentinel does not find them.
    pub async fn start() -> Option<Self> {
        let master = RedisServer::start().await?;
        let of = format!("127.0.0.1 {}", master.port());
        let replica = RedisServer::start_with(&[("replicaof", &of)]).await?;
        let port = free_port();
        let service = Self::SERVICE;
        let config = format!(
            "port {port}\nbind 127.0.0.1\n\
             sentinel monitor {service} {of} 1\n\
             sentinel down-after-milliseconds {service} 500\n\
             sentinel failover-timeout {service} 2000\n"
        );
        let args = ["sentinel.conf", "--sentinel"].map(str::to_owned);
        let sentinel = Self {
            servers: [master, replica],
            sentinel: Process::start(port, args.into(), &[("sentinel.conf", config)]),
            port,
        };
        let start = Instant::now();
        while !sentinel.knows_both().await {
            assert!(
                start.elapsed() < START,
                "no sentinel: {}",
                sentinel.sentinel.log()
            );
            sleep(Duration::from_millis(20)).await;
        }
        Some(sentinel)
    }

    async fn knows_both(&self) -> bool {
        let asked = [&["SENTINEL", "REPLICAS", Self::SERVICE][..]];
        let replicas = talk::ask(self.port, &asked).await;
        let port = self.servers[1].port().to_string();
        let is_known = replicas.is_ok_and(|it| it.is_ok_and(|it| it.contains(&port)));
        let info = self.servers[1].command(&["INFO", "replication"]).await;
        is_known && info.is_ok_and(|it| it.contains("master_link_status:up"))
    }

    /// The first is the master at the start.
    #[must_use]
    pub const fn servers(&self) -> &[RedisServer; 2] {
        &self.servers
    }

    /// The port of the sentinel.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

//! A server or a cluster for a suite: empty stores, and one that loses what it knows.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use ziggurat_redis::{Address, RedisClient, RedisConfig};
use ziggurat_testkit::redis::{RedisCluster, RedisServer};

use crate::rig::{Rig, until};

pub(crate) enum Servers {
    One(RedisServer),
    Cluster(Box<RedisCluster>),
}

/// What the stores of a suite stand on.
pub(crate) struct Bench {
    servers: Servers,
    stores: AtomicU32,
    clients: Mutex<Vec<RedisClient>>,
}

impl Bench {
    pub(crate) async fn one() -> Option<Self> {
        Some(Self::new(Servers::One(RedisServer::start().await?)))
    }

    pub(crate) async fn cluster() -> Option<Self> {
        let cluster = RedisCluster::start().await?;
        Some(Self::new(Servers::Cluster(cluster.into())))
    }

    fn new(servers: Servers) -> Self {
        Self {
            servers,
            stores: AtomicU32::new(0),
            clients: Mutex::default(),
        }
    }

    /// Clients of so many instances, in a namespace of their own.
    pub(crate) async fn clients<const N: usize>(&self) -> [RedisClient; N] {
        let namespace = format!("store-{}", self.stores.fetch_add(1, Relaxed));
        let mut clients = Vec::new();
        for _ in 0..N {
            let config = match &self.servers {
                Servers::One(server) => {
                    RedisConfig::single(Address::new("127.0.0.1", server.port()))
                }
                Servers::Cluster(cluster) => {
                    let nodes = cluster.nodes().iter();
                    let nodes = nodes.map(|it| Address::new("127.0.0.1", it.port()));
                    RedisConfig::cluster(nodes).expect("has servers")
                }
            };
            let config = config.with_namespace(namespace.clone()).expect("is a name");
            let rig = Rig::waiting(config, Duration::from_secs(2));
            rig.is_up().await;
            clients.push(rig.client.clone());
        }
        *self.clients.lock() = clients.clone();
        clients.try_into().unwrap_or_else(|_| unreachable!())
    }

    /// Everything is lost: a server by a restart, a cluster by being told to forget it.
    pub(crate) async fn lose(&self) {
        match &self.servers {
            Servers::One(server) => {
                let clients = self.clients.lock().clone();
                server.kill();
                until("it is noticed", || clients.iter().all(|it| !it.is_up())).await;
                server.restart().await;
                until("it serves", || clients.iter().all(RedisClient::is_up)).await;
            }
            Servers::Cluster(cluster) => {
                for node in cluster.nodes() {
                    let told = node.command(&["FLUSHALL"]).await;
                    assert_eq!(told.as_deref(), Ok("OK"));
                }
            }
        }
    }
}
